"""Checks the memory estimate of training against a count by hand."""

import keras
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.models.memory import estimate_memory


def test_the_estimate_equals_a_calculation_by_hand():
    image = keras.Input([8, 8, 3])
    hidden = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="first")(image)
    hidden = keras.layers.ReLU()(hidden)
    hidden = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="second")(hidden)
    model = keras.Model(image, keras.layers.Flatten()(hidden))
    memory = estimate_memory(model, batch_size=5)
    weights = (3 * 3 * 3 * 4 + 3 * 3 * 4 * 4) * 4
    assert memory.state_bytes == 5 * weights  # weights, gradients and three slots
    large = 5 * 8 * 8 * 4 * 4  # bytes of a hidden tensor
    images = 5 * 8 * 8 * 3 * 4
    # The input and the ReLU's output are kept for gradients; up to three more hidden tensors exist at the peak.
    assert images + 2 * large <= memory.activation_bytes <= images + 5 * large
    assert estimate_memory(model, batch_size=10).activation_bytes == 2 * memory.activation_bytes
    assert memory.total_bytes == memory.state_bytes + memory.activation_bytes


def test_a_model_for_images_of_any_size_is_refused():
    image = keras.Input([None, None, 3])
    with pytest.raises(InputError, match="takes images of any size; expected one that was built with an image_size"):
        estimate_memory(keras.Model(image, keras.layers.Conv2D(4, 3)(image)), batch_size=5)
