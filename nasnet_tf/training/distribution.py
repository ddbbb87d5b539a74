"""Which devices train: one binding chooses."""

import tensorflow as tf

from nasnet_tf.errors import InputError


def make_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """ "one_device", "mirrored" (all GPUs of this machine, or all logical devices of the CPU), or "auto": mirrored with several GPUs."""
    if name not in ("auto", "one_device", "mirrored"):
        raise InputError(f"make_strategy.name: expected 'auto', 'one_device' or 'mirrored', got {name!r}")
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
