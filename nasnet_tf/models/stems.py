"""What stands before the cells, by name: the one table of stems (paper appendix A.7; TF-slim's nasnet.py). A new stem is an entry."""

import functools
import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import keras

from nasnet_tf.base.values import Within
from nasnet_tf.layers.convolutions import ConvBn


class StemRule(NamedTuple):
    """Attributes:
    layer: (filters, style, name=...) -> the layer, float [batch, height, width, 3] -> [batch, height', width', filters].
    stride: pixels of the image for one of the layer's map.
    cells: reduction cells between the layer and the first stack, each of half the filters of what follows.
    width: filters of the layer for a stem_multiplier of 1; None for those of the first stack.
    smallest_image: side in pixels of which every reduction has two pixels or more to halve.
    images_up_to: side in pixels up to which a network without a stem of its own gets this one, the first entry that fits.
    row: of the zoo, from which a size of one's own takes what it does not say.
    weight_decay: slim's, of sum(kernel^2) / 2.
    slim: its convolution and batch normalization in TF-slim's checkpoints; None for a stem that slim does not have.
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
    """The name of the stem that images of this height and width, None for any, get where none is said."""
    largest = max(math.inf if side is None else side for side in image_size)
    return next(name for name, rule in STEMS.items() if largest <= rule.images_up_to)
