"""Layers whose weights are passed with each call: the templates that run in the places of a SpaceNetwork."""

import functools

import keras
import tensorflow as tf

from nasnet_tf.models.cell_layers import Kind, make_layer
from nasnet_tf.models.space.plan import Weight

RANK = 4  # number of axes of convolution kernels, which have the most of all weights, and of feature maps


def run_layer(layer, tensor, weights, statistics, shapes, *, training):
    """Calls a layer with the given weights and moving statistics instead of its own; returns its output and the new statistics.

    Args:
      layer: a built layer.
      tensor: input of the layer.
      weights, statistics: float32 vectors, in the order of the layer's variables.
      shapes: int32 [variables or more, RANK], shapes of the weights, then of the statistics, padded with ones.
      training: whether the layer runs in training mode.
    """
    trainable, moving = layer.trainable_variables, layer.non_trainable_variables
    if not (trainable or moving):
        return layer(tensor, training=training), statistics
    lengths, rows = tf.reduce_prod(shapes, axis=1), tf.unstack(shapes)
    with keras.StatelessScope(initialize_variables=False) as scope:
        for variables, values, first in ((trainable, weights, 0), (moving, statistics, len(trainable))):
            parts = tf.split(values, lengths[first : first + len(variables)], num=len(variables)) if len(variables) > 1 else [values]
            for number, variable in enumerate(variables):
                # A step runs hundreds of such layers, so each operation counts. A vector needs no reshape.
                rank, part = len(variable.shape), parts[number]
                if rank > 1:
                    part = tf.reshape(part, rows[first + number][:rank] if rank < RANK else rows[first + number])
                scope.add_update((variable, part))
        output = layer(tensor, training=training)
        if moving:
            statistics = tf.concat([tf.convert_to_tensor(scope.get_current_value(variable)) for variable in moving], 0)
    return output, statistics


def without_values(kind: Kind, channels: int, filters: int, style) -> keras.layers.Layer:
    """Returns a layer of a kind that is built, but whose weights are not initialized."""
    with keras.StatelessScope(initialize_variables=False):
        layer = make_layer(kind, filters, style, "place")
        layer.build((None, None, None, channels))
    return layer


@functools.cache
def weights_of_kind(kind: Kind, channels: int, filters: int, style) -> list[Weight]:
    """Returns the names and shapes of the weights of a layer of a kind, the trainable ones first."""
    return named_weights(without_values(kind, channels, filters, style))


def named_weights(layer: keras.layers.Layer) -> list[Weight]:
    """Returns the names and shapes of a layer's weights, the trainable ones first."""
    variables = [*layer.trainable_variables, *layer.non_trainable_variables]
    return [(variable.name, tuple(variable.shape)) for variable in variables]


def is_statistic(name: str) -> bool:
    """Returns whether a weight is a moving mean or variance."""
    return name.startswith("moving_")
