"""Drop path and dropout with random numbers that depend only on a seed, a counter and the replica.

The counter is saved with the network, so a resumed run draws the same numbers as an uninterrupted one. Both layers draw a new mask at
every training call, and each replica draws a different one.
"""

import random

import keras
import tensorflow as tf


class _Stochastic(keras.layers.Layer):
    def __init__(self, seed: int | None, **kwargs):
        super().__init__(**kwargs)
        # As in Keras' layers, a missing seed is drawn from a generator that keras.utils.set_random_seed makes reproducible.
        self.seed = random.getrandbits(31) if seed is None else seed
        # A plain tf.Variable is saved in checkpoints, but is not a weight of the network.
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
        """The layer's variables, none of which is a weight."""
        return [self.counter]

    def _uniform(self, shape) -> tf.Tensor:
        """Returns new random numbers at each call, float32 in [0, 1), and advances the counter."""
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        seed = tf.stack([tf.bitwise.bitwise_xor(tf.constant(self.seed, tf.int32), tf.cast(replica, tf.int32)), self.counter])
        values = tf.random.stateless_uniform(shape, seed)
        self.counter.assign_add(1)
        return values


class DropPath(_Stochastic):
    """Scheduled drop path (paper appendix A.5): drops whole paths per example, more often as the training proceeds.

    Attributes:
      rate: probability of dropping a path at the end of training, in [0, 1).
      num_paths: number of paths that are dropped independently.
      progress: tf.Variable in [0, 1]; the current probability is progress * rate. It is 1 until a training loop sets it, so a model that is
        trained without a schedule has ordinary drop path.
    """

    def __init__(self, rate: float, num_paths: int, seed: int | None = None, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate, self.num_paths = rate, num_paths
        self.progress = tf.Variable(1.0, trainable=False, name="progress")

    @property
    def state(self) -> list[tf.Variable]:
        return [self.counter, self.progress]

    def sample(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Returns a factor for each path and example, float32 [num_paths, batch, 1, 1, 1]: 0 if dropped, else 1 / keep probability."""
        keep = 1.0 - self.rate * self.progress
        return tf.floor(keep + self._uniform([self.num_paths, batch_size, 1, 1, 1])) / keep


@keras.saving.register_keras_serializable(package="nasnet_tf")
class Dropout(_Stochastic):
    """Dropout of single features in training: float [batch, features] -> float [batch, features].

    Args:
      rate: probability of dropping a feature, in [0, 1).
      seed: seed of the random numbers; None to draw one.
    """

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
    """Returns all layers of a model that draw random numbers, at any depth."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, _Stochastic)]
