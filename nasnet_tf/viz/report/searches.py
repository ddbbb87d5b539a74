"""The report's sections about searches."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import is_installed
from nasnet_tf.base.terminal import format_seconds
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children import folders
from nasnet_tf.nas.limits import RATES_NAME, Rates, busy_seconds
from nasnet_tf.nas.retraining import TEST_NAME, WINNER_NAME
from nasnet_tf.nas.trials.journal import NAME as JOURNAL
from nasnet_tf.nas.trials.journal import read_identity, read_spent, read_trials
from nasnet_tf.nas.trials.spaces import space_of
from nasnet_tf.nas.trials.table import expected_gain_of
from nasnet_tf.nas.trials.trial import Trial, leaderboard, measured
from nasnet_tf.nas.trials.update_log import NAME as UPDATES
from nasnet_tf.nas.trials.update_log import read_updates
from nasnet_tf.viz.diagram import draw_genotype
from nasnet_tf.viz.report import page, plots, search_tables, statistics

_CURVES = 5
_CONFIG = "operative_config.gin"
# All files that a section depends on. The logs that it links to are left out, because the journal grows whenever a log is added.
FILES = (JOURNAL, UPDATES, _CONFIG, RATES_NAME, *(f"{retraining.FOLDER}*/{name}" for name in (JOURNAL, WINNER_NAME, TEST_NAME)))


@dataclasses.dataclass(frozen=True)
class Search:
    """A search in the report.

    Attributes:
      name: name of its folder, followed by its strategy.
      rewarded: the first trial of each architecture with a measured reward, for comparisons. Its text, decisions, log-probabilities and
        metrics are empty.
      seconds: time of all its children.
      section: markup of its section.
    """

    name: str
    rewarded: list[Trial]
    seconds: float
    section: str


def is_retraining(folder: pathlib.Path) -> bool:
    """Returns whether the folder holds the retraining of the search in its parent folder."""
    return folder in retraining.folders(folder.parent) and search_tables.has_begun(folder.parent)


def read_search(folder: pathlib.Path, root: pathlib.Path) -> Search:
    """Reads and draws the search in a folder. It must have begun. `root` is the folder of the page: this folder or its parent."""
    trials, identity = read_trials(folder), read_identity(folder)
    strategy = identity.get("search.strategy", "").strip("@()")
    name = f"{folder.resolve().name} ({strategy})" if strategy else folder.resolve().name
    space = _space(identity, trials)
    parts = [page.heading(2, title(name)), _summary(trials, Rates.load(folder), read_spent(folder), space)]
    best = leaderboard(trials)
    if best:
        caption = f"The best cells: trial {best[0].number}, {search_tables.accuracy(best[0])}"
        drawing = page.picture(draw_genotype(best[0].genotype), caption, is_drawing=True, place=search_tables.place(name, best[0].hash))
        parts += [page.heading(3, "Best cells"), drawing]
        parts += [
            page.heading(3, "Leaderboard"),
            search_tables.leaderboard(best, name),
            search_tables.front(trials, best[: search_tables.RANKS], name),
        ]
        parts.append(search_tables.importance(space, trials) if space else "")
        updates = read_updates(folder / UPDATES) if (folder / UPDATES).is_file() else []
        parts += [
            page.heading(3, "Over time"),
            page.pictures(_plots(trials, best, updates, space)),
        ]
    else:
        waiting = sum(trial.status == "running" for trial in trials)
        parts.append(page.paragraph("No trial has a reward" + (f" yet; {waiting} trials are running or waiting." if waiting else ".")))
    parts += [search_tables.failures(trials, "Failures"), search_tables.every_trial(trials, best, name) if trials else ""]
    parts += [search_tables.retrained(other, best, name) for other in retraining.folders(folder)]
    parts.append(_logs(folder, root, name))
    settings = "\n".join(f"{key} = {value}" for key, value in identity.items())
    parts.append(page.fold(name, "Settings of the search", page.settings(settings)))
    if (folder / _CONFIG).is_file():
        parts.append(page.fold(name, "Operative configuration", page.settings((folder / _CONFIG).read_text())))
    rewarded = [dataclasses.replace(trial, text="", decisions=(), log_probs=(), metrics={}) for trial in measured(trials)]
    return Search(name, rewarded, sum(trial.seconds for trial in trials), "".join(parts))


def title(name: str) -> str:
    """Returns the title of a search's section."""
    return f"Search: {name}"


def compare(searches: Sequence[Search]) -> str:
    """Returns a comparison of searches: each with all its measured architectures, then each with as many as the smallest search has."""
    fewest = min(len(search.rewarded) for search in searches)
    rows = []
    for search in searches:
        rows.append([search.name, str(len(search.rewarded)), *_tops(search.rewarded), format_seconds(search.seconds)])
    parts = [
        page.heading(2, "Comparison"),
        page.table(
            ["search", "architectures measured", "best", "mean of best 5", f"mean of best {statistics.TOP}", "time of children"], rows
        ),
    ]
    if any(len(search.rewarded) != fewest for search in searches) and fewest:
        parts.append(page.paragraph(f"With only the first {fewest} architectures of each search, the number that the smallest search has:"))
        rows = [[search.name, *_tops(search.rewarded[:fewest])] for search in searches]
        parts.append(page.table(["search", "best", "mean of best 5", f"mean of best {statistics.TOP}"], rows))
    figure = plots.plot_comparison([(search.name, search.rewarded) for search in searches])
    parts.append(page.picture(figure, "Validation accuracy over trials", is_drawing=True))
    return "".join(parts)


def _summary(trials: Sequence[Trial], rates: Rates, seconds_before: float, space: SearchSpace | None) -> str:
    counts = {status: sum(trial.status == status for trial in trials) for status in ("finished", "running", "failed", "infeasible")}
    reused = sum(trial.reused_from is not None and trial.reward is not None for trial in trials)
    taken = sum(trial.taken_from != "" for trial in trials)
    stopped = sum("stopped_epoch" in trial.metrics and trial.reused_from is None for trial in trials)
    trained = [seconds for trial in trials for _, seconds in trial.executions]
    busy = busy_seconds(trials)
    spent = rates.estimate(seconds_before + sum(trained))
    best, top_5, top_25 = _tops(measured(trials))
    chance = _chance(trials)
    gain = _gain(trials, busy, space)
    numbers = {
        f"best {'reward' if any('accuracy' in trial.metrics for trial in trials) else 'validation accuracy'}": best,
        "mean of the best 5": top_5,
        f"mean of the best {statistics.TOP}": top_25,
        **({} if chance is None else {"chance level": f"{chance:.4g}"}),
        **({} if gain is None else {"expected gain from another hour, points": f"{100 * gain:+.2f}"}),
        "trials rewarded": f"{counts['finished']:,}",
        "rewards reused": f"{reused:,}",
        **({"taken over from other searches": f"{taken:,}"} if taken else {}),
        "stopped early": f"{stopped:,}",
        "running or waiting": f"{counts['running']:,}",
        "failed": f"{counts['failed']:,}",
        "infeasible": f"{counts['infeasible']:,}",
        "seconds per child, median": f"{np.median(trained):.1f}" if trained else "-",
        "children in parallel, mean": f"{sum(trained) / busy:.1f}" if trained else "-",
        "time of the search": format_seconds(busy),
        "time of all children": format_seconds(sum(trained)),
        "child-hours": f"{spent['child_hours']:.2f}",
        **({"energy, estimated": f"{spent['kwh']:.2f} kWh"} if "kwh" in spent else {}),
        **({"price, estimated": f"{spent['price']:.2f}"} if "price" in spent else {}),
    }
    ended = [trial.finished_time for trial in trials if trial.finished_time is not None]
    return page.numbers(numbers) + (page.moment("newest result", max(ended)) if ended else "")


def _gain(trials: Sequence[Trial], busy: float, space: SearchSpace | None) -> float | None:
    """Returns the expected gain of the best accuracy from another hour at the rate so far, in [0, 1]; None if it cannot be estimated."""
    trained = sum(len(trial.executions) for trial in trials)
    if space is None or not busy or not is_installed("scipy"):
        return None
    return expected_gain_of(space, trials, max(1, round(trained * 3600 / busy)))


def _tops(rewarded: Sequence[Trial]) -> list[str]:
    """Returns the best reward, the mean of the best 5 and the mean of the best 25 as texts; "-" where there are fewer."""
    rewards = [trial.reward for trial in rewarded]
    means = [statistics.top_mean(rewards, count) for count in (1, 5, statistics.TOP)]
    return ["-" if mean is None else f"{mean:.4f}" for mean in means]


def _chance(trials: Sequence[Trial]) -> float | None:
    """Returns the accuracy of guessing among equally frequent classes; None for old journals, which lack the number of classes."""
    counts = [trial.metrics["num_classes"] for trial in trials if "num_classes" in trial.metrics]
    return 1 / counts[0] if counts else None


def _space(identity: dict, trials: Sequence[Trial]) -> SearchSpace | None:
    """Returns the search space; None if the journal does not tell it."""
    try:
        return space_of(identity, trials)
    except InputError:
        return None


def _plots(trials: Sequence[Trial], best: Sequence[Trial], updates: Sequence[dict], space: SearchSpace | None) -> list:
    captioned = [(plots.plot_rewards(trials, _chance(trials)), "Reward over trials; the means are of different architectures")]
    if any("mult_adds" in trial.metrics for trial in best):
        captioned.append((plots.plot_accuracy_against_cost(trials), "Accuracy against cost; larger dots have more parameters"))
    captioned.append((plots.plot_operation_frequencies(trials), "Operations in the proposals"))
    if any(trial.seconds > 0 for trial in trials):
        captioned.append((plots.plot_times(trials), "Time of each child, with a histogram"))
    if any(len(trial.metrics.get("curve", [])) > 1 for trial in trials):
        figure = plots.plot_learning_curves(trials, best[:_CURVES])
        captioned.append((figure, "Accuracy in each evaluation of a child; the best children are in color"))
    if updates or any(trial.log_probs for trial in trials):
        figure = plots.plot_entropy(trials, updates, statistics.largest_entropy(space) if space else None)
        captioned.append((figure, "Entropy of the policy, from the probabilities of its proposals"))
    for name in plots.update_names(updates):
        captioned.append((plots.plot_update(updates, name), f"{name.replace('_', ' ')} at each update of the policy"))
    return captioned


def _logs(folder: pathlib.Path, root: pathlib.Path, name: str) -> str:
    """Returns links to the logs of children, including those of retrainings; only children that printed something have a log."""
    paths = [path for part in (folder, *retraining.folders(folder)) for path in sorted((part / folders.FOLDER).glob("*.log"))]
    links = page.files([path.relative_to(root).as_posix() for path in paths])
    return page.fold(name, "Logs of children", links) if paths else ""
