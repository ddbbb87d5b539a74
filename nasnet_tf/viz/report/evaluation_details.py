"""Sections of the report about an evaluation: figures by class and the worst mistakes, read from the file that `evaluate` wrote."""

import json
import pathlib
from collections.abc import Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.training import by_class
from nasnet_tf.training.by_class import ClassFigures
from nasnet_tf.viz.report import page

FILES = "details-*.json"
_CLASS_NUMBERS = ("examples", "found", "accuracy", "precision", "recall", "f1", "average_precision")
_TITLES = {"examples": "images", "found": "predicted", "f1": "F1", "average_precision": "average precision"}


def read_details(path: pathlib.Path, choice: str) -> str:
    """Returns the sections about one evaluation, as HTML.

    Args:
      path: the details-*.json file.
      choice: the split, followed by the weights if they are not the default ones, such as "test" or "test-last".

    Raises:
      InputError: the file is not what `evaluate` writes.
    """
    try:
        content = json.loads(path.read_text())
        rows = [ClassFigures(**row) for row in content["by_class"]]
        return _by_class(rows, choice) + _mistakes(content["mistakes"], choice)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged; expected by_class and mistakes, as evaluate writes them ({error!r})") from error


def _by_class(rows: Sequence[ClassFigures], choice: str) -> str:
    ranked = by_class.worst_first(rows)
    names = [name for name in _CLASS_NUMBERS if any(getattr(row, name) is not None for row in ranked)]
    body = [[row.name, *(_cell(getattr(row, name)) for name in names)] for row in ranked[: by_class.MOST_ROWS]]
    heading = page.heading(3, f"By class on {choice}, the lowest F1 first")
    table = page.table(["class", *(_TITLES.get(name, name) for name in names)], body)
    return "".join([heading, table, *map(page.paragraph, by_class.notes(rows))])


def _mistakes(rows: Sequence[dict], choice: str) -> str:
    if not rows:
        return ""
    body = [[row["name"] or f"example {row['place']}", row["expected"], row["found"], f"{row['confidence']:.1%}"] for row in rows]
    return page.fold(choice, f"The worst mistakes on {choice}", page.table(["image", "class", "predicted", "confidence"], body, (0, 1, 2)))


def _cell(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
