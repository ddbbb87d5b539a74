"""Runs the commands and snippets of a tutorial in the order of its page: python tools/run_tutorial.py docs/tutorials/export.md.

They run in the current folder, which must be a clone of the repository or contain a copy of its testdata/. The script prints the output of
each, followed by the output that the page shows if the two differ in more than their numbers.

A block with a label after its language, such as "``` elsewhere", is not run, because it needs something that a clone does not have, such as
a second machine.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

REPOSITORY = pathlib.Path(__file__).parents[1]
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RUN = ("python", "")  # languages of the blocks that are run; shell commands have none
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
_PRELUDE = 'nasnet() { python -m nasnet_tf "$@"; }\n'


def blocks(page: pathlib.Path) -> Iterator[tuple[str, str, str | None]]:
    """Yields (language, code, shown output or None) of each block that is run; the language of shell commands is ""."""
    found = [(match[1], match[2]) for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))]
    for (language, code), (following, output) in zip(found, [*found[1:], ("", "")], strict=True):
        if language in _RUN:
            yield language, code, output if following == "text" else None


def run(language: str, code: str) -> str:
    """Runs a block in the current folder and returns what it printed.

    Raises:
      subprocess.CalledProcessError: the block failed.
    """
    words = [sys.executable, "-"] if language == "python" else ["bash", "-euo", "pipefail"]
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    given = code if language == "python" else _PRELUDE + code
    return subprocess.run(words, input=given, stdout=subprocess.PIPE, text=True, env=environment, check=True).stdout


def is_alike(output: str, shown: str) -> bool:
    """Returns whether two outputs are equal apart from the values of numbers."""
    return _NUMBER.sub("N", output).strip() == _NUMBER.sub("N", shown).strip()


def main() -> None:
    """Runs the given page; exits with 1 if an output differs from the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=pathlib.Path)
    different = False
    for language, code, shown in blocks(parser.parse_args().page):
        output = run(language, code)
        print(output, end="")
        if shown is not None and not is_alike(output, shown):
            different = True
            print(f"The page shows:\n{shown}", end="")
    sys.exit(different)


if __name__ == "__main__":
    main()
