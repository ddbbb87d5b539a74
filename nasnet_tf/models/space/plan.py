"""An architecture as a vector of integers: what a SpaceNetwork is told to compute, and how its weights lie in one vector."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.layers.convolutions import slim_stddev
from nasnet_tf.models.cell import Cell

Weight = tuple[str, tuple[int, ...]]  # name in its layer, shape


@dataclasses.dataclass(frozen=True)
class Plan:
    """An architecture as a SpaceNetwork takes it. Places are the stem, those of each cell in the order of its Layout, and the classifier.

    Attributes:
      branches: int32 [places], which branch runs.
      sizes: int32 [places, 2], of their weights and moving statistics in the two vectors.
      shapes: int32 [places, most weights and statistics of a place, 4], the weights' first, filled up with ones.
      inputs: int32 [cells, blocks, 2], the states that a block reads.
      concatenates: int32 [cells, blocks], 1 where a block concatenates, 0 where it adds.
      outputs: int32 [cells, states], the states that the cell's output is made of, filled up with the number of an empty one.
      weights, statistics: what the vectors are made of.
      places: of each place its branch and all that it has, weights first.
      rows: of each place that reads a cell's output, to which of that cell's states its channels belong, int [channels]: state s has the
        numbers from s * widest on, where `widest` is the most channels that a state of that cell may have. None for other places.
    """

    branches: np.ndarray
    sizes: np.ndarray
    shapes: np.ndarray
    inputs: np.ndarray
    concatenates: np.ndarray
    outputs: np.ndarray
    weights: Sequence[Weight]
    statistics: Sequence[Weight]
    places: Sequence[tuple[int, Sequence[Weight]]]
    rows: Sequence[np.ndarray | None]

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What a traced function takes."""
        return self.branches, self.sizes, self.shapes, self.inputs, self.concatenates, self.outputs

    @property
    def is_decayed(self) -> np.ndarray:
        """float32 [weights]: 1 for the elements of kernels, which weight decay is for, 0 for others."""
        return _of_each(self.weights, lambda name, _: name.endswith("kernel"))

    def fresh_weights(self, seed: int) -> np.ndarray:
        """float32 [weights], distributed as those of build_network."""
        normal = tf.random.stateless_truncated_normal([int(self.sizes[:, 0].sum())], [seed, 0]).numpy()
        deviations = _of_each(self.weights, lambda name, shape: slim_stddev(shape) if name.endswith("kernel") else 0.0)
        return normal * deviations + _of_each(self.weights, lambda name, _: name == "gamma")

    def fresh_statistics(self) -> np.ndarray:
        """float32 [statistics]: means of 0, variances of 1."""
        return _of_each(self.statistics, lambda name, _: name == "moving_variance")


def fresh_weight(name: str, shape: tuple[int, ...], seed: Sequence[int]) -> np.ndarray:
    """float32, a single weight by its name, distributed as in build_network; two integers are the seed."""
    if name.endswith("kernel"):
        return tf.random.stateless_truncated_normal(shape, seed, stddev=slim_stddev(shape)).numpy()
    return np.full(shape, float(name == "gamma"), np.float32)


def _of_each(weights: Sequence[Weight], number: Callable[[str, tuple[int, ...]], float]) -> np.ndarray:
    """number(name, shape) of each weight, for each of its elements."""
    sizes = [int(np.prod(shape)) for _, shape in weights]
    return np.repeat(np.array([number(*weight) for weight in weights], np.float32), sizes)


def placed_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a built network in the order of a plan's places; those where nothing stands are left out."""
    found = [model.get_layer("stem")]
    for cell in model.layers:
        if isinstance(cell, Cell):
            found += [layer for layers in cell.fits for layer in layers]
            for pair, norm in zip(cell.branches, cell.norms, strict=True):
                found += [*pair, norm] if norm else pair
            found += [layer for _, layers in sorted(cell.output_fits.items()) for layer in layers]
    return [*found, model.get_layer("logits")]


def weights_of(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """(weights, moving statistics), float32 vectors, of a network in the order of its genotype's plan."""

    def vector(name: str) -> np.ndarray:
        values = [variable.numpy().ravel() for layer in placed_layers(model) for variable in getattr(layer, name)]
        return np.concatenate(values).astype(np.float32)

    return vector("trainable_variables"), vector("non_trainable_variables")
