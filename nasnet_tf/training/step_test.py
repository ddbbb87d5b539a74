"""Tests of one step against the same step worked out variable by variable."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.testing import SEVERAL_CLASSES
from nasnet_tf.training import optimizers
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.losses import classification_loss
from nasnet_tf.training.optimizers import Momentum
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.step import TrainStep

DECAY, CLIP, RATE = 0.1, 0.5, 0.2


def network() -> keras.Model:
    """Returns a network with two kernels of one shape and one of another, and biases likewise."""
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(size) for size in (4, 4, 3))])


def test_a_step_equals_one_computed_variable_by_variable():
    model = network()
    images = tf.constant(np.random.RandomState(0).randn(8, 4).astype("float32"))
    labels = tf.constant([0, 1, 2, 0, 1, 2, 0, 1])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(classification_loss(labels, model(images, training=True), 0.0))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    gradients = [g + DECAY * v.value if len(v.shape) == 2 else g for g, v in zip(gradients, variables, strict=True)]
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
    assert norm > CLIP
    expected = [v.numpy() - RATE * g.numpy() * CLIP / norm for g, v in zip(gradients, variables, strict=True)]

    config = TrainingConfig(epochs=1, batch_size=8, weight_decay=DECAY, gradient_clip_norm=CLIP)
    state = TrainingState.fresh(model, Momentum(0.9), ema_decay=None)
    step = TrainStep(state, Classification(SEVERAL_CLASSES, config), config, tf.distribute.get_strategy())
    result = step(iter([(images, labels)]), 0, [RATE], [0.0], 0.0).numpy()[0]
    np.testing.assert_allclose(result[0], loss, rtol=1e-6)
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-7)


def test_invalid_values_are_refused():
    def SGD():  # noqa: N802  as gin names it
        return keras.optimizers.SGD(momentum=2)

    with pytest.raises(InputError, match="folder:x: expected at least 2 classes, got cat"):
        Classification(types.SimpleNamespace(source="folder:x", num_classes=1, class_names=("cat",)), TrainingConfig(1, 8))
    with pytest.raises(InputError, match="TrainingConfig.seed: expected an integer of 0 or more, below 2.31, got -1"):
        TrainingConfig(epochs=1, batch_size=8, seed=-1)
    with pytest.raises(InputError, match="optimizer SGD: .*momentum.* between"):
        optimizers.made(SGD)
