"""The rule of early stopping against numbers worked out by hand."""

import pytest

from nasnet_tf.errors import InputError
from nasnet_tf.nas.early_stopping import Bar, EarlyStopping

CURVES = [[0.1, 0.2, 0.3], [0.2, 0.3, 0.5], [0.3, 0.4, 0.7], [0.4, 0.5, 0.9]]


def test_bars_are_quantiles_of_all_peers_and_lines_through_the_whole_ones():
    first, second = EarlyStopping(quantile=0.25, least_peers=4).bars([*CURVES, [0.0]])
    assert first.least == pytest.approx(0.1)  # a quarter of 0.0, 0.1, 0.2, 0.3, 0.4
    assert second.least == pytest.approx(0.275)  # of 0.2, 0.3, 0.4, 0.5
    assert (first.slope, first.intercept) == pytest.approx((2.0, 0.1))
    assert (second.slope, second.intercept) == pytest.approx((2.0, -0.1))


def test_nobody_is_stopped_without_enough_peers_or_before_the_first_evaluation():
    assert EarlyStopping(least_peers=5).bars([*CURVES, [0.0]]) == []
    assert EarlyStopping(least_peers=5).bars([]) == []
    bars = EarlyStopping(least_peers=4, first_evaluation=2).bars(CURVES)
    assert [bar.least > 0 for bar in bars] == [False, True]


def test_predictions_stay_within_accuracies():
    assert Bar(0.5, 2.0, 0.1).predict(0.2) == pytest.approx(0.5)
    assert Bar(0.5, 2.0, 0.1).predict(0.9) == 1.0
    assert Bar(0.5, 2.0, -0.9).predict(0.2) == 0.0
    (flat,) = EarlyStopping(least_peers=2).bars([[0.2, 0.4], [0.2, 0.6]])
    assert flat.predict(0.1) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"quantile": 0.0}, r"EarlyStopping.quantile: expected a share in \(0, 1\), got 0.0"),
        ({"least_peers": 1}, "EarlyStopping.least_peers: expected an integer of 2 or more, got 1"),
        ({"first_evaluation": 0.5}, "EarlyStopping.first_evaluation"),
    ],
)
def test_impossible_rules_are_refused(bindings, message):
    with pytest.raises(InputError, match=message):
        EarlyStopping(**bindings)
