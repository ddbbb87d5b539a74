"""Tests that the copy of a checkpoint keeps the values from the time when it was taken."""

import numpy as np
import tensorflow as tf

from nasnet_tf.training.state import Shadow


def test_training_does_not_change_the_copy(tmp_path):
    weight = tf.Variable(np.arange(100_000, dtype=np.float32))  # shares memory with its copy until it is written to
    shadow = Shadow(tf.train.Checkpoint(weight=weight))
    for step, change in enumerate((lambda: weight.assign_add(tf.ones(100_000)), lambda: weight.assign(tf.zeros(100_000)))):
        before = weight.numpy()
        shadow.update()
        change()
        shadow.checkpoint.write(f"{tmp_path}/{step}")
        assert not np.array_equal(weight, before)
        assert np.array_equal(tf.train.load_variable(f"{tmp_path}/{step}", "weight/.ATTRIBUTES/VARIABLE_VALUE"), before)


def test_the_first_copy_has_memory_of_its_own(tmp_path):
    weight = tf.Variable(tf.fill([100_000], 2.0))
    shadow = Shadow(tf.train.Checkpoint(weight=weight))
    tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=1.0, delta=tf.ones([100_000]))
    shadow.checkpoint.write(f"{tmp_path}/first")
    assert np.array_equal(tf.train.load_variable(f"{tmp_path}/first", "weight/.ATTRIBUTES/VARIABLE_VALUE"), np.full(100_000, 2.0))
    assert float(weight[0]) == 1.0
