"""The details of an evaluation as parts of a report: figures by class and the worst mistakes, from the file that `evaluate` wrote."""

import json
import pathlib
from collections.abc import Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.training.by_class import MOST_NAMES, MOST_ROWS
from nasnet_tf.viz.report import page

FILES = "details-*.json"
_CLASS_NUMBERS = ("examples", "found", "accuracy", "precision", "recall", "f1", "average_precision")
_TITLES = {"examples": "images", "found": "taken for it", "f1": "F1", "average_precision": "average precision"}


def read_details(path: pathlib.Path, choice: str) -> str:
    """The parts about one evaluation.

    Args:
      path: of the details.
      choice: the split, and the weights where they are not the usual ones, such as "test" or "test-last".

    Raises:
      InputError: the file is not what `evaluate` writes.
    """
    try:
        content = json.loads(path.read_text())
        return _by_class(content["by_class"], choice) + _mistakes(content["mistakes"], choice)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged; expected by_class and mistakes, as evaluate writes them ({error!r})") from error


def _by_class(rows: Sequence[dict], choice: str) -> str:
    there = sorted((row for row in rows if row["examples"]), key=lambda row: row["f1"])
    absent = [row["name"] for row in rows if not row["examples"]]
    names = [name for name in _CLASS_NUMBERS if any(row[name] is not None for row in there)]
    body = [[row["name"], *(_cell(row[name]) for name in names)] for row in there[:MOST_ROWS]]
    parts = [
        page.heading(3, f"By class on {choice}, the lowest F1 first"),
        page.table(["class", *(_TITLES.get(n, n) for n in names)], body),
    ]
    if len(there) > MOST_ROWS:
        parts.append(page.paragraph(f"{len(there) - MOST_ROWS:,} more classes have a higher F1, or the same."))
    if absent:
        more = f" and {len(absent) - MOST_NAMES:,} more" if len(absent) > MOST_NAMES else ""
        told = f"{', '.join(absent[:MOST_NAMES])}{more}"
        parts.append(page.paragraph(f"Without images, so that precision, recall and F1 are undefined: {told}."))
    return "".join(parts)


def _mistakes(rows: Sequence[dict], choice: str) -> str:
    if not rows:
        return ""
    body = [[row["name"] or f"example {row['place']}", row["expected"], row["found"], f"{row['confidence']:.1%}"] for row in rows]
    return page.fold(choice, f"The worst mistakes on {choice}", page.table(["picture", "class", "taken for", "sure"], body, (0, 1, 2)))


def _cell(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
