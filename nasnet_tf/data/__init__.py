"""Images and labels as tf.data: where they come from, how they are prepared, how they are batched. Knows nothing of models."""

from nasnet_tf.data.cifar import CifarPreprocessing
from nasnet_tf.data.imagenet import ImageNetPreprocessing, imagenet_classes
from nasnet_tf.data.pipeline import ImageData
from nasnet_tf.data.preprocessing import Preprocessing, preprocessing_from_config
from nasnet_tf.data.several_labels import MultiLabelData
from nasnet_tf.data.sources import open_source

__all__ = [
    "CifarPreprocessing",
    "ImageData",
    "ImageNetPreprocessing",
    "MultiLabelData",
    "Preprocessing",
    "imagenet_classes",
    "open_source",
    "preprocessing_from_config",
]
