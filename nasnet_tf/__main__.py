"""Searches for NASNet cells, and trains, exports and uses networks of them.

  # Names what a photo shows, with public weights that are downloaded once.
  nasnet predict photo.jpg --model=mobile
  # Searches for cells on handwritten digits, which ship with the package.
  nasnet search --gin_file=quickstart_search.gin --workdir=runs/search

nasnet COMMAND --help describes a command; python -m nasnet_tf.COMMAND runs it.
Guide: README.md
"""

import ast
import pathlib
import runpy
import sys

import nasnet_tf
from nasnet_tf.base.errors import did_you_mean

DOORS = ("search", "train", "tune", "evaluate", "predict", "detect", "export", "report", "costs", "draw", "convert")


def main() -> None:
    """Runs the command that the first argument names."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
    elif name == "--version":
        print(nasnet_tf.__version__)
    elif name not in DOORS:
        print(f"error: unknown command {name!r}{did_you_mean(name, DOORS)}; expected one of {', '.join(DOORS)}", file=sys.stderr)
        sys.exit(1)
    else:
        sys.argv = [name, *rest]
        runpy.run_module(f"nasnet_tf.{name}", run_name="__main__", alter_sys=True)


def overview() -> str:
    """Returns the help of the program: its docstring, with a list of the commands inserted before the last paragraph."""
    head, _, guide = (__doc__ or "").strip().rpartition("\n\n")
    width = max(map(len, DOORS))
    rows = "\n".join(f"  {name:<{width}}  {_summary(name)}" for name in DOORS)
    return f"{head}\n\ncommands:\n{rows}\n\n{guide} (nasnet_tf {nasnet_tf.__version__})"


def _summary(door: str) -> str:
    """Returns the first line of a command's docstring. Parses the module, because importing it could load TensorFlow."""
    document = ast.get_docstring(ast.parse((pathlib.Path(__file__).parent / f"{door}.py").read_text(encoding="utf-8")))
    return (document or "").partition("\n")[0].removesuffix(".")


if __name__ == "__main__":
    main()
