"""What several tests need: tiny genotypes, fixtures from outside the repository."""

import os
import pathlib

from nasnet_tf.genotype import Genotype, parse_genotype

REPOSITORY = pathlib.Path(__file__).parent.parent
SHARED = pathlib.Path(os.environ.get("NASNET_SHARED", REPOSITORY.parent / "shared"))

TINY_TEXT = """
name: "tiny"
num_input_states: 2
normal_cell {
  blocks { left { input: 0 operation: SEP_CONV_3X3 } right { input: 1 operation: IDENTITY } combine: ADD }
  blocks { left { input: 2 operation: MAX_POOL_3X3 } right { input: 1 operation: CONV_1X1 } combine: ADD }
  outputs { states: [3] }
}
reduction_cell {
  blocks { left { input: 0 operation: AVG_POOL_3X3 } right { input: 1 operation: CONV_3X3 } combine: ADD }
  outputs { states: [2] }
}
"""


def tiny_genotype() -> Genotype:
    """Two blocks and one block: the smallest genotype with a bit of everything."""
    return parse_genotype(TINY_TEXT)
