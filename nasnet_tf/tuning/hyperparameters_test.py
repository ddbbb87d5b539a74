"""Checks ranges as a gin file gives them, and the error for each mistake."""

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.tuning.hyperparameters import as_literal, make_hyperparameters

BINDINGS = {"cosine_decay.initial_rate": "0.1", "NetworkConfig.filters": "8", "TrainingConfig.gradient_clip_norm": "5.0"}


def test_each_kind_of_range_becomes_a_hyperparameter():
    ranges = {
        "cosine_decay.initial_rate": ("float", 1e-3, 1e-1, "log"),
        "NetworkConfig.filters": ["int", 4, 8],
        "TrainingConfig.gradient_clip_norm": ("choice", [None, 5.0]),
    }
    rate, filters, clip = make_hyperparameters(ranges, BINDINGS).space
    assert (rate.name, rate.prob_to_value(0.5)) == ("cosine_decay.initial_rate", pytest.approx(1e-2))
    assert {filters.prob_to_value(place / 10) for place in range(10)} == {4, 5, 6, 7, 8}
    assert [clip.prob_to_value(0.0), clip.prob_to_value(0.9)] == ["None", "5.0"]
    assert as_literal(rate.prob_to_value(0.0)) == "0.001"
    assert as_literal(filters.prob_to_value(0.0)) == "4"
    assert as_literal("None") == "None"


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({}, ["tune.hyperparameters", "dictionary"]),
        ({"cosine_decay.rate": ("float", 0.0, 1.0)}, ["no binding 'cosine_decay.rate'", "cosine_decay.initial_rate"]),
        ({"NetworkConfig.filters": ("integer", 1, 2)}, ["NetworkConfig.filters", "'integer'", '"choice"']),
        ({"NetworkConfig.filters": 8}, ["NetworkConfig.filters", "got 8"]),
        ({"NetworkConfig.filters": ("int", 1.5, 2)}, ["NetworkConfig.filters", "integers", "1.5"]),
        ({"NetworkConfig.filters": ("int", 8, 8)}, ["NetworkConfig.filters", "less than high", "8"]),
        ({"cosine_decay.initial_rate": ("float", 0.1, 0.01, "log")}, ["cosine_decay.initial_rate", "less than high", "0.1", "0.01"]),
        ({"cosine_decay.initial_rate": ("float", 0.0, 0.1, "log")}, ["cosine_decay.initial_rate", "above 0", "log"]),
        ({"cosine_decay.initial_rate": ("float", 0.0, float("inf"))}, ["cosine_decay.initial_rate", "finite", "inf"]),
        ({"cosine_decay.initial_rate": ("float", 0.1, 0.2, "logarithmic")}, ["cosine_decay.initial_rate", "'logarithmic'", "reverse_log"]),
        ({"NetworkConfig.filters": ("choice", [])}, ["NetworkConfig.filters", "different values", "[]"]),
        ({"NetworkConfig.filters": ("choice", [4, 4])}, ["NetworkConfig.filters", "different values", "[4, 4]"]),
        ({"NetworkConfig.filters": ("choice", [object])}, ["NetworkConfig.filters", "literals", "object"]),
    ],
)
def test_a_wrong_range_is_refused_with_its_binding(ranges, words):
    with pytest.raises(InputError) as error:
        make_hyperparameters(ranges, BINDINGS)
    for word in words:
        assert word in str(error.value)
