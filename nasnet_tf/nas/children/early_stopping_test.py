"""Tests of early stopping, with thresholds computed by hand."""

import collections

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.nas.children.early_stopping import EarlyStopping
from nasnet_tf.nas.children.fidelity import Bar, Request
from nasnet_tf.nas.trials.trial import Trial

CURVES = [[0.1, 0.2, 0.3], [0.2, 0.3, 0.5], [0.3, 0.4, 0.7], [0.4, 0.5, 0.9]]


def test_thresholds_are_quantiles_of_all_curves_and_lines_fit_the_complete_ones():
    """Rungs 1 and 2 each stop half of the children that reach them, so three quarters in total."""
    first, second = EarlyStopping(quantile=0.75, least_peers=4).bars([*CURVES, [0.0]])
    assert first.min_accuracy == pytest.approx(0.2)  # the third of five values: the next one is below it with probability 3 / 6
    assert second.min_accuracy == pytest.approx(0.35)  # between 0.3 and 0.4
    assert (first.slope, first.intercept) == pytest.approx((2.0, 0.1))
    assert (second.slope, second.intercept) == pytest.approx((2.0, -0.1))


def test_complete_curves_may_be_older_than_the_latest_ones():
    stopped = [[0.1], [0.2], [0.3]]
    assert EarlyStopping(quantile=0.5, least_peers=4).bars(stopped) == []
    first, second = EarlyStopping(quantile=0.5, least_peers=4).bars(stopped, CURVES)
    assert 0.1 <= first.min_accuracy <= 0.2
    assert second.min_accuracy == 0.0  # none of the latest children reached this rung
    assert (first.slope, first.intercept) == pytest.approx((2.0, 0.1))


def ended(number, curve, reused_from=None, **metrics):
    return Trial(number, "", "", (), (), 0.0, "finished", 0.5, metrics={"curve": curve, **metrics}, reused_from=reused_from)


def test_a_request_has_the_thresholds_of_the_latest_trained_children(tmp_path):
    rule, trials = EarlyStopping(quantile=0.75, least_peers=4), [ended(number, curve) for number, curve in enumerate(CURVES)]
    others = [ended(4, [0.0], stopped_epoch=1.0), ended(5, [0.9] * 3, reused_from=0), ended(6, "none")]
    expected = rule.bars([*CURVES, [0.0]], CURVES)
    assert rule.request(None, [*trials, *others], tmp_path).bars == tuple(expected)
    assert rule.request(None, [], tmp_path) == Request(bars=())
    latest = [ended(number, [0.5, 0.6, 0.7]) for number in range(200)]
    assert rule.request(None, [*trials, *latest], tmp_path).bars == tuple(rule.bars([[0.5, 0.6, 0.7]] * 200))


def test_no_child_is_stopped_without_enough_peers_or_before_the_first_rung():
    assert EarlyStopping(least_peers=5).bars([*CURVES, [0.0]]) == []
    assert EarlyStopping(least_peers=5).bars([]) == []
    bars = EarlyStopping(quantile=0.5, least_peers=4, first_evaluation=2).bars(CURVES)
    assert [bar.min_accuracy > 0 for bar in bars] == [False, True]


def simulated(evaluations, quantile, children=1300, in_flight=20, seed=0):
    """Simulates children whose curves cross; returns the fractions of stopped children, stopped best tenth and saved evaluations."""
    rng, rule = np.random.default_rng(seed), EarlyStopping(quantile)
    time = np.arange(1, evaluations + 1) / evaluations
    ends = 0.9 + 0.02 * rng.normal(size=children)
    slow = np.exp(0.4 * rng.normal(size=children))
    curves = ends[:, None] - 0.3 * np.exp(-4 * time / slow[:, None]) + 0.005 * rng.normal(size=(children, evaluations))
    peers, whole = (collections.deque(maxlen=200) for _ in range(2))
    running, stopped, ran = collections.deque(), [], 0
    for curve in [*curves, *[None] * in_flight]:
        if curve is not None:
            running.append((curve.tolist(), rule.bars(peers, whole)))
        if len(running) > in_flight or curve is None:
            ended, bars = running.popleft()
            below = [place for place, bar in enumerate(bars) if ended[place] < bar.min_accuracy]
            stopped.append(bool(below))
            seen = ended[: below[0] + 1] if below else ended
            ran += len(seen)
            peers.append(seen)
            if not below:
                whole.append(seen)
    stopped = np.array(stopped)[300:]  # at first there are too few peers
    best = ends[300:] >= np.quantile(ends[300:], 0.9)
    return stopped.mean(), stopped[best].mean(), 1 - ran / children / evaluations


@pytest.mark.parametrize("evaluations", [3, 30])
@pytest.mark.parametrize("quantile", [0.25, 0.7])
def test_quantile_is_the_total_fraction_of_stopped_children(evaluations, quantile):
    stopped, of_best, saved = simulated(evaluations, quantile)
    assert stopped == pytest.approx(quantile, abs=0.05)
    assert of_best < quantile * 0.7
    assert saved > quantile / 3


def test_predictions_stay_between_0_and_1():
    assert Bar(0.5, 2.0, 0.1).predict(0.2) == pytest.approx(0.5)
    assert Bar(0.5, 2.0, 0.1).predict(0.9) == 1.0
    assert Bar(0.5, 2.0, -0.9).predict(0.2) == 0.0
    (flat,) = EarlyStopping(least_peers=2).bars([[0.2, 0.4], [0.2, 0.6]])
    assert flat.predict(0.1) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"quantile": 0.0}, r"EarlyStopping.quantile: expected a number in \(0, 1\), got 0.0"),
        ({"least_peers": 1}, "EarlyStopping.least_peers: expected an integer of 2 or more, got 1"),
        ({"first_evaluation": 0.5}, "EarlyStopping.first_evaluation"),
    ],
)
def test_wrong_arguments_are_refused(bindings, message):
    with pytest.raises(InputError, match=message):
        EarlyStopping(**bindings)
