"""Hard caps on what an architecture may cost, checked before it is proposed: nothing above them is ever trained."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from nasnet_tf.data import ImageData
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.space.costs import count_mult_adds
from nasnet_tf.models.space.network import ABSENT, SpaceNetwork

# What a retraining may have, and the one network of a space does not. None of it counts.
_PLAIN = {field.name: field.default for field in dataclasses.fields(NetworkConfig) if field.name in ABSENT}


@dataclasses.dataclass(eq=False)
class Caps:
    """Whether an architecture is within caps, counted without building its network.

    Attributes:
      space: of the architectures.
      network, data: () -> of the network that counts; asked when the first architecture is checked.
      max_parameters: trainable parameters without an auxiliary head; None for any number.
      max_mult_adds: multiply-adds of an inference on one image; None for any number.
    """

    space: SearchSpace
    network: Callable[[], NetworkConfig]
    data: Callable[[], ImageData]
    max_parameters: float | None = None
    max_mult_adds: float | None = None

    @functools.cached_property
    def _networks(self) -> SpaceNetwork:
        data = self.data()
        return SpaceNetwork(self.space, dataclasses.replace(self.network(), **_PLAIN), data.num_classes, data.image_size)

    def __call__(self, decisions: Sequence[int]) -> bool:
        genotype = self.space.decode(decisions)
        if self.max_parameters is not None and self._networks.plan(genotype).sizes[:, 0].sum() > self.max_parameters:
            return False
        return self.max_mult_adds is None or count_mult_adds(self._networks, genotype) <= self.max_mult_adds
