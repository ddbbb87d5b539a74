"""The table of stems, the layers before the cells, by name (paper appendix A.7; TF-slim's nasnet.py). To add a stem, add an entry."""

import functools
import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import keras

from nasnet_tf.base.values import Within
from nasnet_tf.layers.convolutions import ConvBn


class StemRule(NamedTuple):
    """The properties of a stem.

    Attributes:
      layer: function (filters, style, name=...) that returns the layer, from float [batch, height, width, 3] to
        [batch, height', width', filters].
      stride: stride of the layer in pixels.
      cells: number of reduction cells between the layer and the first stack. Each has half the filters of the next one.
      width: filters of the layer for a stem_multiplier of 1; None for the filters of the first stack.
      smallest_image: smallest side in pixels for which every reduction has at least two pixels to halve.
      images_up_to: largest side in pixels for which `stem_for` chooses this stem; it takes the first entry that is large enough.
      row: key in nasnet_tf.models.zoo.ZOO of the network whose options are the defaults of a custom network with this stem.
      weight_decay: slim's weight decay, the factor of sum(kernel^2) / 2.
      slim: names of the layer's convolution and batch normalization in TF-slim's checkpoints; None if slim does not have this stem.
    """

    layer: Callable[..., keras.layers.Layer]
    stride: int
    cells: int
    width: int | None
    smallest_image: int
    images_up_to: float
    row: str
    weight_decay: float
    slim: tuple[str, str] | None = None


_convolution = functools.partial(ConvBn, kernel_size=(3, 3), activation=False)
STEMS = {
    "cifar": StemRule(_convolution, 1, 0, None, 3, 64, "cifar", 5e-4, ("l1_stem_3x3", "l1_stem_bn")),
    "imagenet": StemRule(
        functools.partial(_convolution, stride=2, padding="VALID"), 2, 2, 32, 19, math.inf, "mobile", 4e-5, ("conv0", "conv0_bn")
    ),
}
StemName = Annotated[str, Within("one of " + ", ".join(map(repr, STEMS)), lambda name: name in STEMS)]


def stem_for(image_size: tuple[int | None, int | None]) -> str:
    """Returns the name of the default stem for images of this size.

    Args:
      image_size: (height, width) in pixels; None stands for any size.
    """
    largest = max(math.inf if side is None else side for side in image_size)
    return next(name for name, rule in STEMS.items() if largest <= rule.images_up_to)
