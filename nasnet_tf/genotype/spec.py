"""Genotypes as text, checked, and in canonical form.

Two genotypes are one architecture when they differ only in their name, in the numbering of their blocks, in the order in which an output
lists its states, or in the sides of a symmetric combine (every one but CONCAT). `canonical` picks one representative of each such class.
"""

import hashlib
import itertools
import pathlib

from google.protobuf import text_format

from nasnet_tf.errors import InputError
from nasnet_tf.genotype.genotype_pb2 import Block, Cell, Combine, Genotype, Operation

_PUBLISHED = pathlib.Path(__file__).parent / "published"
_SYMMETRIC = (Combine.ADD, Combine.LAYER_NORM_ADD, Combine.INSTANCE_NORM_ADD)


def published_genotypes() -> list[str]:
    """Names of the paper's architectures that ship with the package."""
    return sorted(path.stem for path in _PUBLISHED.glob("*.textproto"))


def load_genotype(name_or_path: str) -> Genotype:
    """Reads a published genotype by its name, or any other from the path of a textproto.

    Raises:
      InputError: no such name or file, text that is not a genotype, or a genotype that `validate` refuses.
    """
    path = pathlib.Path(name_or_path)
    if name_or_path in published_genotypes():
        path = _PUBLISHED / f"{name_or_path}.textproto"
    if not path.is_file():
        raise InputError(
            f"genotype {name_or_path!r}: no such file, and not one of the published names {', '.join(published_genotypes())}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"genotype {name_or_path}: not a text file ({error})") from error
    return parse_genotype(text, source=str(name_or_path))


def parse_genotype(text: str, source: str = "genotype") -> Genotype:
    """Parses and validates a textproto; `source` names it in errors."""
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
    """The textproto of a genotype, one block a line."""
    lines = [f'name: "{text_format.text_encoding.CEscape(genotype.name, as_utf8=True)}"'] if genotype.name else []
    lines.append(f"num_input_states: {genotype.num_input_states}")
    for field, cell in _cells(genotype):
        lines.append(f"{field} {{")
        lines += [f"  blocks {{ {text_format.MessageToString(block, as_one_line=True)} }}" for block in cell.blocks]
        lines += [f"  outputs {{ states: [{', '.join(map(str, output.states))}] }}" for output in cell.outputs]
        lines.append("}")
    return "\n".join(lines) + "\n"


def validate(genotype: Genotype) -> None:
    """Raises InputError, naming cell and block, unless a network can be built from every part of the genotype."""
    if genotype.num_input_states < 1:
        raise InputError(f"num_input_states: expected 1 or more (2 for NASNet-A and -C, 4 for -B), got {genotype.num_input_states}")
    for field, cell in _cells(genotype):
        _validate_cell(field.replace("_", " "), cell, genotype.num_input_states)
    counts = [len(cell.outputs) for _, cell in _cells(genotype)]
    if counts[0] != counts[1]:
        raise InputError(f"normal and reduction cell must have equally many outputs, got {counts[0]} and {counts[1]}")


def _cells(genotype: Genotype) -> list[tuple[str, Cell]]:
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
                raise InputError(
                    f"{where}: {side} input {branch.input} does not exist; states 0..{num_inputs + index - 1} are available"
                )
            _check_enum(f"{where}: {side} operation", Operation, branch.operation)
            used.add(branch.input)
        _check_enum(f"{where}: combine", Combine, block.combine)
    num_states = num_inputs + len(cell.blocks)
    if not cell.outputs:
        raise InputError(f"{name}: has no outputs; list the states each output concatenates")
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


def canonical(genotype: Genotype) -> Genotype:
    """The representative of all genotypes of the same architecture; without a name."""
    validate(genotype)
    result = Genotype(num_input_states=genotype.num_input_states)
    for field, cell in _cells(genotype):
        getattr(result, field).CopyFrom(_canonical_cell(cell, genotype.num_input_states))
    return result


def genotype_hash(genotype: Genotype) -> str:
    """16 hexadecimal digits that are equal for equal architectures, on every machine and in every version of protobuf."""
    form = repr([(genotype.num_input_states, _as_tuple(cell)) for _, cell in _cells(canonical(genotype))])
    return hashlib.sha256(form.encode()).hexdigest()[:16]


def _as_tuple(cell: Cell) -> tuple:
    blocks = tuple((b.left.input, b.left.operation, b.right.input, b.right.operation, b.combine) for b in cell.blocks)
    return blocks, tuple(tuple(output.states) for output in cell.outputs)


def _canonical_cell(cell: Cell, num_inputs: int) -> Cell:
    """The smallest, as a tuple, of all renumberings in which blocks are ordered by height and content.

    Blocks of different content can never change places, so only blocks of equal content (usually none) are permuted.
    """
    content = {state: (0, str(state)) for state in range(num_inputs)}
    for index, block in enumerate(cell.blocks):
        sides = [f"{branch.operation}({content[branch.input][1]})" for branch in (block.left, block.right)]
        if block.combine in _SYMMETRIC:
            sides.sort()
        height = 1 + max(content[block.left.input][0], content[block.right.input][0])
        content[num_inputs + index] = (height, hashlib.sha256(f"{block.combine}[{','.join(sides)}]".encode()).hexdigest())
    order = sorted(range(num_inputs, num_inputs + len(cell.blocks)), key=content.__getitem__)
    groups = [list(group) for _, group in itertools.groupby(order, key=content.__getitem__)]
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    return min((_renumbered(cell, num_inputs, list(itertools.chain(*parts))) for parts in orders), key=_as_tuple)


def _renumbered(cell: Cell, num_inputs: int, order: list[int]) -> Cell:
    """The cell with its blocks in the given order of their states, symmetric sides and output states sorted."""
    new = {state: state for state in range(num_inputs)}
    new |= {state: num_inputs + place for place, state in enumerate(order)}
    result = Cell()
    for state in order:
        block = Block()
        block.CopyFrom(cell.blocks[state - num_inputs])
        for branch in (block.left, block.right):
            branch.input = new[branch.input]
        left, right = block.left, block.right
        if block.combine in _SYMMETRIC and (right.input, right.operation) < (left.input, left.operation):
            block = Block(left=right, right=left, combine=block.combine)
        result.blocks.append(block)
    for output in cell.outputs:
        result.outputs.add(states=sorted(new[state] for state in output.states))
    return result
