"""Runs the commands of the package as one program: nasnet train ..., or python -m nasnet_tf train ... Without arguments, lists them."""

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
    """Returns the list of commands with a one-line summary of each."""
    width = max(map(len, DOORS))
    rows = "\n".join(f"  {name:<{width}}  {_summary(name)}" for name in DOORS)
    return (
        f"nasnet_tf {nasnet_tf.version.__version__}: NASNet search and networks.\n\n{rows}\n\n"
        "nasnet <command> --help describes a command and its flags. python -m nasnet_tf.<command> runs the same command."
    )


def _summary(door: str) -> str:
    """Returns the summary of a command from its docstring. Parses the module instead of importing it, which could load TensorFlow."""
    document = ast.get_docstring(ast.parse((pathlib.Path(__file__).parent / f"{door}.py").read_text(encoding="utf-8")))
    return (document or "").partition(": python -m ")[0]


if __name__ == "__main__":
    main()
