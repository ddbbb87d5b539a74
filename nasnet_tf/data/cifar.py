"""Prepares small images with the CIFAR-10 recipe of paper appendix A.1, and with cutout for the rows of Table 1 that have it."""

import dataclasses
from typing import Annotated

import tensorflow as tf

from nasnet_tf.base.values import Count, Natural, Within, check_fields
from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.sixteen_bits import WHITE


@dataclasses.dataclass(frozen=True)
class CifarPreprocessing:
    """Whitens images. Training images are also upsampled, cropped and flipped at random, and a random square is cut out.

    Attributes:
      image_size: side of the prepared image in pixels; images of another size are stretched to it.
      upsample: factor by which training images are enlarged before a crop of image_size is taken; 40 / 32 in the paper, 1 for no crop.
      flip: whether to mirror half of the training images (not for digits or letters).
      cutout_size: side in pixels of the square that is set to 0 in training images; 0 for none; 16 in the paper on cutout.
      white_level: the level of 16-bit PNGs that becomes white; 4095 for 12-bit data.
    """

    image_size: Count = 32
    upsample: Annotated[float, Within("a factor of 1 or more", lambda factor: factor >= 1)] = 1.25
    flip: bool = True
    cutout_size: Natural = 0
    white_level: Annotated[int, Within("an integer from 1 to 65535", lambda level: 1 <= level <= WHITE)] = WHITE

    def __post_init__(self):
        check_fields(self)

    def config(self) -> dict:
        """Returns a JSON-ready dict that `preprocessing_from_config` turns back into this preprocessing."""
        fields = dataclasses.asdict(self)
        if self.white_level == WHITE:  # work folders from before this field existed do not have it
            del fields["white_level"]
        return {"kind": "cifar", **fields}

    def train(self, encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Prepares a training image; the seed determines the augmentation.

        Args:
          encoded: string [], a JPEG, PNG, GIF (its first frame), BMP or WebP file, in color or gray.
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
        """Prepares an image for evaluation: string [] -> float32 [image_size, image_size, 3], resized if necessary and whitened."""
        return self.normalize(self.view(encoded))

    def view(self, encoded: tf.Tensor) -> tf.Tensor:
        """Returns the image that `evaluate` normalizes: string [] -> float32 [image_size, image_size, 3] in [0, 1]."""
        image = decode_image(encoded, self.white_level)
        # Antialiasing has an effect only if the image shrinks; an image of the right size does not change.
        return tf.image.resize(image, [self.image_size, self.image_size], antialias=True) / 255.0

    def seen(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns the part of a picture that `evaluate` shows to the network, the whole picture: (top, left, bottom, right) in pixels."""
        return 0, 0, height, width

    def normalize(self, images: tf.Tensor) -> tf.Tensor:
        """Whitens images for the network: each gets mean 0 and variance 1.

        The paper's "whitening" is tf.image.per_image_standardization, called per_image_whitening in TensorFlow's first releases.

        Args:
          images: float32 [..., image_size, image_size, 3], in [0, 1].

        Returns:
          float32 of the same shape.
        """
        # Scaled to levels 0..255, as in TensorFlow's CIFAR code. The scale matters for nearly constant images, because the deviation is
        # kept above 1 / sqrt(number of values).
        return tf.image.per_image_standardization(255.0 * tf.cast(images, tf.float32))


def _cutout_mask(center: tf.Tensor, size: int, cutout_size: int) -> tf.Tensor:
    """Returns float32 [size, size, 1]: 0 inside the square around center, int32 [2] (row, column), clipped to the image; 1 elsewhere."""
    offsets = tf.range(size) - (center[:, None] - cutout_size // 2)
    inside = (offsets >= 0) & (offsets < cutout_size)
    return tf.cast(~(inside[0][:, None] & inside[1][None, :]), tf.float32)[:, :, None]
