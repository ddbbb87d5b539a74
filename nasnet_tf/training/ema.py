"""Moving averages of all weights of a model, batch-norm statistics included (slim's trainer; evaluation in the paper uses them)."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from nasnet_tf.training.variables import named_weights


class WeightAverage(tf.Module):
    """average -= (1 - min(decay, (1 + step) / (10 + step))) * (average - weight), after every step.

    Make it in the scope of the strategy, after the model.
    """

    def __init__(self, model: keras.Model, decay: float):
        super().__init__()
        self.decay = decay
        self._model = model
        # Of what each replica has for itself, the moving statistics of batch normalization, each keeps its own average too: the mean of
        # the averages is the average of the means.
        self.averages = {
            path: tf.Variable(weight, trainable=False, synchronization=weight.synchronization, aggregation=weight.aggregation)
            for path, weight in named_weights(model).items()
        }

    def update(self, step: tf.Tensor) -> None:
        """step: int, the number of steps done before this one (slim passes its global step so)."""
        step = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self.decay, (1.0 + step) / (10.0 + step))
        for path, weight in named_weights(self._model).items():
            self.averages[path].assign_sub(share * (self.averages[path] - weight))

    def copy_to(self, model: keras.Model) -> None:
        """Gives a model of the same weights the averages."""
        for path, weight in named_weights(model).items():
            weight.assign(self.averages[path])

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averages for its weights inside the `with`."""
        raw = {path: weight.numpy() for path, weight in named_weights(self._model).items()}
        self.copy_to(self._model)
        try:
            yield
        finally:
            for path, weight in named_weights(self._model).items():
                weight.assign(raw[path])
