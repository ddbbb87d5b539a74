"""What there is to know of each combine: the one table from the enum of genotype.proto."""

from typing import NamedTuple

from nasnet_tf.genotype.genotype_pb2 import Combine


class CombineRule(NamedTuple):
    """Attributes:
    label: in diagrams.
    symmetric: whether with its sides swapped the network is the same, up to the order of weights; see nasnet_tf.genotype.hashing.
    width: of its result, in filters of the cell: 1 for a sum, 2 for both sides beside each other.
    norm: what the sum is normalized over, "layer" or "instance"; None for not at all.
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
