"""Scores architectures with weights that all architectures of a space share: one training instead of one per architecture.

ENAS (arXiv 1802.03268) introduced shared weights to architecture search. Here they are trained as in the single-path one-shot method (arXiv
1904.00420): every step trains one architecture, drawn uniformly, and the search starts after this training. The reward of an architecture
is its accuracy on held-out batches, where batch normalization uses the statistics of each batch. Such scores may rank architectures
differently than trainings from scratch (arXiv 1902.08142); tools/rank_correlation.py measures this for a space and a data set.
"""

import dataclasses
import functools
import io
import pathlib
import random
import time
import zipfile
from collections.abc import Iterable, Iterator

import numpy as np

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.terminal import ProgressLine
from nasnet_tf.base.values import Count
from nasnet_tf.genotype import parse_genotype
from nasnet_tf.models.space.plan import Plan, fresh_weight
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.nas.children.space_training import SpaceEvaluator, Stack

FOLDER, NAME = "shared", "weights.npz"
_SAVE_SECONDS = 120.0
_Key = tuple[int, ...]  # (place, branch, index of the weight in the branch, *shape of the whole array)


class WeightStore:
    """Holds the shared weights of a space and their velocities.

    Each array is as large as the largest architecture needs; smaller architectures use a part of it. A weight is created when it is first
    used. Its initial value depends only on the seed and its place, not on the order of creation.

    Args:
      widest: largest number of input channels at each place; see `SpaceNetwork.widest`.
      seed: seed of the initial weights.
    """

    def __init__(self, widest: list[int], seed: int):
        self._widest, self._seed = widest, seed
        self._arrays: dict[_Key, np.ndarray] = {}  # each [2, ...]: the weight and its velocity

    def _entries(self, plan: Plan):
        """Yields, for each weight in the order of the plan, the whole array and the index of the part that the plan uses."""
        for place, ((branch, named), rows) in enumerate(zip(plan.places, plan.rows, strict=True)):
            for number, (name, shape) in enumerate(named):
                if name.startswith("moving_"):
                    continue
                # Only the input channels of kernels vary between architectures; all other dimensions have the width of the cell.
                axis = {4: 2, 2: 0}.get(len(shape))
                channels = None if axis is None else shape[axis]
                reads_input = channels is not None and rows is not None and channels == len(rows)
                whole = shape
                if axis is not None:
                    width = self._widest[place] if reads_input else max(channels, self._widest[place]) if rows is None else channels
                    whole = (*shape[:axis], width, *shape[axis + 1 :])
                # Some layers are internally as wide as their input; they have separate weights for each width.
                key = (place, branch, number, *whole)
                if key not in self._arrays:
                    self._arrays[key] = self._fresh(key, name, whole)
                index = [slice(size) for size in shape]
                if reads_input:
                    index[axis] = rows
                yield self._arrays[key], (slice(None), *index)

    def _fresh(self, key: _Key, name: str, shape: tuple[int, ...]) -> np.ndarray:
        values = np.zeros((2, *shape), np.float32)
        values[0] = fresh_weight(name, shape, [self._seed, (key[0] * 1000 + key[1]) * 100 + key[2]])
        return values

    def gather(self, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
        """Returns the weights and velocities of an architecture, float32 vectors in the order of its plan."""
        parts = [array[index].reshape(2, -1) for array, index in self._entries(plan)]
        return tuple(np.concatenate(parts, axis=1))

    def scatter(self, plan: Plan, weights: np.ndarray, velocities: np.ndarray) -> None:
        """Writes the weights and velocities of an architecture back; the inverse of `gather`."""
        both, start = np.stack([weights, velocities]), 0
        for array, index in self._entries(plan):
            shape = array[index].shape
            size = int(np.prod(shape[1:]))
            array[index] = both[:, start : start + size].reshape(shape)
            start += size

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays by name."""
        return {"-".join(map(str, key)): array for key, array in self._arrays.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Restores what `arrays` returned."""
        self._arrays = {tuple(map(int, name.split("-"))): array for name, array in arrays.items()}


@dataclasses.dataclass(eq=False)
class SharedWeights(SpaceEvaluator):
    """Scores an architecture by its accuracy with shared weights, which are trained once at the beginning of a search.

    The training saves its state every two minutes and resumes from there if it was killed.

    Attributes:
      score_batches: number of held-out batches an architecture is scored on, 1 or more; None for all.
    """

    score_batches: Count | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.training.patience is not None:
            raise InputError(f"SharedWeights: expected TrainingConfig.patience to be None, got {self.training.patience}")
        self._step, self._seconds = 0, 0.0

    @functools.cached_property
    def _store(self) -> WeightStore:
        return WeightStore(self._steps.network.widest, self._steps.training.seed)

    def prepare(self, workdir: pathlib.Path) -> tuple[str, float]:
        return "shared weights", self.train(workdir)

    def train(self, workdir: pathlib.Path, max_steps: int | None = None) -> float:
        """Trains the shared weights, or resumes their training.

        Args:
          workdir: work folder of the search; the weights are saved in its subfolder "shared".
          max_steps: step after which to stop; None to train to the end.

        Returns:
          Total training time so far, in seconds.
        """
        folder = workdir / FOLDER
        self._restore(folder / NAME)
        steps = self._steps
        end = steps.total_steps if max_steps is None else min(max_steps, steps.total_steps)
        if self._step < end:
            with work_folders.sole_writer(folder):
                self._restore(folder / NAME)  # another process may have trained further before this one got the lock
                self._train_until(end, folder / NAME)
        return self._seconds

    def _train_until(self, end: int, path: pathlib.Path) -> None:
        steps = self._steps
        line = ProgressLine("shared weights", steps.total_steps, "steps", self._step)
        began = saved = time.monotonic()
        before = self._seconds
        for images, labels in steps.read_training(self._step, end):
            loss = self._train_one(images, labels)
            now = time.monotonic()
            self._seconds = before + now - began
            if now - saved > _SAVE_SECONDS or self._step == end:
                self._save(path)
                saved = now
            line.update(self._step, loss=loss)

    def _train_one(self, images: np.ndarray, labels: np.ndarray) -> float:
        steps = self._steps
        decisions = self.space.sample(random.Random(f"{steps.training.seed} {self._step}"))
        plan = steps.network.plan(self.space.decode(decisions))
        weights, velocity = self._store.gather(plan)
        weights, _, velocity, loss = steps.step(
            images, labels, steps.rate(self._step), velocity, plan.is_decayed, weights, plan.fresh_statistics(), *plan.arrays
        )
        self._step += 1
        if not np.isfinite(loss):
            raise InputError(f"shared weights: the loss is {float(loss)} at step {self._step}; try a lower learning rate")
        self._store.scatter(plan, weights.numpy(), velocity.numpy())
        return float(loss)

    def _save(self, path: pathlib.Path) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, step=self._step, seconds=self._seconds, **self._store.arrays())
        replace_file(path, buffer.getvalue())

    def _restore(self, path: pathlib.Path) -> None:
        if not path.is_file():
            return
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
            self._step, self._seconds = arrays.pop("step").item(), arrays.pop("seconds").item()
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: damaged ({error}); remove it to train the shared weights again") from error
        self._store.restore(arrays)

    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        """Scores an architecture by its accuracy with the shared weights, in [0, 1]; see `Evaluator`."""
        steps = self._steps
        plan = steps.network.plan(parse_genotype(genotype_text))
        weights, _ = self._store.gather(plan)
        stacks = _first(steps.validation_stacks, self.score_batches)
        score = steps.accuracy(stacks, weights, plan.fresh_statistics(), plan, own_statistics=True)
        metrics = {"parameters": int(plan.sizes[:, 0].sum()), "shared_steps": self._step, "num_classes": steps.data.num_classes}
        return {"reward": score, "metrics": metrics}


def _first(stacks: Iterable[Stack], count: int | None) -> Iterator[Stack]:
    """Yields the first `count` batches of stacks, or all."""
    for stack in stacks:
        yield tuple(column[:count] for column in stack)
        if count is not None:
            count -= len(stack[0])
            if count <= 0:
                return
