"""The result of a search, for notebooks: the best cells, the trials, a report, and retraining of the winner."""

import dataclasses
import html
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
from matplotlib.figure import Figure

from nasnet_tf.base.values import Count, check_value
from nasnet_tf.genotype import Genotype
from nasnet_tf.nas import retraining
from nasnet_tf.nas.search import BEST_NAME
from nasnet_tf.nas.strategies.importance import Importance
from nasnet_tf.nas.trials.pareto import accuracy_of
from nasnet_tf.nas.trials.table import SearchResults
from nasnet_tf.nas.trials.trial import Trial, leaderboard
from nasnet_tf.recipes.shorthand import RETRAIN
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.viz import diagram
from nasnet_tf.viz.report import page, plots
from nasnet_tf.viz.report.report import Report

_SHOWN = 5  # trials that a notebook shows


@dataclasses.dataclass(frozen=True)
class Best:
    """The best architecture of a search. A notebook shows its cells.

    Attributes:
      trial: the trial that found it.
      path: file of its genotype, a textproto.
    """

    trial: Trial = dataclasses.field(repr=False)
    path: pathlib.Path

    @property
    def genotype(self) -> Genotype:
        """The normal and the reduction cell."""
        return self.trial.genotype

    @property
    def accuracy(self) -> float:
        """Accuracy on the validation examples, in [0, 1], of the small network that the search trained."""
        return accuracy_of(self.trial)

    def draw(self) -> Figure:
        """Returns a figure of both cells."""
        return diagram.draw_genotype(self.genotype)

    def _repr_svg_(self) -> str:
        return diagram.figure_to_svg(self.draw())


class Search:
    """A search that has ended.

    Args:
      workdir: work folder of the search.
      trials: trials of the search; at least one has a reward.
      run: function (work, bindings) that creates the search job with these additional bindings, and returns work(job, work folder).

    Attributes:
      workdir, trials: as given. A trial has `genotype`, `reward`, `status`, `metrics`, ...
    """

    def __init__(self, workdir: pathlib.Path, trials: SearchResults, run: Callable[[Callable, Mapping[str, Any]], Any]):
        self.workdir, self.trials, self._run = workdir, trials, run

    @property
    def best(self) -> Best:
        """The best architecture so far."""
        return Best(leaderboard(self.trials)[0], self.workdir / BEST_NAME)

    def table(self) -> dict[str, list]:
        """Returns {column: values}, with one value for each trial; `pandas.DataFrame(found.table())` shows it."""
        return self.trials.table()

    def importance(self) -> Importance:
        """Estimates the effect of each operation, input, combine and path length on the reward, and the quality of the estimate.

        Raises:
          InputError: fewer than 10 architectures have a reward.
        """
        return self.trials.importance()

    def report(self) -> pathlib.Path:
        """Writes the page that `nasnet report` writes, and returns its path."""
        return Report(self.workdir).write()

    def retrain(
        self,
        top: int = 5,
        *,
        epochs: float | None = None,
        filters: int | None = None,
        cells_per_stack: int | None = None,
        bindings: Mapping[str, Any] | None = None,
    ) -> keras.Model:
        """Trains the best architectures longer or larger, and returns the best network. Repeat an interrupted call to resume it.

        Args:
          top: number of architectures.
          epochs: epochs of each training; None for the recipe's.
          filters: filters of the first cells; None for the recipe's.
          cells_per_stack: normal cells in each of the three stacks; None for the recipe's.
          bindings: {"name.parameter": value} for anything else. Except those of `search`, they only apply to the retraining.

        Returns:
          The network of the highest validation accuracy, with its best weights. It takes images that are prepared like the search's data.

        Raises:
          InputError: an argument is wrong, or no architecture could be trained.
          KeyboardInterrupt: the call was interrupted; repeat it to resume.
        """
        check_value("top", top, Count)
        given = {"TrainingConfig.epochs": epochs, "NetworkConfig.filters": filters, "NetworkConfig.cells_per_stack": cells_per_stack}
        given = {name: value for name, value in given.items() if value is not None} | dict(bindings or {})
        scoped = {name if "/" in name or name.startswith("search.") else f"{RETRAIN}{name}": value for name, value in given.items()}
        winner, _, folder = self._run(lambda job, workdir: job.retrain(workdir, self.trials), {"search.retrain_top": top} | scoped)
        return load_nasnet(retraining.trained_folder(folder, winner.genotype))

    def __repr__(self) -> str:
        rewarded = sum(trial.status == "finished" for trial in self.trials)
        best = self.best
        counts = f"{len(self.trials)} trials, {rewarded} rewarded"
        return f"{counts}; best: trial {best.trial.number}, validation accuracy {best.accuracy:.4f}; {self.workdir}"

    def _repr_html_(self) -> str:
        pictures = {"The best cells": self.best.draw(), "Validation accuracy": plots.plot_rewards(self.trials)}
        images = [page.image(diagram.figure_to_svg(figure).encode(), caption) for caption, figure in pictures.items()]
        rows = [
            f"<tr><td>{trial.number}</td><td>{accuracy_of(trial):.4f}</td><td>{html.escape(trial.hash)}</td></tr>"
            for trial in leaderboard(self.trials)[:_SHOWN]
        ]
        head = "<tr><th>trial</th><th>validation accuracy</th><th>architecture</th></tr>"
        return f"<p>{html.escape(repr(self))}</p>{''.join(images)}<table>{head}{''.join(rows)}</table>"
