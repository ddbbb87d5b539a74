"""Tests that other ways to take steps give the same results: in parts, several in a call, compiled, in other precisions."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.layers.normalization import BatchNorm, LayerStyle
from nasnet_tf.layers.stochastic import Dropout, DropPath
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import SEVERAL_CLASSES, smallest_genotype
from nasnet_tf.training import numerics
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.distribution import make_strategy, make_synchronize
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.gradients import micro_batches
from nasnet_tf.training.optimizers import RMSProp
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.step import TrainStep

CONFIG = TrainingConfig(epochs=1, batch_size=8, weight_decay=1e-3, gradient_clip_norm=5.0, ema_decay=0.9)
RATES, PROGRESS = [0.1, 0.05, 0.02], [0.0, 0.3, 0.6]


class Dropped(keras.layers.Layer):
    """A layer that applies drop path to a single path."""

    def build(self, input_shape):
        self.drop_path = DropPath(0.5, num_paths=1, seed=4)
        self.built = True

    def call(self, inputs, training=None):
        return inputs * tf.cast(self.drop_path.sample(tf.shape(inputs)[0])[0], inputs.dtype) if training else inputs


def small(batch_norm=True, stochastic=False):
    """Returns a network of a convolution, a dense layer and, if requested, batch normalization, drop path and dropout."""
    keras.utils.set_random_seed(1)
    images = keras.Input((6, 6, 3))
    hidden = keras.layers.Conv2D(4, 3, name="conv")(images)
    if batch_norm:
        hidden = BatchNorm(LayerStyle(0.8, 1e-3), name="bn")(hidden)
    if stochastic:
        hidden = Dropped()(hidden)
    hidden = keras.layers.Flatten()(keras.layers.ReLU()(hidden))
    if stochastic:
        hidden = Dropout(0.3, seed=5)(hidden)
    return keras.Model(images, keras.layers.Dense(3, dtype="float32", name="logits")(hidden))


def tower(layers, synchronized):
    """Returns a network of `layers` convolutions with batch normalization, and a dense layer."""
    images = hidden = keras.Input((8, 8, 3))
    for _ in range(layers):
        hidden = keras.layers.Conv2D(2, 3, padding="same")(hidden)
        hidden = BatchNorm(LayerStyle(0.8, 1e-3, synchronized_batch_norm=synchronized))(hidden)
    return keras.Model(images, keras.layers.Dense(3)(keras.layers.Flatten()(hidden)))


def batches():
    random = np.random.RandomState(0)
    images = random.randn(3, 8, 6, 6, 3).astype("float32")
    labels = random.randint(0, 3, (3, 8)).astype("int32")
    return tf.data.Dataset.from_tensor_slices((images, labels)).unbatch().batch(8, drop_remainder=True)


def train(config=CONFIG, batch_norm=True, strategy=None, stochastic=False):
    """Takes three steps; returns the weights and averages by name, and the results of the steps."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        state = TrainingState.fresh(small(batch_norm, stochastic), RMSProp(), config.ema_decay)
    step = TrainStep(state, Classification(SEVERAL_CLASSES, config), config, strategy)
    iterator = iter(strategy.experimental_distribute_dataset(batches()))
    size = config.steps_per_call
    numbers = [
        step(iterator, first, RATES[first : first + size], PROGRESS[first : first + size], 0.0).numpy() for first in range(0, 3, size)
    ]
    make_synchronize(state.local, strategy)()
    weights = {weight.path: weight.numpy() for weight in state.model.weights}
    return weights | {f"average {path}": value.numpy() for path, value in state.average.averages.items()}, np.concatenate(numbers)


def assert_same(one, two, tolerance):
    for name, value in one[0].items():
        np.testing.assert_allclose(two[0][name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(two[1], one[1], rtol=tolerance, atol=tolerance)


def test_parts_of_a_batch_add_up_to_it():
    whole = train(batch_norm=False)
    assert_same(whole, train(dataclasses.replace(CONFIG, replica_batch_size=2), batch_norm=False), 1e-5)
    mirrored = train(dataclasses.replace(CONFIG, replica_batch_size=2), batch_norm=False, strategy=make_strategy("mirrored"))
    assert_same(whole, mirrored, 1e-5)


def test_parts_of_a_batch_behave_like_replicas(monkeypatch):
    """Compares two devices, which take half a batch each, with one device that takes the two halves one after the other.

    This covers RMSProp, averages, drop path, dropout and separate batch normalization on each replica. The patch numbers the masks in the
    same way for both.
    """

    def uniform(self, shape):
        context = tf.distribute.get_replica_context()
        number = self.counter * context.num_replicas_in_sync + context.replica_id_in_sync_group
        self.counter.assign_add(1)
        return tf.random.stateless_uniform(shape, [self.seed, number])

    monkeypatch.setattr(Dropout, "_uniform", uniform)
    monkeypatch.setattr(DropPath, "_uniform", uniform)
    config = dataclasses.replace(CONFIG, replica_batch_size=4)
    one, two = train(config, stochastic=True), train(strategy=make_strategy("mirrored"), stochastic=True)
    assert_same(two, one, 1e-5)
    whole, unmasked = train(stochastic=True), train(config)
    assert np.abs(whole[0]["bn/moving_variance"] - one[0]["bn/moving_variance"]).max() > 1e-5
    assert np.abs(unmasked[1] - one[1]).max() > 1e-2


@pytest.mark.parametrize(("most", "replicas", "expected"), [(None, 1, 8), (4, 1, 4), (3, 2, 6), (16, 2, 8)])
def test_an_evaluation_keeps_to_the_size_of_a_replicas_batch(most, replicas, expected):
    assert dataclasses.replace(CONFIG, batch_size=8, replica_batch_size=most).evaluation_batch_size(replicas) == expected


def test_replicas_draw_masks_of_their_own():
    strategy = make_strategy("mirrored")
    with strategy.scope():
        dropout, drop_path = Dropout(0.5, seed=1), DropPath(0.5, num_paths=4, seed=2)

    def draw():
        return dropout(tf.ones([4, 8]), training=True), drop_path.sample(tf.constant(8))

    for masks in tf.function(lambda: strategy.run(draw), autograph=False)():
        one, two = strategy.experimental_local_results(masks)
        assert not np.array_equal(one, two)


def test_synchronized_moments_are_exact_far_from_zero():
    """With a mean of 10,000 and a deviation of 1, a sum of squares would lose all precision. The gradients are those of the whole batch."""
    strategy = make_strategy("mirrored")
    random = np.random.RandomState(0)
    values, weights = (random.randn(8, 2, 2, 3).astype(np.float32) for _ in range(2))
    values += 10_000 * np.arange(1, 4, dtype=np.float32)
    with strategy.scope():
        layer = BatchNorm(LayerStyle(0.8, 1e-3, synchronized_batch_norm=True))
        layer.build(values.shape)

    def run(values, weights):
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = layer(values, training=True)
            loss = tf.reduce_sum(tf.square(outputs) * weights)
        return outputs, tape.gradient(loss, values)

    def half(array):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(array[4 * context.replica_id_in_sync_group :][:4])
        )

    parts = tf.function(lambda *args: strategy.run(run, args), autograph=False)(half(values), half(weights))
    ours = [np.concatenate(strategy.experimental_local_results(part)) for part in parts]
    exact = tf.constant(values, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(exact)
        mean, variance = tf.nn.moments(exact, [0, 1, 2])
        expected = (exact - mean) / tf.sqrt(variance + 1e-3)
        loss = tf.reduce_sum(tf.square(expected) * weights)
    np.testing.assert_allclose(ours[0], expected, atol=5e-3)  # the precision of float32 at values of 30,000
    np.testing.assert_allclose(ours[1], tape.gradient(loss, exact), atol=2e-2)
    np.testing.assert_allclose(layer.moving_variance, 0.8 + 0.2 * variance * 32 / 31, rtol=1e-3)


@pytest.mark.parametrize(
    ("batch", "replicas", "most", "expected"),
    [(1600, 1, 32, (32, 50)), (1600, 8, 32, (25, 8)), (1600, 100, 32, (16, 1)), (14, 2, 3, (1, 7)), (8, 1, None, (8, 1))],
)
def test_parts_are_even_and_no_larger_than_allowed(batch, replicas, most, expected):
    assert micro_batches(dataclasses.replace(CONFIG, batch_size=batch, replica_batch_size=most), replicas) == expected


def test_several_steps_in_one_call_are_the_same_steps():
    for strategy in (None, make_strategy("mirrored")):
        one = train(strategy=strategy)
        assert_same(one, train(dataclasses.replace(CONFIG, steps_per_call=2), strategy=strategy), 1e-6)


def test_the_step_and_the_evaluation_compile():
    for strategy in (None, make_strategy("mirrored")):
        assert_same(train(strategy=strategy), train(dataclasses.replace(CONFIG, jit_compile=True), strategy=strategy), 1e-4)
    model = small()
    weighted = [(images, labels, tf.ones([8])) for images, labels in batches()]
    plain, compiled = (dataclasses.astuple(Evaluator(model, jit_compile=jit)(weighted)) for jit in (False, True))
    assert compiled == pytest.approx(plain, rel=1e-5)
    with strategy.scope():
        model = small()
    parts = batches().map(lambda images, labels: (images, labels, tf.ones([8]))).rebatch(4)
    on_two = Evaluator(model, strategy, jit_compile=True)(strategy.distribute_datasets_from_function(lambda context: parts))
    assert dataclasses.astuple(on_two) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains(policy):
    exact = train()
    with numerics.dtype_policy(policy):
        weights, numbers = train()
        assert_same((weights, numbers), train(strategy=None), 0)
    np.testing.assert_allclose(numbers[:, 0], exact[1][:, 0], rtol=0.05)
    assert not np.array_equal(numbers, exact[1])


def test_overflow_skips_the_update_and_halves_the_scale():
    for strategy in (tf.distribute.get_strategy(), make_strategy("mirrored")):
        with numerics.dtype_policy("mixed_float16"), strategy.scope():
            state = TrainingState.fresh(small(), RMSProp(), 0.9)
        before = state.model.trainable_variables[0].numpy()
        state.loss_scale.scale.assign(1e30)
        step = TrainStep(state, Classification(SEVERAL_CLASSES, CONFIG), CONFIG, strategy)
        iterator = iter(strategy.experimental_distribute_dataset(batches()))
        step(iterator, 0, [0.1], [0.0], 0.0)
        np.testing.assert_array_equal(state.model.trainable_variables[0].numpy(), before)
        assert state.loss_scale.scale.numpy() == pytest.approx(5e29)
        assert state.optimizer.iterations.numpy() == 0
        state.loss_scale.scale.assign(1024.0)
        step(iterator, 0, [0.1], [0.0], 0.0)
        assert not np.array_equal(state.model.trainable_variables[0].numpy(), before)
        assert state.loss_scale.scale.numpy() == 1024.0


def collectives(build):
    """Returns (sizes of the collectives in a step of one replica, ascending; size of its gradients; layers of batch normalization)."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        state = TrainingState.fresh(build(), RMSProp(), 0.9)
    step = TrainStep(state, Classification(SEVERAL_CLASSES, CONFIG), CONFIG, strategy)
    data = tf.data.Dataset.from_tensors((tf.zeros([8, 8, 3]), 0)).repeat().batch(8, drop_remainder=True)
    scalars = [tf.TensorSpec([], dtype) for dtype in (tf.float32, tf.float32, tf.int64, tf.float32)]
    graph = step.one.get_concrete_function(next(iter(strategy.experimental_distribute_dataset(data))), *scalars).graph
    sizes = [op.inputs[0].shape.num_elements() for op in graph.get_operations() if op.type.startswith("Collective")]
    assert len(sizes) % 2 == 0
    layers = sum(weight.path.endswith("moving_mean") for weight in state.model.weights)
    return sorted(sizes)[::2], sum(variable.shape.num_elements() for variable in state.model.trainable_variables), layers


def test_replicas_exchange_their_gradients_once_and_nothing_else():
    for layers in (1, 3):
        sizes, parameters, _ = collectives(lambda layers=layers: tower(layers, synchronized=False))
        assert sizes == [parameters]


def test_synchronized_moments_are_sent_as_one_tensor_per_layer():
    """Each layer sends one tensor forward and one backward, in a network of cells too."""
    network = NetworkConfig(1, "cifar", 2.0, filters=4, synchronized_batch_norm=True)
    for build in (lambda: tower(3, synchronized=True), lambda: build_network(smallest_genotype(), network, 10, 8)):
        sizes, parameters, layers = collectives(build)
        assert len(sizes) == 1 + 2 * layers
        assert sizes[-1] == parameters
    assert layers > 5
