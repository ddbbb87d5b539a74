"""Gives TensorFlow two logical CPU devices before it starts, so that tests can run two replicas, and orders the tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)


def pytest_collection_modifyitems(items):
    """Runs the longest tests first. If they ran last, one of two pytest workers would wait minutes for the other."""
    items.sort(key=lambda item: item.get_closest_marker("several_processes") is None)
