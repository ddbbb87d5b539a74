"""Values that callers give, checked: whatever is wrong is one line that names the value, what was expected and what came."""

import numbers
from collections.abc import Sequence

from nasnet_tf.errors import InputError


def expect(is_right: bool, what: str, expected: str, value) -> None:
    """Raises InputError unless a value is right."""
    if not is_right:
        raise InputError(f"{what}: expected {expected}, got {value!r}")


def is_integer(value, least: int) -> bool:
    """Whether a value is a whole number of at least so much, numpy's included; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= least


def is_rate(value) -> bool:
    """Whether a value is a number in [0, 1)."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value < 1


def is_share(value) -> bool:
    """Whether a value is a number in [0, 1]."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value <= 1


def check_classes(num_classes) -> int | None:
    """A number of classes, or None for no classifier."""
    expect(num_classes is None or is_integer(num_classes, 1), "num_classes", "an integer of 1 or more, or None", num_classes)
    return None if num_classes is None else int(num_classes)


def check_image_size(image_size) -> tuple[int | None, int | None]:
    """(height, width) of one number for both, or of a pair in which None stands for any size."""
    pair = image_size if isinstance(image_size, Sequence) and not isinstance(image_size, str) else (image_size, image_size)
    is_right = len(pair) == 2 and all(is_integer(size, 1) or (size is None and pair is image_size) for size in pair)
    expect(is_right, "image_size", "an integer of 1 or more, a pair (height, width) of such, or (None, None) for any size", image_size)
    return tuple(None if size is None else int(size) for size in pair)
