"""Tables of trained architectures, against which search strategies are benchmarked.

A table has these attributes:
- `space`: a search space with the interface that strategies use;
- `reward(decisions, draws)`: the reward that a search sees, in [0, 1];
- `truth(decisions)`: the true accuracy of the architecture, in percent;
- `cost(decisions)`: a cost of the architecture;
- `best`: the highest truth of a complete table, otherwise None;
- `all`: (cost, truth) of each architecture of a complete table, otherwise None.
"""

import csv
import dataclasses
import json
import math
import pathlib
import random
import tarfile
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from nasnet_tf.genotype import SearchSpace
from nasnet_tf.genotype.search_space import DECISIONS_PER_BLOCK
from nasnet_tf.nas.strategies.graph_features import Cells, GraphFeatures, cells_of

_TREES, _FOLDS = 100, 5


@dataclasses.dataclass(frozen=True)
class NasBench201Space(SearchSpace):
    """The cells of NAS-Bench-201 (arXiv 2001.00326): four states, with an operation from each state to each later one.

    Decisions are indices into NAMES, one for each edge. The attributes of SearchSpace that describe blocks do not apply.
    """

    EDGES: ClassVar = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    NAMES: ClassVar = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

    @property
    def sizes(self) -> tuple[int, ...]:
        return (len(self.NAMES),) * len(self.EDGES)

    def description(self) -> dict:
        return {"space": "NAS-Bench-201"}

    def identity_of(self, decisions: Sequence[int]) -> str:
        """Returns the decisions as text. Cells with equal graphs count as different, because the table has separate trainings for them."""
        return ",".join(map(str, decisions))


@cells_of.register
def _(space: NasBench201Space, decisions: Sequence[Sequence[int]]) -> dict[str, Cells]:
    kinds = np.asarray(decisions, int) - 1
    sources = np.tile([source for source, _ in space.EDGES], (len(kinds), 1))
    outputs = np.tile([False, False, False, True], (len(kinds), 1))
    return {"cell": Cells(1, space.NAMES[1:], np.array([target for _, target in space.EDGES]), sources, kinds, outputs)}


_EDGE_COSTS = {"none": 0, "skip_connect": 0, "nor_conv_1x1": 1, "nor_conv_3x3": 9, "avg_pool_3x3": 0}


class NasBench201:
    """The table of all 15,625 cells. The reward comes from a short training and the truth from a long one."""

    def __init__(self, path: pathlib.Path, reward: str = "validation_12_epochs", truth: str = "test_200_epochs"):
        """Reads a CSV file with a row for each cell.

        Args:
          path: the file. Columns "edge_0_1" and so on hold names of operations.
          reward: name of the column of rewards, accuracies in percent.
          truth: name of the column of truths, accuracies in percent.
        """
        self.space = NasBench201Space()
        self._rewards, self._truths = {}, {}
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                decisions = tuple(self.space.NAMES.index(row[f"edge_{source}_{target}"]) for source, target in self.space.EDGES)
                self._rewards[decisions], self._truths[decisions] = float(row[reward]) / 100, float(row[truth])
        self.best = max(self._truths.values())
        self.all = [(self.cost(decisions), truth) for decisions, truth in self._truths.items()]

    def cost(self, decisions: Sequence[int]) -> float:
        """Returns the multiply-adds of the operations on the edges, in units of a 1x1 convolution, plus 1 for the rest of the cell."""
        return 1.0 + sum(_EDGE_COSTS[self.space.NAMES[each]] for each in decisions)

    def reward(self, decisions: tuple[int, ...], draws: random.Random) -> float:
        return self._rewards[decisions]

    def truth(self, decisions: tuple[int, ...]) -> float:
        return self._truths[decisions]


_KERNEL_SIZES = {"1X1": 1, "3X3": 9, "5X5": 25, "7X7": 49, "3X1": 6, "7X1": 14}


class Surrogate:
    """A table of a whole space, predicted from a sample of trained architectures.

    The prediction is the mean of a ridge regression and a random forest. Both predict minus the logarithm of the error in percent, from
    one-hot decisions and graph features. Rewards are predictions with noise: each reward adds a random one of the cross-validation errors.
    Truths far above the best trained architecture are extrapolated, so only compare strategies with each other.

    Attributes:
      r2, rank_correlation: quality of the cross-validated predictions.
    """

    best = all = None

    def __init__(self, space: SearchSpace, decisions: Sequence[Sequence[int]], accuracies: Sequence[float], largest_error: float = 50.0):
        """Fits the model.

        Args:
          space: search space of the architectures.
          decisions: decisions of n architectures.
          accuracies: their accuracies, in percent.
          largest_error: larger errors, in percent, are reduced to this one.
        """
        from scipy import stats
        from sklearn import model_selection

        self.space, self._largest_error = space, largest_error
        self._features, self._truths = GraphFeatures(space), {}
        inputs = self._inputs(decisions)
        values = -np.log(np.minimum(100 - np.asarray(accuracies), largest_error))
        unseen = np.zeros(len(values))
        for rest, fold in model_selection.KFold(_FOLDS, shuffle=True, random_state=0).split(inputs):
            unseen[fold] = _Ensemble(inputs[rest], values[rest]).predict(inputs[fold])
        self._noise = values - unseen
        self.r2 = float(1 - np.var(self._noise) / np.var(values))
        self.rank_correlation = float(stats.spearmanr(values, unseen).statistic)
        self._model = _Ensemble(inputs, values)

    def reward(self, decisions: tuple[int, ...], draws: random.Random) -> float:
        value = self._value(decisions) + self._noise[draws.randrange(len(self._noise))]
        return 1 - min(math.exp(-value), 99.0) / 100

    def cost(self, decisions: Sequence[int]) -> float:
        """Returns 1 plus the weights per channel in the kernels of all operations, which grow with the multiply-adds."""
        return 1.0 + sum(
            _KERNEL_SIZES.get(operation.rsplit("_", 1)[-1], 0) for operation in self._operations(decisions) if "CONV" in operation
        )

    def _operations(self, decisions: Sequence[int]) -> Iterator[str]:
        for place in range(0, len(decisions), DECISIONS_PER_BLOCK):
            yield from (self.space.operations[each] for each in decisions[place + 2 : place + 4])

    def truth(self, decisions: tuple[int, ...]) -> float:
        return 100 - math.exp(-self._value(decisions))

    def _value(self, decisions: tuple[int, ...]) -> float:
        if decisions not in self._truths:
            self._truths[decisions] = float(self._model.predict(self._inputs([decisions]))[0])
        return self._truths[decisions]

    def _inputs(self, decisions: Sequence[Sequence[int]]) -> np.ndarray:
        decisions = np.asarray(decisions)
        hot = [np.eye(size)[decisions[:, place]] for place, size in enumerate(self.space.sizes) if size > 1]
        return np.concatenate([*hot, self._features(decisions)], axis=1)


class _Ensemble:
    """The mean of a ridge regression and a random forest. The forest is stored as arrays: scikit-learn takes 10 ms for one prediction."""

    def __init__(self, inputs: np.ndarray, values: np.ndarray):
        from sklearn import ensemble, linear_model

        self._mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        self._ridge = linear_model.RidgeCV(np.logspace(-1, 4, 16)).fit((inputs - self._mean) / self._scale, values)
        forest = ensemble.RandomForestRegressor(_TREES, min_samples_leaf=2, max_features=0.33, random_state=0).fit(inputs, values)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        own = [np.arange(tree.node_count) for tree in trees]
        leaves = [tree.children_left < 0 for tree in trees]
        self._roots, self._depth = starts[:-1], max(tree.max_depth for tree in trees)
        self._feature = np.concatenate([np.where(leaf, 0, tree.feature) for leaf, tree in zip(leaves, trees, strict=True)])
        self._threshold = np.concatenate([np.where(leaf, np.inf, tree.threshold) for leaf, tree in zip(leaves, trees, strict=True)])
        self._next = np.stack(
            [
                np.concatenate(
                    [start + np.where(*each) for start, each in zip(starts[:-1], zip(leaves, own, side, strict=True), strict=True)]
                )
                for side in ([tree.children_right for tree in trees], [tree.children_left for tree in trees])
            ]
        )
        self._values = np.concatenate([tree.value[:, 0, 0] for tree in trees])

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        single = inputs.astype(np.float32)  # scikit-learn compares in this precision
        nodes = np.tile(self._roots, (len(inputs), 1))
        rows = np.arange(len(inputs))[:, None]
        for _ in range(self._depth):
            nodes = self._next[(single[rows, self._feature[nodes]] <= self._threshold[nodes]).astype(int), nodes]
        return (self._ridge.predict((inputs - self._mean) / self._scale) + self._values[nodes].mean(axis=1)) / 2


def lanas(path: pathlib.Path) -> Surrogate:
    """Returns the surrogate of LaNAS' cells, from a CSV file with left_0, right_0, left_op_0, right_op_0, ... and cifar10_accuracy."""
    operations = ("SEP_CONV_3X3", "MAX_POOL_3X3", "IDENTITY", "SEP_CONV_5X5")
    space = SearchSpace(num_blocks=7, operations=operations, combines=("ADD",), fixed_reduction="nasnet_a")
    decisions, accuracies = [], []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            blocks = [
                (int(row[f"left_{block}"]), int(row[f"right_{block}"]), *(operations.index(row[f"{side}_op_{block}"]) for side in SIDES), 0)
                for block in range(space.num_blocks)
            ]
            decisions.append([decision for block in blocks for decision in block])
            accuracies.append(float(row["cifar10_accuracy"]))
    return Surrogate(space, decisions, accuracies)


SIDES = ("left", "right")


def journals(paths: Sequence[pathlib.Path]) -> Surrogate:
    """Returns the surrogate of the children of searches over the default space; a path is a journal or a tar archive of journals."""
    space, found = SearchSpace(), {}
    for lines in _journals(paths):
        proposed = {}
        for event in map(json.loads, lines):
            if event.get("event") == "proposed":
                proposed[event["trial"]] = event
            elif event.get("event") == "finished" and event.get("reward") is not None and event["trial"] in proposed:
                found.setdefault(proposed[event["trial"]]["hash"], (proposed[event["trial"]]["decisions"], 100 * event["reward"]))
    decisions, accuracies = zip(*found.values(), strict=True)
    return Surrogate(space, decisions, accuracies, largest_error=90.0)


def _journals(paths: Sequence[pathlib.Path]) -> Iterator[list[str]]:
    for path in paths:
        if ".tar" in path.name:
            with tarfile.open(path) as archive:
                for name in sorted(archive.getnames()):
                    if name.endswith("journal.jsonl") and "/long/" not in name:  # journals of retrainings, which train longer
                        yield archive.extractfile(name).read().decode().splitlines()
        else:
            yield path.read_text(encoding="utf-8").splitlines()
