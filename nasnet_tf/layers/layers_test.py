"""Checks layers against numbers that were computed by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.genotype import Operation
from nasnet_tf.layers.convolutions import DilatedConv, FactorizedConv, SeparableConv, slim_initializer
from nasnet_tf.layers.normalization import BatchNorm, LayerStyle, MomentNorm
from nasnet_tf.layers.operations import OPERATIONS, Pool
from nasnet_tf.layers.reductions import FactorizedReduction
from nasnet_tf.layers.stochastic import Dropout, DropPath

STYLE = LayerStyle(batch_norm_momentum=0.9, batch_norm_epsilon=1e-3)
BN_AT_START = 1 / np.sqrt(1 + 1e-3)  # factor that inference applies before any training


def image(values):
    """Returns a gray image, float32 [1, height, width, 1]."""
    return tf.constant(values, tf.float32)[None, :, :, None]


def test_batch_norm_uses_the_batch_and_keeps_unbiased_statistics():
    layer = BatchNorm(STYLE)
    values = np.array([1.0, 2.0, 4.0, 9.0], np.float32)
    outputs = layer(tf.reshape(tf.constant(values), [2, 2, 1, 1]), training=True)
    np.testing.assert_allclose(tf.reshape(outputs, [-1]), (values - 4) / np.sqrt(9.5 + 1e-3), rtol=1e-5)
    assert float(layer.moving_mean[0]) == pytest.approx(0.1 * 4)
    assert float(layer.moving_variance[0]) == pytest.approx(0.9 * 1 + 0.1 * 9.5 * 4 / 3)  # Bessel's correction: n / (n - 1)
    layer.trainable = False
    layer(tf.ones([2, 2, 1, 1]), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(0.1 * 4)  # frozen


@pytest.mark.parametrize(("over", "axes"), [("layer", (1, 2, 3)), ("instance", (1, 2))])
def test_moment_norm_gives_mean_0_and_deviation_1(over, axes):
    layer = MomentNorm(over)
    values = np.random.default_rng(0).normal(3.0, 2.0, [2, 3, 4, 5]).astype(np.float32)
    outputs = layer(tf.constant(values)).numpy()
    expected = (values - values.mean(axes, keepdims=True)) / values.std(axes, keepdims=True)
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-4)
    assert [tuple(weight.shape) for weight in layer.weights] == [(5,), (5,)]


def test_separable_conv_is_applied_twice_with_relu_in_front_of_each():
    layer = SeparableConv(1, STYLE, kernel_size=3, stride=2)
    layer.build((None, None, None, 1))
    for weight, value in ((layer.depthwise_1, 1.0), (layer.pointwise_1, -1.0), (layer.depthwise_2, 1.0), (layer.pointwise_2, 1.0)):
        weight.assign(tf.fill(weight.shape, value))
    # The first convolution gives -1, which the second ReLU removes.
    assert float(tf.reduce_max(tf.abs(layer(image([[1.0, 1.0], [1.0, 1.0]]))))) == 0.0
    layer.pointwise_1.assign(tf.ones(layer.pointwise_1.shape))
    # With stride 2 on 2x2 pixels, the one output is the sum of all four; ReLU makes -5 a 0.
    assert float(layer(image([[1.0, 2.0], [3.0, -5.0]]))[0, 0, 0, 0]) == pytest.approx(6 * BN_AT_START**2, rel=1e-5)


def test_factorized_reduction_takes_even_and_odd_pixels():
    layer = FactorizedReduction(2, STYLE, activation=False)
    layer.build((None, None, None, 1))
    layer.even.assign(tf.ones(layer.even.shape))
    layer.odd.assign(tf.ones(layer.odd.shape))
    outputs = layer(image(np.arange(9.0).reshape(3, 3)))[0] / BN_AT_START
    np.testing.assert_allclose(outputs[:, :, 0], [[0, 2], [6, 8]], rtol=1e-5)
    np.testing.assert_allclose(outputs[:, :, 1], [[4, 0], [0, 0]], rtol=1e-5)  # zeros where the odd path has no pixel


def test_pools_leave_padding_out():
    values = [[-4.0, -2.0], [-3.0, -1.0]]
    for kind, expected in (("AVG", -2.5), ("MAX", -1.0)):
        layer = Pool(1, STYLE, kind=kind, size=3)
        outputs = layer(image(values))
        np.testing.assert_allclose(outputs, np.full([1, 2, 2, 1], expected))


def test_dilated_conv_of_stride_2_takes_every_second_pixel_of_stride_1():
    plain, strided = DilatedConv(3, STYLE), DilatedConv(3, STYLE, stride=2)
    values = tf.random.stateless_normal([2, 7, 9, 4], [1, 2])
    outputs = plain(values)
    strided.build(values.shape)
    strided.kernel.assign(plain.kernel)
    np.testing.assert_allclose(strided(values), outputs[:, ::2, ::2], rtol=1e-4, atol=1e-5)


def test_factorized_conv_splits_the_stride():
    layer = FactorizedConv(5, STYLE, kernel_size=7, stride=2)
    assert layer(tf.zeros([1, 6, 8, 3])).shape == (1, 3, 4, 5)
    assert [tuple(step.kernel.shape) for step in layer.steps] == [(1, 1, 3, 1), (1, 7, 1, 1), (7, 1, 1, 1), (1, 1, 1, 5)]
    layer = FactorizedConv(16, STYLE, kernel_size=3)
    layer.build((None, None, None, 16))
    assert [tuple(step.kernel.shape) for step in layer.steps] == [(1, 1, 16, 6), (1, 3, 6, 6), (3, 1, 6, 6), (1, 1, 6, 16)]


@pytest.mark.parametrize("operation", [number for number in Operation.values() if number])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bounded", [False, True])
def test_every_operation_returns_the_number_of_filters_and_the_size(operation, stride, bounded):
    style = LayerStyle(0.9, 1e-3, bounded)
    for channels in (6, 4):
        layer = OPERATIONS[operation](6, style, stride=stride, name="operation")
        outputs = layer(tf.random.stateless_normal([2, 5, 7, channels], [3, 4]), training=True)
        assert outputs.shape == ((2, 5, 7, 6) if stride == 1 else (2, 3, 4, 6))
        assert bool(tf.reduce_all(tf.math.is_finite(outputs)))


def test_initializer_has_slims_deviation():
    values = slim_initializer((1, 8))([200_000]).numpy()
    deviation = np.sqrt(1.3 * 2 / 8)
    assert np.abs(values).max() <= 2 * deviation
    assert values.std() == pytest.approx(0.8796 * deviation, rel=0.01)  # deviation of a normal distribution truncated at two deviations


def test_drop_path_drops_whole_examples_at_its_rate_and_keeps_the_mean():
    layer = DropPath(0.4, num_paths=3, seed=1)
    layer.progress.assign(0.5)
    scales = layer.sample(tf.constant(4000)).numpy()
    assert scales.shape == (3, 4000, 1, 1, 1)
    assert sorted(np.unique(scales)) == pytest.approx([0.0, 1 / 0.8])
    assert (scales == 0).mean() == pytest.approx(0.2, abs=0.02)
    assert not np.array_equal(scales, layer.sample(tf.constant(4000)).numpy())
    layer.counter.assign(0)
    assert np.array_equal(scales, layer.sample(tf.constant(4000)).numpy())  # a restored counter repeats the draw


def test_dropout_drops_only_in_training():
    layer = Dropout(0.25, seed=3)
    ones = tf.ones([100, 100])
    assert np.array_equal(layer(ones, training=False), ones)
    outputs = layer(ones, training=True).numpy()
    assert (outputs == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert outputs.max() == pytest.approx(4 / 3)
    keras.utils.set_random_seed(5)
    seeds = [Dropout(0.5, None).seed, DropPath(0.5, 1).seed]
    keras.utils.set_random_seed(5)
    assert seeds == [Dropout(0.5, None).seed, DropPath(0.5, 1).seed]
