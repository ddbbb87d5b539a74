"""The parts of a report that are about searches."""

import ast
import dataclasses
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.terminal import format_seconds
from nasnet_tf.genotype import SearchSpace, genotype_hash, load_genotype
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children import folders
from nasnet_tf.nas.limits import RATES_NAME, Rates, busy_seconds
from nasnet_tf.nas.retraining import TEST_NAME, WINNER_NAME
from nasnet_tf.nas.trials.journal import NAME as JOURNAL
from nasnet_tf.nas.trials.journal import read_identity, read_spent, read_trials
from nasnet_tf.nas.trials.pareto import accuracy_of, cost_of, pareto_front
from nasnet_tf.nas.trials.trial import Trial, architectures, leaderboard
from nasnet_tf.nas.trials.update_log import NAME as UPDATES
from nasnet_tf.nas.trials.update_log import read_updates
from nasnet_tf.viz.diagram import draw_genotype
from nasnet_tf.viz.report import page, plots, statistics

_RANKS, _CURVES, _REASONS, _REASON_LENGTH, _MOST_ON_FRONT = 10, 5, 20, 400, 15
_CONFIG = "operative_config.gin"
# All that a section is made of, but for the logs it leads to: there are new ones when the journal is longer.
FILES = (JOURNAL, UPDATES, _CONFIG, RATES_NAME, *(f"{retraining.FOLDER}*/{name}" for name in (JOURNAL, WINNER_NAME, TEST_NAME)))


@dataclasses.dataclass(frozen=True)
class Search:
    """A search as a report needs it.

    Attributes:
      name: of its folder and its strategy.
      rewarded: the first trial of each architecture that has a reward, without texts and metrics: what comparisons take.
      section: all about it, as markup.
    """

    name: str
    rewarded: list[Trial]
    section: str


def has_begun(folder: pathlib.Path) -> bool:
    """Whether the folder's journal has a first line; that of a search that just starts may not."""
    path = folder / JOURNAL
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline().endswith(b"\n")


def is_retraining(folder: pathlib.Path) -> bool:
    """Whether the folder's trials are of the best of the search around it, trained again."""
    return folder in retraining.folders(folder.parent) and has_begun(folder.parent)


def read_search(folder: pathlib.Path, root: pathlib.Path) -> Search:
    """Reads and draws a search folder that has begun, for a page in `root`, which is this folder or around it."""
    trials, identity = read_trials(folder), read_identity(folder)
    strategy = identity.get("search.strategy", "").strip("@()")
    name = f"{folder.resolve().name} ({strategy})" if strategy else folder.resolve().name
    parts = [page.heading(2, title(name)), _summary(trials, Rates.load(folder), read_spent(folder))]
    best = leaderboard(trials)
    if best:
        caption = f"The best cells: trial {best[0].number}, {_accuracy(best[0])}"
        drawing = page.picture(draw_genotype(best[0].genotype), caption, is_drawing=True, place=_place(name, best[0].hash))
        parts += [page.heading(3, "Best cells"), drawing]
        parts += [page.heading(3, "Leaderboard"), _leaderboard(best[:_RANKS], name), _front(trials, best[:_RANKS], name)]
        updates = read_updates(folder / UPDATES) if (folder / UPDATES).is_file() else []
        parts += [page.heading(3, "Over time"), page.pictures(_plots(trials, best, updates, _largest_entropy(identity, trials)))]
    else:
        waiting = sum(trial.status == "running" for trial in trials)
        parts.append(
            page.paragraph("Nothing has been rewarded" + (f" yet; {waiting} trials are running or to be run." if waiting else "."))
        )
    parts += [_failures(trials), *(_retrained(other, best, name) for other in retraining.folders(folder))]
    parts.append(_logs(folder, root, name))
    settings = "\n".join(f"{key} = {value}" for key, value in identity.items())
    parts.append(page.fold(name, "Settings of the search", page.settings(settings)))
    if (folder / _CONFIG).is_file():
        parts.append(page.fold(name, "Operative configuration", page.settings((folder / _CONFIG).read_text())))
    rewarded = [dataclasses.replace(trial, text="", decisions=(), log_probs=(), metrics={}) for trial in architectures(trials)]
    return Search(name, rewarded, "".join(parts))


def title(name: str) -> str:
    """Of a search's section."""
    return f"Search: {name}"


def _place(name: str, digest: str) -> str:
    """Where in the page an architecture of a search is drawn."""
    return f"{name} {digest}"


def compare(searches: Sequence[Search]) -> str:
    """Several searches side by side, at their ends and after as many architectures as all of them have."""
    fewest = min(len(search.rewarded) for search in searches)
    rows = []
    for search in searches:
        seconds = sum(trial.seconds for trial in search.rewarded)
        rows.append([search.name, str(len(search.rewarded)), *_tops(search.rewarded), format_seconds(seconds)])
    parts = [
        page.heading(2, "Comparison"),
        page.table(["search", "architectures", "best", "mean of best 5", f"mean of best {statistics.TOP}", "time of children"], rows),
    ]
    if any(len(search.rewarded) != fewest for search in searches) and fewest:
        parts.append(page.paragraph(f"The same after the first {fewest} architectures of each, which all have:"))
        rows = [[search.name, *_tops(search.rewarded[:fewest])] for search in searches]
        parts.append(page.table(["search", "best", "mean of best 5", f"mean of best {statistics.TOP}"], rows))
    figure = plots.plot_comparison([(search.name, search.rewarded) for search in searches])
    parts.append(page.picture(figure, "Validation accuracy over trials", is_drawing=True))
    return "".join(parts)


def _summary(trials: Sequence[Trial], rates: Rates, seconds_before: float) -> str:
    counts = {status: sum(trial.status == status for trial in trials) for status in ("finished", "running", "failed", "infeasible")}
    reused = sum(trial.reused_from is not None for trial in trials)
    taken = sum(trial.taken_from != "" for trial in trials)
    stopped = sum("stopped_epoch" in trial.metrics and trial.reused_from is None for trial in trials)
    trained = [seconds for trial in trials for _, seconds in trial.executions]
    busy = busy_seconds(trials)
    spent = rates.estimate(seconds_before + sum(trained))
    best, top_5, top_25 = _tops(architectures(trials))
    chance = _chance(trials)
    numbers = {
        f"best {'reward' if any('accuracy' in trial.metrics for trial in trials) else 'validation accuracy'}": best,
        "mean of the best 5": top_5,
        f"mean of the best {statistics.TOP}": top_25,
        **({} if chance is None else {"chance level": f"{chance:.4g}"}),
        "trials rewarded": f"{counts['finished']:,}",
        "of them known before": f"{reused:,}",
        **({"taken over from other searches": f"{taken:,}"} if taken else {}),
        "stopped early": f"{stopped:,}",
        "running or to be run": f"{counts['running']:,}",
        "failed": f"{counts['failed']:,}",
        "infeasible": f"{counts['infeasible']:,}",
        "seconds a child, median": f"{np.median(trained):.1f}" if trained else "-",
        "children at once, mean": f"{sum(trained) / busy:.1f}" if trained else "-",
        "time of the search": format_seconds(busy),
        "time of all children": format_seconds(sum(trained)),
        "child-hours": f"{spent['child_hours']:.2f}",
        **({"energy, estimated": f"{spent['kwh']:.2f} kWh"} if "kwh" in spent else {}),
        **({"price, estimated": f"{spent['price']:.2f}"} if "price" in spent else {}),
    }
    ended = [trial.finished_time for trial in trials if trial.finished_time is not None]
    return page.numbers(numbers) + (page.moment("newest result", max(ended)) if ended else "")


def _tops(rewarded: Sequence[Trial]) -> list[str]:
    rewards = [trial.reward for trial in rewarded]
    means = [statistics.top_mean(rewards, count) for count in (1, 5, statistics.TOP)]
    return ["-" if mean is None else f"{mean:.4f}" for mean in means]


def _chance(trials: Sequence[Trial]) -> float | None:
    """What guessing one of equally frequent classes gives; journals of before do not tell how many there are."""
    counts = [trial.metrics["num_classes"] for trial in trials if "num_classes" in trial.metrics]
    return 1 / counts[0] if counts else None


def _largest_entropy(identity: dict, trials: Sequence[Trial]) -> float | None:
    """Of a policy over the search's space, as its settings tell; None where they do not fit the trials."""
    try:
        values = {key.removeprefix("SearchSpace."): ast.literal_eval(value) for key, value in identity.items() if "SearchSpace." in key}
        space = SearchSpace(**values)
    except (ValueError, SyntaxError, TypeError):
        return None
    return statistics.largest_entropy(space) if trials and len(trials[0].decisions) == len(space.sizes) else None


def _plots(trials: Sequence[Trial], best: Sequence[Trial], updates: Sequence[dict], largest_entropy: float | None) -> list:
    captioned = [(plots.plot_rewards(trials, _chance(trials)), "Reward over trials; the means are of different architectures")]
    if any("mult_adds" in trial.metrics for trial in best):
        captioned.append((plots.plot_accuracy_against_cost(trials), "Accuracy against cost; larger dots have more parameters"))
    captioned.append((plots.plot_operation_frequencies(trials), "Which operations were proposed"))
    if any(trial.seconds > 0 for trial in trials):
        captioned.append((plots.plot_times(trials), "Time of each child, and how often which"))
    if any(len(trial.metrics.get("curve", [])) > 1 for trial in trials):
        figure = plots.plot_learning_curves(trials, best[:_CURVES])
        captioned.append((figure, "Accuracy in each evaluation of a child; coloured: the best"))
    if updates or any(trial.log_probs for trial in trials):
        figure = plots.plot_entropy(trials, updates, largest_entropy)
        captioned.append((figure, "Entropy of the policy, from the probabilities of its proposals"))
    for name in plots.update_names(updates):
        captioned.append((plots.plot_update(updates, name), f"{name.replace('_', ' ')} at each update of the policy"))
    return captioned


def _leaderboard(best: Sequence[Trial], name: str) -> str:
    rows = [
        [
            str(rank),
            str(trial.number),
            _accuracy(trial),
            *_costs(trial),
            f"{trial.seconds:.1f}",
            page.Link(trial.hash, _place(name, trial.hash)),
        ]
        for rank, trial in enumerate(best, 1)
    ]
    table = page.table(["rank", "trial", "validation accuracy", "parameters", "multiply-adds", "seconds", "architecture"], rows)
    drawings = []
    for rank, trial in enumerate(best[1:], 2):
        drawing = page.picture(draw_genotype(trial.genotype), _accuracy(trial), is_drawing=True, place=_place(name, trial.hash))
        drawings.append(page.fold(name, f"Cells of rank {rank}, trial {trial.number}", drawing))
    return table + "".join(drawings)


def _front(trials: Sequence[Trial], shown: Sequence[Trial], name: str) -> str:
    """The Pareto front, with the cells that the leaderboard does not show; nothing where no costs are known."""
    front = pareto_front(trials)
    if not front:
        return ""
    cost = "cost" if any("cost" in trial.metrics for trial in front) else "multiply-adds"
    drawn = {trial.hash for trial in shown}
    rows, drawings = [], []
    for trial in front[-_MOST_ON_FRONT:]:
        numbers = [f"{cost_of(trial):,.6g}", f"{accuracy_of(trial):.4f}", f"{trial.reward:.4f}"]
        rows.append([str(trial.number), *numbers, page.Link(trial.hash, _place(name, trial.hash))])
        if trial.hash not in drawn:
            drawing = page.picture(draw_genotype(trial.genotype), numbers[1], is_drawing=True, place=_place(name, trial.hash))
            drawings.append(page.fold(name, f"Cells on the front, trial {trial.number}", drawing))
    left = len(front) - len(rows)
    parts = [
        page.heading(3, "Accuracy for its cost"),
        page.paragraph("Architectures that no other one beats in both" + (f"; {left} cheaper ones are left out." if left else ".")),
        page.table(["trial", cost, "validation accuracy", "reward", "architecture"], rows),
    ]
    return "".join(parts + drawings)


def _accuracy(trial: Trial) -> str:
    stopped = trial.metrics.get("stopped_epoch")
    of_reward = f" (accuracy {trial.metrics['accuracy']:.4f})" if "accuracy" in trial.metrics else ""
    return f"{trial.reward:.4f}{of_reward}" + (f" (predicted, stopped after epoch {stopped:g})" if stopped is not None else "")


def _costs(trial: Trial) -> list[str]:
    return [f"{trial.metrics[name]:,}" if name in trial.metrics else "-" for name in ("parameters", "mult_adds")]


def _failures(trials: Sequence[Trial]) -> str:
    groups = statistics.failures(trials)
    if not groups:
        return ""
    rows = []
    for group in groups[:_REASONS]:
        numbers = ", ".join(str(trial.number) for trial in group[:5]) + (", ..." if len(group) > 5 else "")
        reason = group[-1].reason
        reason = reason if len(reason) <= _REASON_LENGTH else f"{reason[:_REASON_LENGTH]}..."
        rows.append([group[0].status, str(len(group)), numbers, str(sum(trial.attempts for trial in group)), reason])
    left = page.paragraph(f"and {len(groups) - _REASONS} reasons more, of fewer trials each") if len(groups) > _REASONS else ""
    head = ["status", "trials", "which", "executions", "reason (the last of its kind)"]
    return page.heading(3, "Failures") + page.table(head, rows, text_columns=(2, 4)) + left


def _logs(folder: pathlib.Path, root: pathlib.Path, name: str) -> str:
    """Links to what children wrote, those of retrainings included; each has a file only if it wrote something."""
    paths = [path for part in (folder, *retraining.folders(folder)) for path in sorted((part / folders.FOLDER).glob("*.log"))]
    links = page.files([path.relative_to(root).as_posix() for path in paths])
    return page.fold(name, "What children wrote", links) if paths else ""


def _retrained(folder: pathlib.Path, searched: Sequence[Trial], name: str) -> str:
    """What came of training the best of a search again; nothing where none was."""
    if not has_begun(folder):
        return ""
    trials = read_trials(folder)
    ranking = leaderboard(trials)
    in_search = {trial.hash: (rank, trial) for rank, trial in enumerate(searched, 1)}
    rows, pairs = [], []
    for rank, trial in enumerate(ranking, 1):
        before = in_search.get(trial.hash)
        pairs += [(before[1].reward, trial.reward)] if before else []
        was = [str(before[0]), str(before[1].number), _accuracy(before[1])] if before else ["-", "-", "-"]
        is_drawn = before is not None and before[0] <= _RANKS
        architecture = page.Link(trial.hash, _place(name, trial.hash)) if is_drawn else trial.hash
        rows.append([str(rank), _accuracy(trial), *was, *_costs(trial), architecture])
    parts = [
        page.heading(3, folder.name.replace(retraining.FOLDER, "Retrained")),
        page.paragraph(f"{len(ranking)} of {len(trials)} have been trained again."),
    ]
    test, winner = folder / TEST_NAME, folder / WINNER_NAME
    if test.is_file():
        try:
            accuracy = json.loads(test.read_text())["accuracy"]
        except (ValueError, KeyError) as error:
            raise InputError(f'{test}: expected {{"accuracy": ..., "trial": ...}} ({error!r})') from error
        parts.append(page.numbers({"test accuracy of the winner": f"{accuracy:.4f}"}))
    if rows:
        head = ["rank", "validation accuracy", "rank in search", "trial", "reward in search", "parameters", "multiply-adds", "architecture"]
        parts.append(page.table(head, rows))
    if len(pairs) > 2:
        parts.append(page.pictures([(plots.plot_retraining(pairs), "What retraining made of the rewards")]))
    if winner.is_file():
        genotype = load_genotype(str(winner))
        caption = f"The winner's cells, architecture {genotype_hash(genotype)}"
        parts.append(page.picture(draw_genotype(genotype), caption, is_drawing=True))
    parts.append(_failures(trials))
    return "".join(parts)
