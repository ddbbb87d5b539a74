"""Which network of the zoo the weights in a file are of, by counting them; no network is built to find out."""

import math
import pathlib
import re

from nasnet_tf.genotype import load_genotype
from nasnet_tf.models.network import first_stack_filters
from nasnet_tf.models.zoo import ZOO, Variant
from nasnet_tf.serving.weights.files import raw_shapes

_AUXILIARY = re.compile(r"(.*/)?(aux_\d+|auxiliary_\w+)/")
_MOVING = re.compile(r".*(moving_mean|moving_variance)(:0)?|.*/vars/[23]")  # statistics, which are not trained
_KERNEL, _CLASSIFIER, _VECTOR = 4, 2, 1  # dimensions


def recognized(path: pathlib.Path) -> str | None:
    """The row of the zoo that has as many trainable parameters before its classifier as a weights file; None if none has.

    Loading the weights compares every tensor; this only finds out what to load them into.

    Raises:
      InputError: a file that cannot be read, or that is none of weights.
    """
    shapes = {name: shape for name, shape in raw_shapes(path).items() if not _AUXILIARY.match(name)}
    kernels = sum(math.prod(shape) for shape in shapes.values() if len(shape) == _KERNEL)
    vectors = sum(shape[0] for name, shape in shapes.items() if len(shape) == _VECTOR and not _MOVING.fullmatch(name))
    biases = sum(shape[1] for shape in shapes.values() if len(shape) == _CLASSIFIER)
    return next((key for key, row in ZOO.items() if parameters_before_classifier(row) == kernels + vectors - biases), None)


def parameters_before_classifier(row: Variant) -> int:
    """Trainable parameters of a network of the zoo without its classifier, which files may lack or have for other classes."""
    filters = first_stack_filters(load_genotype(row.genotype), row.config)
    features = filters * round(row.config.penultimate_filters / filters)
    return row.trainable_parameters - (features + 1) * row.num_classes
