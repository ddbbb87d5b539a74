"""The named networks as rows: genotype, sizes, preprocessing, and the counts that pin them (paper tables 1 to 3; TF-slim's presets)."""

import dataclasses

from nasnet_tf.errors import InputError
from nasnet_tf.models.network import NetworkConfig


@dataclasses.dataclass(frozen=True)
class Variant:
    """One network.

    Attributes:
      preprocessing: "cifar" or "imagenet", a key of nasnet_tf.data.PREPROCESSING.
      trainable_parameters, mult_adds: counts of this code, without auxiliary head; equal to the original implementation's.
    """

    genotype: str
    config: NetworkConfig
    num_classes: int
    image_size: int
    preprocessing: str
    trainable_parameters: int
    mult_adds: int


ZOO = {
    # NASNet-A 4 @ 1056
    "mobile": Variant(
        genotype="nasnet_a",
        config=NetworkConfig(4, "imagenet", stem_multiplier=1.0, penultimate_filters=1056, dropout_rate=0.5),
        num_classes=1000,
        image_size=224,
        preprocessing="imagenet",
        trainable_parameters=5_289_978,
        mult_adds=563_638_816,
    ),
    # NASNet-A 6 @ 4032
    "large": Variant(
        genotype="nasnet_a",
        config=NetworkConfig(
            6,
            "imagenet",
            stem_multiplier=3.0,
            penultimate_filters=4032,
            prev_skips_reduction=True,
            dropout_rate=0.5,
            drop_path_rate=0.3,  # slim: keep 0.7
        ),
        num_classes=1000,
        image_size=331,
        preprocessing="imagenet",
        trainable_parameters=88_753_150,
        mult_adds=23_783_414_658,
    ),
    # NASNet-A 6 @ 768
    "cifar": Variant(
        genotype="nasnet_a",
        config=NetworkConfig(
            6,
            "cifar",
            stem_multiplier=3.0,
            penultimate_filters=768,
            drop_path_rate=0.4,  # slim: keep 0.6
            batch_norm_momentum=0.9,
            batch_norm_epsilon=1e-5,
        ),
        num_classes=10,
        image_size=32,
        preprocessing="cifar",
        trainable_parameters=3_346_538,
        mult_adds=544_333_312,
    ),
}


def find_variant(name: str) -> Variant:
    """The row of this name."""
    if name not in ZOO:
        raise InputError(f"network {name!r}: expected one of {', '.join(sorted(ZOO))}")
    return ZOO[name]
