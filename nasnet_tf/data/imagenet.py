"""Prepares photographs with the Inception recipe that trained NASNet on ImageNet (slim's inception_preprocessing, fast mode)."""

import dataclasses
import math
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf

from nasnet_tf.base.values import Count, PositivePart, Within, check_fields
from nasnet_tf.data.decoding import DCT_METHOD, check_jpeg_size, decode_image
from nasnet_tf.data.orientation import APART, displayed, displayed_shape, exif_orientation, stored_box
from nasnet_tf.data.sixteen_bits import WHITE

_MIN_OBJECT_COVERED = 0.1  # as in slim, where the whole image is the object
_MAX_ATTEMPTS = 100  # as in slim
_BRIGHTNESS_DELTA = 32 / 255  # as in slim
_SATURATION_RANGE = (0.5, 1.5)  # as in slim
_TO_UNIT = 2 / 255


def _range_up_to(most: float) -> Any:
    """Returns the type of a range (minimum, maximum) of positive numbers up to `most`."""
    limit = "" if most == math.inf else f" <= {most}"
    return Annotated[
        tuple[float, float], Within(f"two numbers, 0 < minimum <= maximum{limit}", lambda pair: 0 < pair[0] <= pair[1] <= most)
    ]


@dataclasses.dataclass(frozen=True)
class ImageNetPreprocessing:
    """Scales images to [-1, 1]: in training a random crop, mirrored at random and with changed colors, else the central part.

    Attributes:
      image_size: side of the prepared image in pixels (224 for NASNet mobile, 331 for large).
      central_fraction: fraction of each side that evaluation keeps, in (0, 1].
      area_range: minimum and maximum fraction of the image's area that a training crop covers, in (0, 1].
      aspect_ratio_range: minimum and maximum of width / height of a training crop.
      distort_color: whether to change brightness and saturation of training images.
      resize: "tf2" interpolates between the centers of pixels; "tf1" between their upper left corners, as in slim. Both are bilinear, and
        neither antialiases. The published accuracies of the public weights were measured with "tf1". At 224 pixels, prepared images differ
        by 0.028 on average.
      white_level: the level of 16-bit PNGs that becomes white; 4095 for 12-bit data.
    """

    image_size: Count = 224
    central_fraction: PositivePart = 0.875
    area_range: _range_up_to(1) = (0.05, 1.0)
    aspect_ratio_range: _range_up_to(math.inf) = (0.75, 1.33)
    distort_color: bool = True
    resize: Literal["tf2", "tf1"] = "tf2"
    white_level: Annotated[int, Within("an integer from 1 to 65535", lambda level: 1 <= level <= WHITE)] = WHITE

    def __post_init__(self):
        check_fields(self)
        for field in ("area_range", "aspect_ratio_range"):
            object.__setattr__(self, field, tuple(getattr(self, field)))

    def config(self) -> dict:
        """Returns a JSON-ready dict that `preprocessing_from_config` turns back into this preprocessing."""
        fields = dataclasses.asdict(self)
        if self.resize == "tf2":  # work folders from before this field existed do not have it
            del fields["resize"]
        if self.white_level == WHITE:
            del fields["white_level"]
        return {"kind": "imagenet"} | {field: list(value) if isinstance(value, tuple) else value for field, value in fields.items()}

    def train(self, encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Prepares a training image; the seed determines the augmentation.

        Args:
          encoded: string [], a JPEG, PNG, GIF (its first frame), BMP or WebP file, in color or gray. The suffix of its name has no effect.
          seed: int64 [2]; equal seeds give equal images.

        Returns:
          float32 [image_size, image_size, 3], in [-1, 1].
        """
        crop_seed, flip_seed, color_seed = tf.unstack(tf.random.split(seed, 3))
        image = self._resize(self._random_part(encoded, crop_seed))
        image = tf.image.stateless_random_flip_left_right(image, flip_seed)
        return _distort_color(image, color_seed) if self.distort_color else _scale(image)

    def evaluate(self, encoded: tf.Tensor) -> tf.Tensor:
        """Prepares an image for evaluation: string [] -> float32 [image_size, image_size, 3], its central part, in [-1, 1]."""
        # The whole image is decoded. Decoding only the central part can change its last column, which depends on the column after it, and
        # decoding that column too would save almost nothing.
        return _scale(self._resize(tf.image.central_crop(decode_image(encoded, self.white_level), _in_float32(self.central_fraction))))

    def view(self, encoded: tf.Tensor) -> tf.Tensor:
        """Returns the image that `evaluate` normalizes: string [] -> float32 [image_size, image_size, 3] in [0, 1]."""
        return (self.evaluate(encoded) + 1.0) / 2.0

    def seen(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns the part of a picture that `evaluate` shows to the network: (top, left, bottom, right) in pixels.

        It is the part that tf.image.central_crop keeps.
        """
        top, left = (int((side - side * self.central_fraction) / 2) for side in (height, width))
        return top, left, height - top, width - left

    def normalize(self, images: tf.Tensor) -> tf.Tensor:
        """Scales images, float32 [..., image_size, image_size, 3], from [0, 1] to the [-1, 1] that the network takes."""
        return 2.0 * tf.cast(images, tf.float32) - 1.0

    def _random_part(self, encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns a random crop of the image, uint8 [height, width, 3]. In a JPEG, only the crop is decoded."""

        def random_box(shape):
            begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
                shape,
                bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
                seed=seed,
                min_object_covered=_MIN_OBJECT_COVERED,
                aspect_ratio_range=self.aspect_ratio_range,
                area_range=self.area_range,
                max_attempts=_MAX_ATTEMPTS,
            )
            return begin[:2], size[:2]

        def part_of_jpeg():
            with tf.control_dependencies([check_jpeg_size(encoded)]):
                orientation = exif_orientation(encoded)
            shape = displayed_shape(tf.io.extract_jpeg_shape(encoded), orientation)
            begin, size = random_box(shape)
            box = stored_box(begin, size, shape, orientation)
            part = tf.io.decode_and_crop_jpeg(encoded, box, channels=3, dct_method=DCT_METHOD)
            return displayed(part, orientation)

        # Apart, because its graph is large and most files are JPEGs.
        @tf.function(autograph=False, experimental_attributes=APART)
        def part_of_other(encoded):
            image = decode_image(encoded, self.white_level)
            (top, left), (height, width) = map(tf.unstack, random_box(tf.shape(image)))
            return image[top : top + height, left : left + width]

        return tf.cond(tf.io.is_jpeg(encoded), part_of_jpeg, lambda: part_of_other(encoded))

    def _resize(self, image: tf.Tensor) -> tf.Tensor:
        """Resizes uint8 [height, width, 3] to float32 [image_size, image_size, 3], in [0, 255].

        Deviation: slim uses "tf1"; our own trainings use "tf2", which does not shift the image by a fraction of a pixel.
        """
        if self.resize == "tf1":
            size = [self.image_size, self.image_size]
            return tf.raw_ops.ResizeBilinear(images=image[tf.newaxis], size=size, align_corners=False, half_pixel_centers=False)[0]
        return tf.image.resize(image, [self.image_size, self.image_size])


def _distort_color(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes brightness and saturation at random, in either order: float32 [height, width, 3] in [0, 255] -> in [-1, 1].

    The orders are equally likely. slim drew them in a ratio of 1 to 3 at first; later releases always changed brightness first.

    tf.image.adjust_saturation converts to hue, saturation and value. The result keeps the largest channel of a pixel, and multiplies the
    distances of the others to it by one ratio, at most until the smallest channel is 0. Here, this and all other changes are one affine map
    per pixel. It is computed on three planes, along which operations are vectorized, and takes a quarter less time.
    """
    order_seed, brightness_seed, saturation_seed = tf.unstack(tf.random.split(seed, 3))
    shift = 255 * tf.random.stateless_uniform([], brightness_seed, -_BRIGHTNESS_DELTA, _BRIGHTNESS_DELTA)
    saturation = tf.random.stateless_uniform([], saturation_seed, *_SATURATION_RANGE)
    before = tf.where(tf.random.stateless_uniform([], order_seed) < 0.5, shift, 0.0)
    planes = tf.transpose(tf.reshape(image, [-1, 3]))
    red, green, blue = tf.unstack(planes)
    most = tf.maximum(tf.maximum(red, green), blue)
    least = tf.minimum(tf.minimum(red, green), blue)
    ratio = tf.math.divide_no_nan(most + before, most - least)
    ratio = tf.maximum(tf.minimum(ratio, saturation), 0.0)  # 0 for pixels darker than black; two vectorized operations, unlike a clip
    factor = ratio * _TO_UNIT
    offset = most * (_TO_UNIT - factor) + (shift * _TO_UNIT - 1.0)
    return tf.reshape(tf.transpose(tf.clip_by_value(planes * factor + offset, -1.0, 1.0)), tf.shape(image))


def _in_float32(fraction: float) -> float:
    """Rounds a fraction to float32, as tf.image.central_crop does in a graph. Eagerly, it does not and may crop one row more."""
    return float(np.float32(fraction))


def _scale(image: tf.Tensor) -> tf.Tensor:
    """Scales from [0, 255] to [-1, 1]."""
    return image * _TO_UNIT - 1.0
