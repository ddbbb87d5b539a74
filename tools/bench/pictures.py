"""Images to decode: ImageNet's photographs, or random pictures of their usual size that take as long to decode."""

import numpy as np
import tensorflow as tf

from nasnet_tf.data import ImageData, ImageNetPreprocessing

SIZE = (375, 500)  # height and width in pixels of most images in ImageNet
_ROUGHNESS = 12.0  # makes files of about 100 kB at JPEG quality 90, as in ImageNet


def image_data(data_dir: str | None, workdir: str, count: int, image_size: int) -> ImageData:
    """Returns `count` training images as a data set: ImageNet from `data_dir`, or random pictures in `workdir` if that is None."""
    preprocessing = ImageNetPreprocessing(image_size)
    if data_dir is not None:
        return ImageData("imagenet2012", preprocessing, data_dir, train_split=f"train[:{count}]")
    for number, content in enumerate(_made(count)):
        path = f"{workdir}/pictures/train/{'ab'[number % 2]}/{number}.jpg"
        tf.io.gfile.makedirs(path.rpartition("/")[0])
        tf.io.write_file(path, content)
    return ImageData(f"folder:{workdir}/pictures", preprocessing)


def encoded(data_dir: str | None, count: int) -> list[bytes]:
    """Returns the contents of `count` JPEG files."""
    if data_dir is None:
        return _made(count)
    data = image_data(data_dir, "", count, 224)
    return [example["image"].numpy() for example in data._source.examples(data._slice("train")).take(count)]


def _made(count: int) -> list[bytes]:
    """Returns `count` JPEG files of coarse colors with fine noise; they repeat after 64."""
    random = np.random.default_rng(0)
    contents = []
    for _ in range(min(count, 64)):
        coarse = tf.image.resize(random.uniform(0, 255, [6, 8, 3]), SIZE, "bicubic").numpy()
        values = np.clip(coarse + random.normal(0, _ROUGHNESS, coarse.shape), 0, 255).astype(np.uint8)
        contents.append(tf.io.encode_jpeg(values, quality=90).numpy())
    return [contents[number % len(contents)] for number in range(count)]
