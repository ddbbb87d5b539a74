"""Preparing small images: the CIFAR-10 recipe of paper appendix A.1, and cutout for the rows of Table 1 that have it."""

import dataclasses
from typing import Annotated

import tensorflow as tf

from nasnet_tf.base.values import Count, Natural, Within, check_fields
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.sixteen_bits import WHITE


@dataclasses.dataclass(frozen=True)
class CifarPreprocessing:
    """Whiten; for training also upsample, crop and flip at random, and cut out a square.

    Attributes:
      image_size: side of the prepared image in pixels; images of another size are stretched to it.
      upsample: how much larger training images are made, of which a crop of image_size is taken; 40 / 32 in the paper, 1 for no crop.
      flip: mirror half of the training images (not for digits or letters).
      cutout_size: side in pixels of the square set to 0 in training images; 0 for none; 16 in cutout's own paper.
      white_level: of PNGs of 16 bits, the level that becomes white; 4095 for data of 12 bits.
    """

    image_size: Count = 32
    upsample: Annotated[float, Within("a factor of 1 or more", lambda factor: factor >= 1)] = 1.25
    flip: bool = True
    cutout_size: Natural = 0
    white_level: Annotated[int, Within("an integer, 1 to 65535", lambda level: 1 <= level <= WHITE)] = WHITE

    def __post_init__(self):
        check_fields(self)

    def config(self) -> dict:
        """A JSON-ready dict that `preprocessing_from_config` turns back into this."""
        fields = dataclasses.asdict(self)
        if self.white_level == WHITE:  # folders written before there was a choice do not say it
            del fields["white_level"]
        return {"kind": "cifar", **fields}

    def train(self, encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Prepares a training image, augmented as the seed says.

        Args:
          encoded: string [], a JPEG, PNG, GIF (its first frame) or BMP, in colour or grey.
          seed: int64 [2]; equal seeds give equal images.

        Returns:
          float32 [image_size, image_size, 3], whitened.
        """
        crop_seed, flip_seed, cutout_seed = tf.unstack(tf.random.split(seed, 3))
        size = self.image_size
        upsampled = round(self.upsample * size)
        image = tf.image.resize(self.evaluate(encoded), [upsampled, upsampled])
        image = tf.image.stateless_random_crop(image, [size, size, 3], crop_seed)
        if self.flip:
            image = tf.image.stateless_random_flip_left_right(image, flip_seed)
        if self.cutout_size:
            center = tf.random.stateless_uniform([2], cutout_seed, maxval=size, dtype=tf.int32)
            image *= _cutout_mask(center, size, self.cutout_size)
        return image

    def evaluate(self, encoded: tf.Tensor) -> tf.Tensor:
        """Prepares an image for evaluation: string [] -> float32 [image_size, image_size, 3], resized if need be and whitened."""
        return self.normalize(self.view(encoded))

    def view(self, encoded: tf.Tensor) -> tf.Tensor:
        """What `evaluate` sees, before it is normalized: float32 [image_size, image_size, 3] in [0, 1]."""
        image = decode_image(encoded, self.white_level)
        # Antialiasing counts when shrinking only; an image of the right size comes out unchanged.
        return tf.image.resize(image, [self.image_size, self.image_size], antialias=True) / 255.0

    def seen(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of a picture that `evaluate` shows to the network: (top, left, bottom, right) in pixels. It is the whole picture."""
        return 0, 0, height, width

    def normalize(self, images: tf.Tensor) -> tf.Tensor:
        """Whitens images: mean 0 and variance 1 over each image, which is what the network takes.

        The paper's "whitening" is tf.image.per_image_standardization, called per_image_whitening in TensorFlow's first releases.

        Args:
          images: float32 [..., image_size, image_size, 3], in [0, 1].

        Returns:
          float32 of the same shape.
        """
        # In grey levels 0..255, as TensorFlow's CIFAR code did: the scale decides how near-constant images are treated, because the
        # deviation is kept above 1 / sqrt(pixels).
        return tf.image.per_image_standardization(255.0 * tf.cast(images, tf.float32))


def _cutout_mask(center: tf.Tensor, size: int, cutout_size: int) -> tf.Tensor:
    """float32 [size, size, 1]: 0 in the square around center (int32 [2], row and column), as far as it is inside; 1 elsewhere."""
    offsets = tf.range(size) - (center[:, None] - cutout_size // 2)
    inside = (offsets >= 0) & (offsets < cutout_size)
    return tf.cast(~(inside[0][:, None] & inside[1][None, :]), tf.float32)[:, :, None]
