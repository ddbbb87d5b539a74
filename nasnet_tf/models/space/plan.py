"""An architecture as arrays of integers: they tell a SpaceNetwork what to compute, and where each weight is in one vector."""

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
    """An architecture for a SpaceNetwork. Its places are the stem, the places of each cell in the order of its Layout, and the classifier.

    Attributes:
      branches: int32 [places], the branch that runs.
      sizes: int32 [places, 2], number of values of the place in the vector of weights and in the vector of moving statistics.
      shapes: int32 [places, maximum number of weights and statistics of a place, 4], shapes of the weights, then of the statistics, padded
        with ones.
      inputs: int32 [cells, blocks, 2], the states that a block reads.
      concatenates: int32 [cells, blocks], 1 if a block concatenates, 0 if it adds.
      outputs: int32 [cells, states], the states in the cell's output, padded with the number of an empty state.
      weights, statistics: name and shape of each part of the vector of weights and of the vector of moving statistics.
      places: (branch, weights followed by statistics) of each place.
      rows: for each place that reads the output of the stem or of a cell, the source state of each input channel, int [channels], encoded
        as `state * widest + channel`, where `widest` is the maximum number of channels of a state of that cell. The stem has one state.
        None for other places.
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
        """The arrays that a traced function takes, in the order of SpaceNetwork.signature."""
        return self.branches, self.sizes, self.shapes, self.inputs, self.concatenates, self.outputs

    @property
    def is_decayed(self) -> np.ndarray:
        """float32 [weights]: 1 for the values of kernels, to which weight decay applies, 0 for others."""
        return _of_each(self.weights, lambda name, _: name.endswith("kernel"))

    def fresh_weights(self, seed: int) -> np.ndarray:
        """Returns initial weights, float32 [weights], with the distribution that build_network uses."""
        normal = tf.random.stateless_truncated_normal([int(self.sizes[:, 0].sum())], [seed, 0]).numpy()
        deviations = _of_each(self.weights, lambda name, shape: slim_stddev(shape) if name.endswith("kernel") else 0.0)
        return normal * deviations + _of_each(self.weights, lambda name, _: name == "gamma")

    def fresh_statistics(self) -> np.ndarray:
        """Returns initial statistics, float32 [statistics]: 0 for means, 1 for variances."""
        return _of_each(self.statistics, lambda name, _: name == "moving_variance")


def fresh_weight(name: str, shape: tuple[int, ...], seed: Sequence[int]) -> np.ndarray:
    """Returns one initial weight, float32, with the distribution that build_network uses for its name; seed: two integers."""
    if name.endswith("kernel"):
        return tf.random.stateless_truncated_normal(shape, seed, stddev=slim_stddev(shape)).numpy()
    return np.full(shape, float(name == "gamma"), np.float32)


def _of_each(weights: Sequence[Weight], number: Callable[[str, tuple[int, ...]], float]) -> np.ndarray:
    """Returns number(name, shape) of each weight, repeated for each of its values, float32."""
    sizes = [int(np.prod(shape)) for _, shape in weights]
    return np.repeat(np.array([number(*weight) for weight in weights], np.float32), sizes)


def placed_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers of a built network in the order of a plan's places, without the empty places."""
    found = [model.get_layer("stem")]
    for cell in model.layers:
        if isinstance(cell, Cell):
            found += [layer for layers in cell.fits for layer in layers]
            for pair, norm in zip(cell.branches, cell.norms, strict=True):
                found += [*pair, norm] if norm else pair
            found += [layer for _, layers in sorted(cell.output_fits.items()) for layer in layers]
    return [*found, model.get_layer("logits")]


def weights_of(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Returns (weights, moving statistics) of a network as float32 vectors, in the order of its genotype's plan."""

    def vector(name: str) -> np.ndarray:
        values = [variable.numpy().ravel() for layer in placed_layers(model) for variable in getattr(layer, name)]
        return np.concatenate(values).astype(np.float32)

    return vector("trainable_variables"), vector("non_trainable_variables")
