"""Values that callers give, where a type of `typed` would not say well what was expected."""

from collections.abc import Sequence

from nasnet_tf.errors import InputError
from nasnet_tf.ranges import Count
from nasnet_tf.typed import check_value, conforms


def expect(is_right: bool, what: str, expected: str, value) -> None:
    """Raises InputError unless a value is right."""
    if not is_right:
        raise InputError(f"{what}: expected {expected}, got {value!r}")


def check_classes(num_classes) -> int | None:
    """A number of classes, or None for no classifier."""
    check_value("num_classes", num_classes, Count | None)
    return None if num_classes is None else int(num_classes)


def check_image_size(image_size) -> tuple[int | None, int | None]:
    """(height, width) of one number for both, or of a pair in which None stands for any size."""
    pair = image_size if isinstance(image_size, Sequence) and not isinstance(image_size, str) else (image_size, image_size)
    is_right = len(pair) == 2 and all(conforms(size, Count) or (size is None and pair is image_size) for size in pair)
    expect(is_right, "image_size", "an integer of 1 or more, a pair (height, width) of such, or (None, None) for any size", image_size)
    return tuple(None if size is None else int(size) for size in pair)
