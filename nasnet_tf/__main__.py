"""The doors of the package as one command: nasnet train ..., or python -m nasnet_tf train ...; without arguments, what there is."""

import ast
import pathlib
import runpy
import sys

import nasnet_tf
from nasnet_tf.base.errors import did_you_mean

DOORS = ("search", "train", "tune", "evaluate", "predict", "detect", "export", "report", "costs", "draw", "convert")


def main() -> None:
    """Runs the door that the first argument names."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
    elif name == "--version":
        print(nasnet_tf.__version__)
    elif name not in DOORS:
        print(f"error: no command {name!r}{did_you_mean(name, DOORS)}; there are {', '.join(DOORS)}", file=sys.stderr)
        sys.exit(1)
    else:
        sys.argv = [name, *rest]
        runpy.run_module(f"nasnet_tf.{name}", run_name="__main__", alter_sys=True)


def overview() -> str:
    """The doors with the first sentence of each."""
    width = max(map(len, DOORS))
    rows = "\n".join(f"  {name:<{width}}  {_summary(name)}" for name in DOORS)
    return (
        f"nasnet_tf {nasnet_tf.version.__version__}: NASNet search and networks.\n\n{rows}\n\n"
        "nasnet <command> --help tells its flags; python -m nasnet_tf.<command> is the same."
    )


def _summary(door: str) -> str:
    """Read, not imported: that would load TensorFlow for some."""
    document = ast.get_docstring(ast.parse((pathlib.Path(__file__).parent / f"{door}.py").read_text(encoding="utf-8")))
    return (document or "").partition(": python -m ")[0]


if __name__ == "__main__":
    main()
