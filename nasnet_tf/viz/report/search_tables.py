"""Tables in a search's section of the report: leaderboard, Pareto front, importance of choices, failures, trials, retrainings."""

import json
import pathlib
from collections.abc import Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import is_installed
from nasnet_tf.genotype import SearchSpace, genotype_hash, load_genotype
from nasnet_tf.nas import retraining
from nasnet_tf.nas.retraining import TEST_NAME, WINNER_NAME
from nasnet_tf.nas.strategies.importance import LEAST_TRIALS
from nasnet_tf.nas.trials.journal import NAME as JOURNAL
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.nas.trials.pareto import accuracy_of, cost_of, pareto_front
from nasnet_tf.nas.trials.table import importance_of
from nasnet_tf.nas.trials.trial import Status, Trial
from nasnet_tf.nas.trials.trial import leaderboard as ranked
from nasnet_tf.viz.diagram import draw_genotype
from nasnet_tf.viz.report import page, plots, statistics

RANKS, _REASONS, _TRIALS, _REASON_LENGTH, _MAX_ON_FRONT, _EFFECTS = 10, 20, 50, 400, 15, 20

# Metrics that not all searches have, with their titles in the table of trials.
_METRICS = {"accuracy": "accuracy", "stopped_epoch": "stopped after epoch", "cost": "cost", "latency_seconds": "latency in seconds"}


def place(name: str, digest: str) -> str:
    """Returns the name of the place in the page where an architecture of a search is drawn, for links to it."""
    return f"{name} {digest}"


def has_begun(folder: pathlib.Path) -> bool:
    """Returns whether the folder's journal has a complete first line. The journal of a search that is just starting may have none."""
    path = folder / JOURNAL
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline().endswith(b"\n")


def leaderboard(ranking: Sequence[Trial], name: str) -> str:
    """Returns a table of the best 10 trials of a ranking, with drawings of the cells from rank 2 on."""
    best = ranking[:RANKS]
    rows = [
        [
            str(rank),
            str(trial.number),
            accuracy(trial),
            *costs(trial),
            f"{trial.seconds:.1f}",
            page.Link(trial.hash, place(name, trial.hash)),
        ]
        for rank, trial in enumerate(best, 1)
    ]
    table = page.table(["rank", "trial", "validation accuracy", "parameters", "multiply-adds", "seconds", "architecture"], rows)
    drawings = [page.paragraph(f"The best {len(best)} of {len(ranking):,} architectures.")] if len(best) < len(ranking) else []
    for rank, trial in enumerate(best[1:], 2):
        drawing = page.picture(draw_genotype(trial.genotype), accuracy(trial), is_drawing=True, place=place(name, trial.hash))
        drawings.append(page.fold(name, f"Cells of rank {rank}, trial {trial.number}", drawing))
    return table + "".join(drawings)


def front(trials: Sequence[Trial], shown: Sequence[Trial], name: str) -> str:
    """Returns a table of the Pareto front, with drawings of cells that the leaderboard does not show; "" if no costs are known."""
    front = pareto_front(trials)
    if not front:
        return ""
    cost = "cost" if any("cost" in trial.metrics for trial in front) else "multiply-adds"
    drawn = {trial.hash for trial in shown}
    rows, drawings = [], []
    for trial in front[-_MAX_ON_FRONT:]:
        numbers = [f"{cost_of(trial):,.6g}", f"{accuracy_of(trial):.4f}", f"{trial.reward:.4f}"]
        rows.append([str(trial.number), *numbers, page.Link(trial.hash, place(name, trial.hash))])
        if trial.hash not in drawn:
            drawing = page.picture(draw_genotype(trial.genotype), numbers[1], is_drawing=True, place=place(name, trial.hash))
            drawings.append(page.fold(name, f"Cells on the front, trial {trial.number}", drawing))
    left = len(front) - len(rows)
    rest = f" {left} cheaper ones are left out." if left else ""
    parts = [
        page.heading(3, "Pareto front"),
        page.paragraph(f"No other architecture beats these in both accuracy and cost.{rest}"),
        page.table(["trial", cost, "validation accuracy", "reward", "architecture"], rows),
    ]
    return "".join(parts + drawings)


def importance(space: SearchSpace, trials: Sequence[Trial]) -> str:
    """Returns the importance of choices, estimated by a model of the rewards; "" if there are fewer than 10 rewards or SciPy is missing."""
    if not is_installed("scipy") or len(ranked(trials)) < LEAST_TRIALS:
        return ""
    found = importance_of(space, trials)
    parts = [page.heading(3, "Importance of choices"), page.paragraph(found.trust)]
    if found.knows_something:
        caption = f"Effect of making a choice once more ({found.unit}), with two standard errors: the {_EFFECTS} most significant effects"
        parts.append(page.pictures([(plots.plot_importance(found, _EFFECTS), caption)]))
    return "".join(parts)


def accuracy(trial: Trial) -> str:
    """Returns the reward as text, with the accuracy if it differs and with the epoch at which the trial was stopped early."""
    stopped = trial.metrics.get("stopped_epoch")
    of_reward = f" (accuracy {trial.metrics['accuracy']:.4f})" if "accuracy" in trial.metrics else ""
    return f"{trial.reward:.4f}{of_reward}" + (f" (predicted, stopped after epoch {stopped:g})" if stopped is not None else "")


def costs(trial: Trial) -> list[str]:
    """Returns parameters and multiply-adds as texts; "-" if unknown."""
    return [f"{trial.metrics[name]:,}" if name in trial.metrics else "-" for name in ("parameters", "mult_adds")]


def failures(trials: Sequence[Trial], title: str) -> str:
    """Returns a table of failed and infeasible trials by reason, under a title; "" if there are none."""
    groups = statistics.failures(trials)
    if not groups:
        return ""
    rows = []
    for group in groups:
        numbers = ", ".join(str(trial.number) for trial in group[:5]) + (", ..." if len(group) > 5 else "")
        executions = str(sum(trial.attempts for trial in group))
        rows.append([group[0].status, str(len(group)), numbers, executions, _shortened(group[-1].reason)])
    head = ["status", "trials", "numbers", "executions", "reason (of the last one)"]
    return page.heading(3, title) + page.table(head, rows, text_columns=(2, 4), rows_per_page=_REASONS)


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _REASON_LENGTH else f"{reason[:_REASON_LENGTH]}..."


def every_trial(trials: Sequence[Trial], ranking: Sequence[Trial], name: str) -> str:
    """Returns a table of all trials of a search, which the reader can filter by status and by reason of failure."""
    drawn = {trial.hash for trial in [*ranking[:RANKS], *pareto_front(trials)[-_MAX_ON_FRONT:]]}
    rows = []
    known = {metric: title for metric, title in _METRICS.items() if any(metric in trial.metrics for trial in trials)}
    groups: dict[str, list[int]] = {status: [] for status in Status}
    for trial in trials:
        groups[trial.status].append(trial.number)  # trials are numbered from 0, so this is the index of its row
        reward = "-" if trial.reward is None else f"{trial.reward:.4f}"
        metrics = [f"{trial.metrics[metric]:,.6g}" if metric in trial.metrics else "-" for metric in known]
        architecture = page.Link(trial.hash, place(name, trial.hash)) if trial.hash in drawn else trial.hash
        numbers = [reward, *metrics, *costs(trial), f"{trial.seconds:.1f}", str(trial.attempts)]
        rows.append([str(trial.number), trial.status, *numbers, architecture, _shortened(trial.reason) or "-"])
    for group in statistics.failures(trials):
        label = f"{group[0].status}: {_shortened(statistics.kind_of(group[0].reason))}"
        groups.setdefault(label, []).extend(trial.number for trial in group)
    numbers = ["reward" if "accuracy" in known else "validation accuracy", *known.values(), "parameters", "multiply-adds", "seconds"]
    head = ["trial", "status", *numbers, "executions", "architecture", "reason"]
    return page.heading(3, "Trials") + page.table(head, rows, text_columns=(1, len(head) - 1), rows_per_page=_TRIALS, groups=groups)


def retrained(folder: pathlib.Path, searched: Sequence[Trial], name: str) -> str:
    """Returns the results of retraining the best architectures of a search; "" if the retraining in the folder has not begun."""
    if not has_begun(folder):
        return ""
    trials = read_trials(folder)
    ranking = ranked(trials)
    in_search = {trial.hash: (rank, trial) for rank, trial in enumerate(searched, 1)}
    rows, pairs = [], []
    for rank, trial in enumerate(ranking, 1):
        before = in_search.get(trial.hash)
        pairs += [(before[1].reward, trial.reward)] if before else []
        was = [str(before[0]), str(before[1].number), accuracy(before[1])] if before else ["-", "-", "-"]
        is_drawn = before is not None and before[0] <= RANKS
        architecture = page.Link(trial.hash, place(name, trial.hash)) if is_drawn else trial.hash
        rows.append([str(rank), accuracy(trial), *was, *costs(trial), architecture])
    title = folder.name.replace(retraining.FOLDER, "Retrained")
    parts = [
        page.heading(3, title),
        page.paragraph(f"{len(ranking)} of {len(trials)} architectures have been retrained."),
    ]
    test, winner = folder / TEST_NAME, folder / WINNER_NAME
    if test.is_file():
        try:
            row = json.loads(test.read_text())
            measure = row.get("measure", "accuracy")
            measured = row[measure]
        except (ValueError, KeyError, AttributeError) as error:
            raise InputError(f'{test}: expected {{"accuracy": ..., "trial": ...}} ({error!r})') from error
        parts.append(page.numbers({f"test {measure.replace('_', ' ')} of the winner": f"{measured:.4f}"}))
    if rows:
        head = ["rank", "validation accuracy", "rank in search", "trial", "reward in search", "parameters", "multiply-adds", "architecture"]
        parts.append(page.table(head, rows))
    if len(pairs) > 2:
        parts.append(page.pictures([(plots.plot_retraining(pairs), "Accuracy after retraining against reward in the search")]))
    if winner.is_file():
        genotype = load_genotype(str(winner))
        caption = f"The winner's cells, architecture {genotype_hash(genotype)}"
        parts.append(page.picture(draw_genotype(genotype), caption, is_drawing=True))
    parts.append(failures(trials, f"{title}: failures"))
    return "".join(parts)
