"""Reads, writes and validates genotypes as textprotos."""

import os
import pathlib

from google.protobuf import text_format

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import user_path, what_is_there
from nasnet_tf.genotype.genotype_pb2 import Cell, Combine, Genotype, Operation

_PUBLISHED = pathlib.Path(__file__).parent / "published"
_MAX_INPUT_STATES = 100  # far more than anyone needs; stops a typing error from filling the memory


def published_genotypes() -> list[str]:
    """Returns the names of the paper's architectures that come with the package, sorted."""
    return sorted(path.stem for path in _PUBLISHED.glob("*.textproto"))


def load_genotype(name_or_path: str | os.PathLike) -> Genotype:
    """Reads a published genotype by name, or any genotype from the path of a textproto.

    Args:
      name_or_path: "nasnet_a", "nasnet_b", "nasnet_c", or the path of a file.

    Returns:
      The normal and the reduction cell, as a message.

    Raises:
      InputError: the name or file does not exist, the text is not a genotype, or `validate` rejects it.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise InputError(f"genotype: expected the name of a published one or the path of a textproto, got {name_or_path!r}")
    path = user_path(name_or_path)
    if name_or_path in published_genotypes():
        path = _PUBLISHED / f"{name_or_path}.textproto"
    if not os.path.isfile(path):  # path.is_file() would raise for names that no file can have
        raise InputError(
            f"genotype {os.fspath(name_or_path)!r}: {what_is_there(path)}; expected the path of a textproto, or one of the published names "
            f"{', '.join(published_genotypes())}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"genotype {name_or_path}: not a text file ({error})") from error
    return parse_genotype(text, source=str(name_or_path))


def parse_genotype(text: str, source: str = "genotype") -> Genotype:
    """Parses and validates a textproto.

    Args:
      text: the textproto.
      source: name of the text in error messages.

    Raises:
      InputError: the text is not a genotype, or `validate` rejects it.
    """
    genotype = Genotype()
    try:
        text_format.Parse(text, genotype)
    except text_format.ParseError as error:
        raise InputError(f"{source}: not a genotype textproto, line {error}") from error
    try:
        validate(genotype)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return genotype


def format_genotype(genotype: Genotype) -> str:
    """Returns the genotype as a textproto with one block per line."""
    lines = [f'name: "{text_format.text_encoding.CEscape(genotype.name, as_utf8=True)}"'] if genotype.name else []
    lines.append(f"num_input_states: {genotype.num_input_states}")
    for field, cell in cells_of(genotype):
        lines.append(f"{field} {{")
        lines += [f"  blocks {{ {text_format.MessageToString(block, as_one_line=True)} }}" for block in cell.blocks]
        lines += [f"  outputs {{ states: [{', '.join(map(str, output.states))}] }}" for output in cell.outputs]
        lines.append("}")
    return "\n".join(lines) + "\n"


def validate(genotype: Genotype) -> None:
    """Raises InputError, which names the cell and the block, if no network can be built from the genotype or a block is never read."""
    if not 1 <= genotype.num_input_states <= _MAX_INPUT_STATES:
        raise InputError(
            f"num_input_states: expected 1..{_MAX_INPUT_STATES} (2 for NASNet-A and -C, 4 for -B), got {genotype.num_input_states}"
        )
    for field, cell in cells_of(genotype):
        _validate_cell(field.replace("_", " "), cell, genotype.num_input_states)
    counts = [len(cell.outputs) for _, cell in cells_of(genotype)]
    if counts[0] != counts[1]:
        raise InputError(f"normal and reduction cell must have the same number of outputs, got {counts[0]} and {counts[1]}")


def cells_of(genotype: Genotype) -> list[tuple[str, Cell]]:
    """Returns (field of Genotype, cell) for both cells."""
    return [("normal_cell", genotype.normal_cell), ("reduction_cell", genotype.reduction_cell)]


def _validate_cell(name: str, cell: Cell, num_inputs: int) -> None:
    if not cell.blocks:
        raise InputError(f"{name}: has no blocks; expected at least one")
    used = set()
    for index, block in enumerate(cell.blocks):
        where = f"{name}, block {index}"
        for side in ("left", "right"):
            if not block.HasField(side):
                raise InputError(f"{where}: {side} is missing; expected an input and an operation")
            branch = getattr(block, side)
            if not branch.HasField("input"):
                raise InputError(f"{where}: {side} has no input; states 0..{num_inputs + index - 1} are available")
            if not 0 <= branch.input < num_inputs + index:
                raise InputError(f"{where}: {side} input {branch.input} does not exist; states 0..{num_inputs + index - 1} are available")
            _check_enum(f"{where}: {side} operation", Operation, branch.operation)
            used.add(branch.input)
        _check_enum(f"{where}: combine", Combine, block.combine)
    num_states = num_inputs + len(cell.blocks)
    if not cell.outputs:
        raise InputError(f"{name}: has no outputs; list the states that each output concatenates")
    for index, output in enumerate(cell.outputs):
        if not output.states:
            raise InputError(f"{name}, output {index}: lists no states; states 0..{num_states - 1} are available")
        for state in output.states:
            if not 0 <= state < num_states:
                raise InputError(f"{name}, output {index}: state {state} does not exist; states 0..{num_states - 1} are available")
        if len(set(output.states)) < len(output.states):
            raise InputError(f"{name}, output {index}: lists a state twice: {list(output.states)}")
        used.update(output.states)
    for index in range(len(cell.blocks)):
        if num_inputs + index not in used:
            raise InputError(f"{name}, block {index}: its state {num_inputs + index} is read by no later block and no output")


def _check_enum(what: str, enum, value: int) -> None:
    if value == 0 or value not in enum.values():
        known = ", ".join(name for name, number in enum.items() if number)
        raise InputError(f"{what} is {'missing' if value == 0 else f'unknown ({value})'}; expected one of {known}")
