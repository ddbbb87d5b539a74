"""Hard limits on the cost of an architecture. The search rejects proposals above a limit, so it never trains them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from nasnet_tf.data import ImageData
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.space.costs import count_mult_adds
from nasnet_tf.models.space.network import ABSENT, SpaceNetwork

# Defaults of the network options that the single network of a whole space does not support. They do not affect the counted costs.
_PLAIN = {field.name: field.default for field in dataclasses.fields(NetworkConfig) if field.name in ABSENT}


@dataclasses.dataclass(eq=False)
class Caps:
    """Checks whether architectures are within the limits, without building their networks.

    Attributes:
      space: search space of the architectures.
      network: function that returns the network whose costs are counted; called when the first architecture is checked.
      data: function that returns the data of that network; called at the same time.
      max_parameters: maximum number of trainable parameters, without an auxiliary head; None for no limit.
      max_mult_adds: maximum number of multiply-adds for an inference on one image; None for no limit.
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
