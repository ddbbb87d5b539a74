"""Labels as text: which classes there are, and which of them a split lacks."""

from collections.abc import Collection, Mapping, Sequence

from nasnet_tf.base.errors import InputError

_NAMED = 5  # of the classes that a split lacks


SEPARATOR = ";"  # usual between the labels of one image


def lacking(name: str, class_names: Sequence[str], present: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Returns a note on each split that lacks some of the classes.

    Args:
      name: of the data set.
      present: the labels of each split.

    Raises:
      InputError: a class that `train` lacks.
    """
    missing = {split: [label for label in class_names if label not in labels] for split, labels in present.items()}
    if missing.get("train"):
        raise InputError(f"data set {name!r}: split 'train' lacks the classes {', '.join(missing['train'])} that other splits have")
    return tuple(
        f"{split} has no images of {', '.join(lacks[:_NAMED])}{', ...' if len(lacks) > _NAMED else ''}"
        for split, lacks in missing.items()
        if lacks
    )


def labels_in(cell: str, separator: str) -> tuple[str, ...]:
    """Returns the labels of a table's cell, each once, without spaces around them; none for an empty cell."""
    return tuple(dict.fromkeys(label for part in cell.split(separator) if (label := part.strip())))


def several(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns a note if names of classes look like several labels, which count as one where an image has one label."""
    found = [name for name in class_names if len(labels_in(name, SEPARATOR)) > 1]
    if not found:
        return ()
    text = f"{len(found)} classes have {SEPARATOR!r} in their names, such as {found[0]!r}; for several labels an image bind "
    return (text + "train.task = @MultiLabel",)
