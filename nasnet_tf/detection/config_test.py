"""Checks that layers can be rebuilt from their configuration, which is plain data, and the costs and limits of a detector."""

import copy
import json

import keras
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.detection.task import Detection
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.description import all_layers
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import tiny_genotype
from nasnet_tf.training.config import TrainingConfig

PLAIN = (bool, int, float, str, type(None))


def classifier():
    config = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2)
    return build_network(tiny_genotype(), config, 3, 8)


def detector():
    network = build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8), None, (None, None))
    return build_detector(network, DetectorConfig(proposal_filters=4, num_proposals=3, crop_size=2), 2)


def odd_parts(value, place):
    """Yields a description of each value in a configuration that is no plain data."""
    if type(value) in (list, dict):
        for key, item in value.items() if type(value) is dict else enumerate(value):
            yield from odd_parts(item, f"{place}.{key}")
    elif type(value) not in PLAIN:
        yield f"{place} is a {type(value).__name__}"


def test_costs_grow_linearly_with_the_proposals():
    """Each proposal adds the same number of multiply-adds to those of the image."""

    def costs(proposals):
        network = build_network(tiny_genotype(), NetworkConfig(1, "imagenet", 0.25, filters=8), None, (None, None))
        config = DetectorConfig(proposal_filters=4, num_proposals=proposals, crop_size=2)
        return count_costs(build_detector(network, config, 2), (64, 64))

    one, two, three = costs(1), costs(2), costs(3)
    assert one.parameters == two.parameters == three.parameters
    assert 0 < two.mult_adds - one.mult_adds == three.mult_adds - two.mult_adds < one.mult_adds
    with pytest.raises(InputError, match="takes images of any size; give image_size"):
        count_costs(detector())


@pytest.mark.parametrize("build", [classifier, detector])
def test_the_configuration_of_each_layer_is_plain_data(build, tmp_path):
    model = build()
    for layer in all_layers(model):
        config = layer.get_config()
        described = keras.saving.serialize_keras_object(layer)["config"]
        if type(layer).__module__.startswith("nasnet_tf"):
            assert [odd for odd in odd_parts(config, layer.name) if "DTypePolicy" not in odd] == []
        again = type(layer).from_config(copy.deepcopy(config))
        assert json.dumps(described) == json.dumps(keras.saving.serialize_keras_object(again)["config"])
    copied = copy.deepcopy(model.get_config())
    assert keras.Model.from_config(copied).count_params() == model.count_params()
    assert keras.models.clone_model(model).to_json() == model.to_json()
    model.save(tmp_path / "a.h5")
    again = keras.saving.load_model(tmp_path / "a.h5", compile=False)
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


@pytest.mark.parametrize("setting", [{"frozen_epochs": 1.0}, {"class_weights": "balanced"}])
def test_unsupported_training_settings_are_refused(setting):
    (name,) = setting
    with pytest.raises(InputError, match=f"TrainingConfig.{name}: expected (0|None) for a detector, got"):
        Detection(None, TrainingConfig(1, 2, **setting))
