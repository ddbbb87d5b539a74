"""The properties of each combine, in a table with the enum of genotype.proto as keys."""

from typing import NamedTuple

from nasnet_tf.genotype.genotype_pb2 import Combine


class CombineRule(NamedTuple):
    """How a combine joins the two sides of a block.

    Attributes:
      label: text in diagrams.
      symmetric: True if swapping the two sides gives the same network up to the order of weights; see nasnet_tf.genotype.hashing.
      width: channels of the result, as a multiple of the cell's filters: 1 for a sum, 2 for a concatenation.
      norm: normalization of the sum, "layer" or "instance"; None for none.
    """

    label: str
    symmetric: bool = True
    width: int = 1
    norm: str | None = None


COMBINES = {
    Combine.ADD: CombineRule("add"),
    Combine.CONCAT: CombineRule("concat", width=2),
    Combine.LAYER_NORM_ADD: CombineRule("layer-norm add", norm="layer"),
    Combine.INSTANCE_NORM_ADD: CombineRule("instance-norm add", norm="instance"),
}
