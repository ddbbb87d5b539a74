"""The NASNet search space (paper section 3 and appendix B) as a fixed list of decisions.

Each block takes five decisions, in the paper's order: left input, right input, left operation, right operation, combine. A genotype is
5 x num_blocks decisions for the normal cell, followed by as many for the reduction cell; a fixed cell takes none. Every list of decisions
within `sizes` decodes to a valid genotype.
"""

import dataclasses
import functools
import numbers
import random
from collections.abc import Mapping, Sequence
from typing import Literal

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, check_fields
from nasnet_tf.genotype.genotype_pb2 import Cell, Combine, Genotype, Operation
from nasnet_tf.genotype.hashing import genotype_hash
from nasnet_tf.genotype.spec import format_genotype, load_genotype

DECISIONS_PER_BLOCK = 5
CELLS = ("normal_cell", "reduction_cell")
_ALL_OPERATIONS = tuple(name for name, number in Operation.items() if number)


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """The set of architectures that a search chooses from.

    Attributes:
      num_blocks: blocks per cell (B in the paper: 5, or 4 for NASNet-B and -C).
      num_input_states: hidden states that a cell can read (2, or 4 for NASNet-B).
      operations: names of the operations to choose from.
      combines: names of the combines to choose from (ADD and CONCAT; for NASNet-B and -C also the two normalized additions).
      outputs: "concat_unused" for one output that concatenates all blocks that no later block reads (NASNet-A, -C), or "each_block"
        to make each block a separate output (NASNet-B).
      fixed_normal: name or textproto path of a genotype whose normal cell all architectures get, so that only the reduction cell is
        searched; None to search the normal cell.
      fixed_reduction: name or textproto path of a genotype whose reduction cell all architectures get; None to search the reduction cell.
        At most one of the two cells can be fixed.
    """

    num_blocks: Count = 5
    num_input_states: Count = 2
    operations: tuple[str, ...] = _ALL_OPERATIONS
    combines: tuple[str, ...] = ("ADD", "CONCAT")
    outputs: Literal["concat_unused", "each_block"] = "concat_unused"
    fixed_normal: str | None = None
    fixed_reduction: str | None = None

    def __post_init__(self):
        check_fields(self)
        for field, enum in (("operations", Operation), ("combines", Combine)):
            names = getattr(self, field)
            object.__setattr__(self, field, tuple(names))
            known = [name for name, number in enum.items() if number]
            unknown = [name for name in names if name not in known]
            if unknown or not names or len(set(names)) < len(names):
                raise InputError(f"SearchSpace.{field}: expected one or more distinct names from {', '.join(known)}; got {list(names)}")
        if self.fixed_normal is not None and self.fixed_reduction is not None:
            raise InputError("SearchSpace: expected at most one of fixed_normal and fixed_reduction, got both: no cell is left to search")
        self.fixed  # noqa: B018 raises InputError now if the fixed cell is not usable

    @functools.cached_property
    def fixed(self) -> Mapping[str, Cell]:
        """{field of Genotype: cell} of the cell that is not searched; empty if both are searched."""
        found = {}
        for field, name in zip(CELLS, (self.fixed_normal, self.fixed_reduction), strict=True):
            if name is None:
                continue
            genotype = load_genotype(name)
            shape = genotype.num_input_states, len(getattr(genotype, field).outputs)
            expected = self.num_input_states, self.num_blocks if self.outputs == "each_block" else 1
            if shape != expected:
                raise InputError(
                    "SearchSpace.fixed_{}: expected a cell of {} input states and {} outputs, got {} and {} in {}".format(
                        field.removesuffix("_cell"), *expected, *shape, name
                    )
                )
            found[field] = getattr(genotype, field)
        return found

    @property
    def searched(self) -> tuple[str, ...]:
        """The fields of Genotype whose cells are searched, in the order of the decisions."""
        return tuple(field for field in CELLS if field not in self.fixed)

    def description(self) -> dict:
        """Returns the space as a JSON object. A fixed cell is given by its content, not by the name of its file."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if not name.startswith("fixed_")}
        texts = {f"fixed {field}": format_genotype(Genotype(**{field: cell})) for field, cell in self.fixed.items()}
        return values | texts

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of choices of each decision."""
        sizes = []
        for block in range(self.num_blocks):
            inputs = self.num_input_states + block
            sizes += [inputs, inputs, len(self.operations), len(self.operations), len(self.combines)]
        return tuple(sizes * len(self.searched))

    def sample(self, rng: random.Random) -> tuple[int, ...]:
        """Returns decisions drawn uniformly and independently, as in the paper's random search."""
        return tuple(rng.randrange(size) for size in self.sizes)

    def decode(self, decisions: Sequence[int], name: str = "") -> Genotype:
        """Returns the genotype for a list of decisions.

        Args:
          decisions: an integer in [0, size) for each size in `sizes`.
          name: name of the genotype.

        Raises:
          InputError: the wrong number of decisions, or one out of range.
        """
        if len(decisions) != len(self.sizes):
            raise InputError(f"expected {len(self.sizes)} decisions, got {len(decisions)}")
        for place, (decision, size) in enumerate(zip(decisions, self.sizes, strict=True)):
            if not isinstance(decision, numbers.Integral) or not 0 <= decision < size:
                raise InputError(f"decision {place}: expected an integer in 0..{size - 1}, got {decision!r}")
        each = DECISIONS_PER_BLOCK * self.num_blocks
        cells = {field: self._decode_cell(decisions[place * each :][:each]) for place, field in enumerate(self.searched)}
        return Genotype(name=name, num_input_states=self.num_input_states, **cells, **self.fixed)

    def identity_of(self, decisions: Sequence[int]) -> str:
        """Returns the hash of the genotype, which is equal for all decisions that lead to the same architecture."""
        return genotype_hash(self.decode(decisions))

    def encode(self, genotype: Genotype) -> tuple[int, ...]:
        """Returns the decisions that `decode` turns into this genotype.

        Raises:
          InputError: the genotype is not in this space. Its sizes, operations, combines or outputs differ, or it does not have the fixed
            cell. (The released NASNet-A concatenates more states than the paper's rule, so it is in no space.)
        """
        decisions = self.nearest(genotype)
        decoded = self.decode(decisions, genotype.name)
        for field in CELLS:
            if getattr(decoded, field) != getattr(genotype, field):
                why = f"its {field} is not the fixed one" if field in self.fixed else f"its outputs do not follow {self.outputs!r}"
                raise InputError(f"genotype {genotype.name!r} is not in this search space: {why}")
        return decisions

    def nearest(self, genotype: Genotype) -> tuple[int, ...]:
        """Returns the decisions that give the searched cells the same blocks as this genotype.

        The decoded architecture can differ from the genotype: its outputs follow the rule of the space, and it has the fixed cell.

        Raises:
          InputError: the genotype has sizes, operations or combines that the space does not have.
        """
        decisions = []
        try:
            shape = (genotype.num_input_states, *(len(getattr(genotype, field).blocks) for field in self.searched))
            expected = (self.num_input_states, *(self.num_blocks for _ in self.searched))
            if shape != expected:
                kinds = " and ".join(f"{{}} {field.removesuffix('_cell')}" for field in self.searched)
                got = " and ".join(map(str, shape[1:]))
                raise InputError(f"expected {{}} input states, {kinds} blocks; got {shape[0]}, {got}".format(*expected))
            for field in self.searched:
                for block in getattr(genotype, field).blocks:
                    decisions += [block.left.input, block.right.input]
                    for side in (block.left, block.right):
                        decisions.append(_place(self.operations, Operation.Name(side.operation), "operation"))
                    decisions.append(_place(self.combines, Combine.Name(block.combine), "combine"))
            self.decode(decisions)
        except InputError as error:
            raise InputError(f"genotype {genotype.name!r} is not in this search space: {error}") from error
        return tuple(decisions)

    def _decode_cell(self, decisions: Sequence[int]) -> Cell:
        cell = Cell()
        used = set()
        for start in range(0, len(decisions), DECISIONS_PER_BLOCK):
            left, right, left_operation, right_operation, combine = decisions[start : start + DECISIONS_PER_BLOCK]
            block = cell.blocks.add(combine=Combine.Value(self.combines[combine]))
            for side, state, operation in ((block.left, left, left_operation), (block.right, right, right_operation)):
                side.input = state
                side.operation = Operation.Value(self.operations[operation])
            used |= {left, right}
        created = range(self.num_input_states, self.num_input_states + self.num_blocks)
        if self.outputs == "each_block":
            for state in created:
                cell.outputs.add(states=[state])
        else:
            cell.outputs.add(states=[state for state in created if state not in used])
        return cell


def _place(names: Sequence[str], name: str, what: str) -> int:
    if name not in names:
        raise InputError(f"expected {what}s from {', '.join(names)}; got {name}")
    return names.index(name)
