"""Recognizes the network of the zoo that a weights file belongs to by counting its parameters; no network is built for this."""

import math
import pathlib
import re

from nasnet_tf.genotype import load_genotype
from nasnet_tf.models.network import first_stack_filters
from nasnet_tf.models.zoo import ZOO, Variant
from nasnet_tf.serving.weights.files import raw_shapes

_AUXILIARY = re.compile(r"(.*/)?(aux_\d+|auxiliary_\w+)/")
_MOVING = re.compile(r".*(moving_mean|moving_variance)(:0)?|.*/vars/[23]")  # statistics, which are not trained
_KERNEL, _CLASSIFIER, _VECTOR = 4, 2, 1  # numbers of dimensions


def recognized(path: pathlib.Path) -> str | None:
    """Returns the key of the network in ZOO that a weights file belongs to, or None.

    A network matches if it has as many trainable parameters before its classifier as the file.

    This only chooses the network to build. Loading the weights into it then compares every tensor.

    Raises:
      InputError: the file cannot be read, or does not hold weights.
    """
    shapes = {name: shape for name, shape in raw_shapes(path).items() if not _AUXILIARY.match(name)}
    kernels = sum(math.prod(shape) for shape in shapes.values() if len(shape) == _KERNEL)
    vectors = sum(shape[0] for name, shape in shapes.items() if len(shape) == _VECTOR and not _MOVING.fullmatch(name))
    biases = sum(shape[1] for shape in shapes.values() if len(shape) == _CLASSIFIER)
    return next((key for key, row in ZOO.items() if parameters_before_classifier(row) == kernels + vectors - biases), None)


def parameters_before_classifier(row: Variant) -> int:
    """Returns the number of trainable parameters of a zoo network without its classifier.

    The classifier does not count, because a weights file may lack it or have one for other classes.
    """
    filters = first_stack_filters(load_genotype(row.genotype), row.config)
    features = filters * round(row.config.penultimate_filters / filters)
    return row.trainable_parameters - (features + 1) * row.num_classes
