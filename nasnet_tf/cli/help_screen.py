"""The help of a command, which is made of its docstring and its flags.

The docstring of a command has these paragraphs: one sentence on what the command does; its two most common uses, each a comment and a
command; if needed, other facts; and last the page of docs/ to read on. `--help` prints it, and between the last two paragraphs a line for
each flag with the first sentence of its help text. `--helpfull` prints the whole help texts, and the flags of imported modules.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence

from absl.flags import Flag

from nasnet_tf.cli.flags import FLAGS, REQUIRED

_SHORT = ("-h", "--h", "-help", "--help", "-helpshort", "--helpshort")
_FULL = ("-helpfull", "--helpfull")
_WIDTH = 80
_NAME_WIDTH = 22  # longer names of flags do not widen their column
_FIRST = ("gin_file", "gin_param", "workdir")


def is_asked(arguments: Sequence[str]) -> bool:
    """Returns whether a command line asks for help. Everything after "--" is not a flag."""
    return any(argument in (*_SHORT, *_FULL) for argument in _flags_in(arguments))


def text(document: str, own: Sequence[str], arguments: str | None, given: Sequence[str]) -> str:
    """Returns the help of a command.

    Args:
      document: docstring of the command.
      own: names of the command's flags, in the order of their definition.
      arguments: help text for the arguments that are not flags; None if the command takes no such arguments.
      given: the command line, which asks for the short or the full help.
    """
    is_full = any(argument in _FULL for argument in _flags_in(given))
    head, _, guide = document.strip().rpartition("\n\n")
    lines = [head, ""]
    if arguments is not None:
        lines += textwrap.wrap(f"arguments: {_told(arguments, is_full)}", _WIDTH, subsequent_indent="  ")
    lines += ["flags:", *_rows(sorted(own, key=lambda name: name not in _FIRST), is_full)]
    if is_full:
        lines += ["", "flags of imported modules:", *_rows(sorted({FLAGS[name].name for name in FLAGS} - set(own)), is_full)]
    lines.append("")
    if "gin_file" in own:
        lines.append("--explain lists what a recipe can bind; --explain=NAME describes one name.")
    if not is_full:
        lines.append("--helpfull says more about each flag, and lists those of imported modules.")
    return "\n".join([*lines, guide])


def _flags_in(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _rows(names: Sequence[str], is_full: bool) -> Iterator[str]:
    """Yields the lines for flags: the name in one column, the help text with the default in the other."""
    shown = {name: _shown(FLAGS[name]) for name in names}
    width = max((len(each) for each in shown.values() if len(each) <= _NAME_WIDTH), default=_NAME_WIDTH)
    for name, left in shown.items():
        told = f"{_told(FLAGS[name].help or '', is_full)}{_note(FLAGS[name])}"
        yield from textwrap.wrap(told, _WIDTH, initial_indent=f"  {left:<{width}}  ", subsequent_indent=" " * (width + 4)) or [f"  {left}"]


def _shown(flag: Flag) -> str:
    """Returns how a flag is written on the command line; a switch that is on by default with its negation."""
    if flag.boolean:
        return f"--[no]{flag.name}" if flag.default else f"--{flag.name}"
    return f"--{flag.name}={'|'.join(getattr(flag.parser, 'enum_values', None) or ['...'])}"


def _note(flag: Flag) -> str:
    if flag.name in REQUIRED:
        return " (required)"
    if flag.default is False or flag.default in (None, "", [], {}):
        return ""
    default = flag.default if isinstance(flag.default, list) else [flag.default]
    return f" (default {', '.join(map(str, default))})"


def _told(help_text: str, is_full: bool) -> str:
    """Returns a help text without the words that absl adds, or its first sentence."""
    whole = " ".join(re.sub(r"^<.*?>: |;\s+repeat this option to specify a list of values$", "", help_text).split())
    return (whole if is_full else whole.partition(". ")[0]).removesuffix(".")
