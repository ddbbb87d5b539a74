"""Reads tables of files: CSV files with a row for each image."""

import csv
import dataclasses
import pathlib

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import shown

_LABELS = ("label", "labels")
_EXPECTED = "a CSV file whose first line is `file,label` or `file,label,split`, and a row for each image"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      file: path of the image.
      cell: text in the column of labels; "" if it is empty.
      split: the split to which the image belongs.
    """

    file: pathlib.Path
    cell: str
    split: str


def read_table(path: pathlib.Path) -> dict[str, dict[str, list[pathlib.Path]]]:
    """Returns {split: {label: files}}, in the order of the rows; each image has one label. Arguments and errors as in `read_rows`."""
    table: dict[str, dict[str, list[pathlib.Path]]] = {}
    for row in read_rows(path, needs_label=True):
        table.setdefault(row.split, {}).setdefault(row.cell, []).append(row.file)
    return table


def read_rows(path: pathlib.Path, needs_label: bool) -> list[Row]:
    """Returns the rows of a table, or of all tables in a folder, which are called `<split>.csv`.

    Columns are `file`, relative to the folder of the table; `label` or `labels`; and `split`. Without a column `split`, the rows of a
    single table belong to `train`, and the rows of a table in a folder belong to the split in its name. Other columns are ignored.

    Args:
      path: the table or the folder.
      needs_label: whether a row without a label is an error.

    Raises:
      InputError: a table or a column is missing, a cell is empty, or an image is missing or listed twice. The message names the line.
    """
    lines: dict[pathlib.Path, str] = {}
    if not path.is_dir():
        return _rows(path, "train", needs_label, lines)
    tables = sorted(path.glob("*.csv"))
    if not tables:
        raise InputError(f"{shown(path)}: has no tables; expected train.csv, and optionally validation.csv and test.csv")
    return [row for table in tables for row in _rows(table, table.stem, needs_label, lines)]


def _rows(path: pathlib.Path, own_split: str, needs_label: bool, lines: dict[pathlib.Path, str]) -> list[Row]:
    """Returns the rows of one table; lines: {image: its line and table} of earlier tables, to which it adds this table's."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            columns = [column.strip() for column in reader.fieldnames or ()]
            found = [(reader.line_num, row) for row in reader]
    except (OSError, csv.Error) as error:
        raise InputError(f"{shown(path)}: cannot be read as a table ({error}); expected {_EXPECTED}") from error
    label_column = next((column for column in _LABELS if column in columns), None)
    if "file" not in columns or label_column is None:
        raise InputError(f"{shown(path)}: expected {_EXPECTED}; got the columns {', '.join(columns) or 'none'}")
    rows = []
    for line, row in found:
        cells = {(key or "").strip(): cell.strip() for key, cell in row.items() if isinstance(cell, str)}
        name, label, split = cells.get("file", ""), cells.get(label_column), cells.get("split", own_split)
        where = f"{shown(path)}, line {line}"
        if not (name and split) or label is None or (needs_label and not label):
            raise InputError(f"{where}: expected a file, a label and, if the table has that column, a split; got {list(cells.values())}")
        file = path.parent / name
        if not file.is_file():
            raise InputError(f"{where}: no file {shown(file)}; names are relative to the folder of the table")
        if file in lines:
            raise InputError(f"{where}: {shown(name)} is already on {lines[file]}; expected one row for each image")
        lines[file] = f"line {line} of {shown(path.name)}"
        rows.append(Row(file, shown(label), split))  # a label that is not UTF-8 could not be printed
    if not rows:
        raise InputError(f"{shown(path)}: has no rows; expected {_EXPECTED}")
    return rows
