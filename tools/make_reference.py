"""Writes docs/bindables.md, the reference of everything that a recipe can bind: python tools/make_reference.py.

A test fails if the page is not up to date.
"""

import pathlib

from nasnet_tf.cli.explaining import described
from nasnet_tf.recipes.bindables import BINDABLES, Role

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "bindables.md"
_HEAD = """# Everything that a recipe can bind

Made by `python tools/make_reference.py` from `nasnet_tf/recipes/bindables.py`; do not edit. `nasnet train --explain=NAME` prints the same.
A recipe binds a parameter with a line such as `TrainingConfig.epochs = 3`; `@Name` is a reference, and `@Name()` is the result of a call.
"""


def page() -> str:
    """Returns the page, with a section for each role and a table for each name."""
    lines = [_HEAD]
    for role in Role:
        rows = [row for row in BINDABLES if row.role is role]
        lines += [f"## {role.value.capitalize()}", ""] if rows else []
        for row in rows:
            prose, parameters = described(row.name)
            lines += [f"### {row.name}", "", prose.split("\n\n")[0], "", f"`{row.location}`", ""]
            if parameters:
                lines += ["| parameter | type | default | meaning |", "|---|---|---|---|"]
            for each in parameters:
                default = "required" if each.default is None else f"`{each.default}`"
                cells = (f"`{each.name}`", each.type, default, " ".join(each.text.split()))
                lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
            lines.append("")
    return "\n".join(lines).rstrip().replace("http://", "https://") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
