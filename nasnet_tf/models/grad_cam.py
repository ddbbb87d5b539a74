"""Grad-CAM: maps of the image regions that raise the score of a class (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2)."""

from collections.abc import Callable

import keras
import tensorflow as tf

from nasnet_tf.models.heads import GlobalPool


def grad_cam(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function that computes Grad-CAM on the last hidden state of a network.

    The hidden state is used after the ReLU of global pooling, because negative values never reach the classifier. If the classifier reads
    several states, all of them are used.

    Args:
      model: a network from images to logits with one GlobalPool.

    Returns:
      A function (images, classes) that returns (maps, logits).
      images: float32 [batch, height, width, 3], normalized as for the network.
      classes: int32 [batch]; a number below 0 stands for the most probable class.
      maps: float32 [batch, height', width'], 0 or more, without a fixed scale.
      logits: float32 [batch, num_classes].
    """
    pool = next(layer for layer in model.layers if isinstance(layer, GlobalPool))
    hidden = GlobalPool(pool.style, None, name=f"{pool.name}_states", dtype=pool.dtype_policy)(pool.input)
    trunk = keras.Model(model.input, [hidden, pool.output])
    head = keras.Model(pool.output, model.output)

    def maps(images: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        states, features = trunk(images, training=False)
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = head(features, training=False)
            numbers = tf.where(classes < 0, tf.argmax(logits, 1, tf.int32), classes)
            scores = tf.gather(logits, numbers, batch_dims=1)
        # Equation 1, up to a factor that is equal for all channels: pooling distributes the gradient of a feature evenly over its map.
        gradients = tf.cast(tape.gradient(scores, features), tf.float32)
        weights = tf.reduce_mean(tf.reshape(gradients, [tf.shape(images)[0], -1, gradients.shape[-1]]), 1)
        return tf.nn.relu(tf.einsum("bhwc,bc->bhw", tf.cast(states, tf.float32), weights)), tf.cast(logits, tf.float32)

    return maps
