"""Labels as text: reads them from the cells of a table, and notes which classes a split lacks."""

from collections.abc import Collection, Mapping, Sequence

from nasnet_tf.base.errors import InputError

_MAX_NAMED = 5  # number of missing classes that a note names


SEPARATOR = ";"  # the default separator of the labels of one image


def lacking(name: str, class_names: Sequence[str], present: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Returns a note on each split that lacks some of the classes.

    Args:
      name: name of the data set.
      class_names: all classes.
      present: the labels that occur in each split.

    Raises:
      InputError: `train` lacks a class.
    """
    missing = {split: [label for label in class_names if label not in labels] for split, labels in present.items()}
    if missing.get("train"):
        raise InputError(f"data set {name!r}: split 'train' lacks the classes {', '.join(missing['train'])} that other splits have")
    return lacking_notes(missing)


def lacking_notes(missing: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Returns a note on each split that lacks classes, from {split: the classes it lacks}."""
    return tuple(
        f"{split} has no images of {', '.join(lacks[:_MAX_NAMED])}{', ...' if len(lacks) > _MAX_NAMED else ''}"
        for split, lacks in missing.items()
        if lacks
    )


def labels_in(cell: str, separator: str) -> tuple[str, ...]:
    """Returns the labels in a cell of a table, without duplicates and without spaces around them; an empty cell has none."""
    return tuple(dict.fromkeys(label for part in cell.split(separator) if (label := part.strip())))


def several(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns a note if class names look like lists of labels; empty if none does.

    Data with one label per image takes each list as the name of one class.
    """
    found = [name for name in class_names if len(labels_in(name, SEPARATOR)) > 1]
    if not found:
        return ()
    text = f"{len(found)} classes have {SEPARATOR!r} in their names, such as {found[0]!r}; for several labels per image, bind "
    return (text + "train.task = @MultiLabel",)
