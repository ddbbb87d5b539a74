"""Drop path and dropout whose random numbers depend on a seed and a counter only.

The counter is saved with the network, so a resumed run draws what the uninterrupted one would have drawn. Both layers take a fresh mask
at every training call, on each replica its own.
"""

import random

import keras
import tensorflow as tf


class _Stochastic(keras.layers.Layer):
    def __init__(self, seed: int | None, **kwargs):
        super().__init__(**kwargs)
        # Like Keras' own layers: without a seed, one that keras.utils.set_random_seed makes reproducible.
        self.seed = random.getrandbits(31) if seed is None else seed
        # A plain tf.Variable: part of checkpoints, but not one of the network's weights.
        self.counter = tf.Variable(
            0,
            trainable=False,
            dtype=tf.int32,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="counter",
        )

    @property
    def state(self) -> list[tf.Variable]:
        """All variables, which are no weights."""
        return [self.counter]

    def _uniform(self, shape) -> tf.Tensor:
        """float32 in [0, 1), new at each call."""
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        seed = tf.stack([tf.bitwise.bitwise_xor(tf.constant(self.seed, tf.int32), tf.cast(replica, tf.int32)), self.counter])
        values = tf.random.stateless_uniform(shape, seed)
        self.counter.assign_add(1)
        return values


class DropPath(_Stochastic):
    """Scheduled drop path (paper appendix A.5): whole paths are dropped per example, more and more often as training goes on.

    Attributes:
      rate: probability of dropping at the end of training, in [0, 1).
      progress: tf.Variable in [0, 1], the part of `rate` in force. It is 1 until a training loop sets it, so that a model trained without
        a schedule has ordinary drop path.
    """

    def __init__(self, rate: float, num_paths: int, seed: int | None = None, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate, self.num_paths = rate, num_paths
        self.progress = tf.Variable(1.0, trainable=False, name="progress")

    @property
    def state(self) -> list[tf.Variable]:
        return [self.counter, self.progress]

    def sample(self, batch_size: tf.Tensor) -> tf.Tensor:
        """float32 [num_paths, batch, 1, 1, 1]: 0 for a dropped path, 1 / keep probability for a kept one."""
        keep = 1.0 - self.rate * self.progress
        return tf.floor(keep + self._uniform([self.num_paths, batch_size, 1, 1, 1])) / keep


@keras.saving.register_keras_serializable(package="nasnet_tf")
class Dropout(_Stochastic):
    """Dropout of single features: float [batch, features] -> the same, in training only."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate = rate

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        keep = 1.0 - self.rate
        return inputs * tf.cast(tf.floor(keep + self._uniform(tf.shape(inputs))) / keep, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def stochastic_layers(model: keras.Model) -> list[DropPath | Dropout]:
    """All layers of a model that draw random numbers, at any depth."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, _Stochastic)]
