"""Batch normalization in one fused op, and the layer and instance normalizations of NASNet-B and -C (paper appendix B)."""

import dataclasses

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class LayerStyle:
    """What all layers of a network share.

    Attributes:
      batch_norm_momentum: share of the old moving statistics kept at each step (slim calls it decay).
      batch_norm_epsilon: added to the variance.
      bounded_activation: ReLU6 for every ReLU and results of operations clipped to [-6, 6], for low-precision inference.
      synchronized_batch_norm: batch statistics over all replicas together; otherwise each replica has its own, as in the paper.
    """

    batch_norm_momentum: float
    batch_norm_epsilon: float
    bounded_activation: bool = False
    synchronized_batch_norm: bool = False

    def activation(self, tensor: tf.Tensor) -> tf.Tensor:
        """ReLU, or ReLU6 where activations are bounded."""
        return tf.nn.relu6(tensor) if self.bounded_activation else tf.nn.relu(tensor)


class StyledLayer(keras.layers.Layer):
    """A layer whose saved configuration holds its style."""

    def __init__(self, style: LayerStyle, **kwargs):
        super().__init__(**kwargs)
        self.style = style

    def get_config(self):
        return {**super().get_config(), "style": dict(vars(self.style))}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "style": LayerStyle(**config["style"])})


class BatchNorm(StyledLayer):
    """Batch normalization over batch, height and width, per replica unless the style says otherwise.

    Keras' own layer computes moments and arithmetic as some twenty ops; here it is the one fused op, which halves the graph of a network
    and the time to trace it. As in TF-slim, the moving variance takes the batch variance with Bessel's correction (n / (n - 1)), where
    Keras takes the biased one. A frozen layer (`trainable = False`) uses and keeps its moving statistics, as in Keras.
    """

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)
        self.moving_mean = self._local("moving_mean", "zeros", shape)
        self.moving_variance = self._local("moving_variance", "ones", shape)
        self.built = True

    def _local(self, name, initializer, shape):
        """A weight of which each replica writes its own, so that an update costs no communication.

        The training loop brings them together where they are needed; other loops on several devices evaluate and save the first one's.
        """
        local = {"synchronization": "on_read", "aggregation": "only_first_replica"}  # which add_weight does not know
        return keras.Variable(initializer, shape, self.variable_dtype, trainable=False, autocast=False, name=name, **local)

    def call(self, inputs, training=None):
        update = bool(training) and self.trainable
        context = tf.distribute.get_replica_context()
        if update and self.style.synchronized_batch_norm and context is not None and context.num_replicas_in_sync > 1:
            return self._synchronized(inputs, context)
        # With an averaging factor the op returns the new moving statistics themselves: two assignments and no arithmetic.
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.convert_to_tensor(self.moving_mean),
            variance=tf.convert_to_tensor(self.moving_variance),
            epsilon=self.style.batch_norm_epsilon,
            exponential_avg_factor=1.0 - self.style.batch_norm_momentum if update else 1.0,
            is_training=update,
        )
        if update:
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
        return outputs

    def _synchronized(self, inputs, context):
        """The same with the moments of all replicas, whose parts of the batch are of one size."""
        values = tf.cast(inputs, tf.float32)
        mean, variance, count = _moments_of_all(values, context)
        share = 1.0 - self.style.batch_norm_momentum
        for moving, moment in ((self.moving_mean, mean), (self.moving_variance, variance * count / tf.maximum(count - 1.0, 1.0))):
            moving.assign(moving + share * (moment - moving))
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        outputs = tf.nn.batch_normalization(values, mean, variance, beta, gamma, self.style.batch_norm_epsilon)
        return tf.cast(outputs, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


def _moments_of_all(values: tf.Tensor, context: tf.distribute.ReplicaContext) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean and variance of the channels over all replicas, float32 [channels], and of how many values, float32 [].

    Each replica tells all others its own mean and variance, as one tensor, and these are combined without a difference of large numbers
    (Chan, Golub and LeVeque 1979). A sum of squares would need less room on the way, and loses digits where the mean is far from 0.
    """
    replicas, axes = context.num_replicas_in_sync, [0, 1, 2]
    count = tf.cast(tf.reduce_prod(tf.shape(values)[:-1]) * replicas, tf.float32)

    @tf.custom_gradient
    def moments(values):
        place = tf.one_hot(context.replica_id_in_sync_group, replicas)[:, None, None]
        told = context.all_reduce(tf.distribute.ReduceOp.SUM, place * tf.stack(tf.nn.moments(values, axes)))
        means, variances = tf.unstack(told, axis=1)
        mean, between = tf.nn.moments(means, [0])

        def gradient(of_mean, of_variance):
            of_mean, of_variance = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack([of_mean, of_variance])) / count)
            return of_mean + 2.0 * of_variance * (values - mean)

        return (mean, tf.reduce_mean(variances, 0) + between), gradient

    return *moments(values), count


class MomentNorm(keras.layers.Layer):
    """Normalization of each example on its own, then a learned gain and bias per channel, as in tf.contrib.layers.

    over="layer": mean and variance over height, width and channels; over="instance": over height and width, per channel.
    """

    EPSILON = 1e-6  # of tf.contrib.layers.instance_norm; layer_norm there has 1e-12, too small to matter in float32

    def __init__(self, over: str, **kwargs):
        super().__init__(**kwargs)
        self.axes = {"layer": [1, 2, 3], "instance": [1, 2]}[over]

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)
        self.built = True

    def call(self, inputs):
        values = tf.cast(inputs, tf.float32)
        mean, variance = tf.nn.moments(values, self.axes, keepdims=True)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        return tf.cast(tf.nn.batch_normalization(values, mean, variance, beta, gamma, self.EPSILON), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
