"""What tests of other rooms need of this one."""

import dataclasses

import tensorflow as tf

from nasnet_tf.data.cifar import CifarPreprocessing


@dataclasses.dataclass(frozen=True)
class PngPreprocessing(CifarPreprocessing):
    """Gives of PNG files, such as the digits, what CifarPreprocessing gives of all formats.

    A pipeline has its first batch in a third of the CPU time. For tests that have nothing to do with formats.
    """

    def view(self, encoded: tf.Tensor) -> tf.Tensor:
        """As CifarPreprocessing does: string [] -> float32 [image_size, image_size, 3] in [0, 1]."""
        image = tf.ensure_shape(tf.io.decode_png(encoded, channels=3), [None, None, 3])
        return tf.image.resize(image, [self.image_size, self.image_size], antialias=True) / 255.0
