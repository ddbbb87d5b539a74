"""Tables of files as data: one CSV file with a row for each image."""

import csv
import pathlib

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import shown

_LABELS = ("label", "labels")
_EXPECTED = "a CSV file whose first line is `file,label` or `file,label,split`, and a row for each image"


def read_table(path: pathlib.Path) -> dict[str, dict[str, list[pathlib.Path]]]:
    """Returns {split: {label: files}}, in the order of the rows.

    Columns are `file`, relative to the folder of the table; `label`, also called `labels`, one for each image; and `split`, `train` where
    there is none. Others are ignored.

    Raises:
      InputError: no such table or column, an empty cell, or an image that is not there or twice in the table; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            columns = [column.strip() for column in reader.fieldnames or ()]
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, csv.Error) as error:
        raise InputError(f"{shown(path)}: cannot be read as a table ({error}); expected {_EXPECTED}") from error
    label_column = next((column for column in _LABELS if column in columns), None)
    if "file" not in columns or label_column is None:
        raise InputError(f"{shown(path)}: expected {_EXPECTED}; got the columns {', '.join(columns) or 'none'}")
    table, lines = {}, {}
    for line, row in rows:
        cells = {(key or "").strip(): cell.strip() for key, cell in row.items() if isinstance(cell, str)}
        name, label, split = cells.get("file", ""), cells.get(label_column, ""), cells.get("split", "train")
        where = f"{shown(path)}, line {line}"
        if not (name and label and split):
            raise InputError(f"{where}: expected a file, a label and, if the table has that column, a split; got {list(cells.values())}")
        file = path.parent / name
        if not file.is_file():
            raise InputError(f"{where}: no file {shown(file)}; names are relative to the folder of the table")
        if file in lines:
            raise InputError(f"{where}: {shown(name)} is already on line {lines[file]}; expected one row for each image")
        lines[file] = line
        table.setdefault(split, {}).setdefault(label, []).append(file)
    if not table:
        raise InputError(f"{shown(path)}: has no rows; expected {_EXPECTED}")
    return table
