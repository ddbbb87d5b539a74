"""Converts the outcomes of executions to events of the journal, with any types of numbers that an evaluator returns."""

import math

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.trials.events import Ended, Failed, Finished, Infeasible
from nasnet_tf.nas.trials.trial import Trial


def finite_number(value) -> float | None:
    """Converts a number to a float: an int, a float, a NumPy scalar or a scalar tensor.

    Returns:
      None for NaN, infinities and values that are not numbers.
    """
    if value is None or isinstance(value, (str, bytes, bool, dict)):
        return None
    try:
        array = _array(value)
        if array.shape != () or array.dtype.kind in "bcmMOSU":
            return None
        number = float(array)
    except Exception:  # types of other packages may raise any exception
        return None
    return number if math.isfinite(number) else None


def json_ready(value):
    """Converts a value to types that JSON can express: None for NaN and infinities, text for values of unknown types."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_ready(item) for item in value]
    if isinstance(value, int):
        return int(value)
    try:
        array = _array(value)
    except Exception:  # types of other packages may raise any exception
        return repr(value)
    if array.dtype.kind in "biu":
        return array.tolist()
    if array.dtype.kind == "f" or (array.dtype.kind == "V" and array.dtype.names is None):
        return _without_nan(array.astype(np.float64).tolist())
    return array.tolist() if array.dtype.kind == "U" else repr(value)


def _array(value) -> np.ndarray:
    """Converts a value to an array. Tensors use their own method, because np.asarray fails for a bfloat16 scalar."""
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _without_nan(value):
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value if math.isfinite(value) else None


def curve_of(metrics: dict) -> list[float]:
    """Returns the accuracies in the metric "curve"; an empty list if it is not a list of finite numbers."""
    curve = metrics.get("curve")
    if not isinstance(curve, list):
        return []
    numbers = [finite_number(value) for value in curve]
    return [] if None in numbers else numbers


def checked(value) -> dict:
    """Returns the result of an evaluator unchanged; raises InputError unless it is a dict with "reward" or "infeasible"."""
    if not isinstance(value, dict) or not ("reward" in value or "infeasible" in value):
        said = repr(value)
        raise InputError(
            f'the evaluator returned {said[:200]}; expected {{"reward": number, "metrics": {{...}}}} or {{"infeasible": reason}}'
        )
    return value


def ended(outcome: Outcome, trial: Trial, rung: int | None, deadline_reward: float | None) -> Ended:
    """Returns the journal event for the outcome of an execution.

    Args:
      outcome: the outcome, from the engine.
      trial: the trial that was executed.
      rung: the rung of successive halving that the execution was meant to reach; None without successive halving.
      deadline_reward: reward that the strategy learns for a child killed at its deadline; None for none.
    """
    common = {"trial": trial.number, "attempt": trial.attempts + 1, "seconds": round(outcome.seconds, 3)}
    common |= {"machine": outcome.machine, "lost": outcome.lost, "rung": rung}
    if outcome.over_deadline:
        reason = f"over its deadline ({outcome.reason})"
        return Infeasible(reason=reason, over_deadline=True, policy_reward=deadline_reward, **common)
    if outcome.reason is not None:
        return Failed(reason=outcome.reason, **common)
    try:
        value = checked(outcome.value)
    except InputError as error:
        return Failed(reason=str(error), **common)
    if "infeasible" in value:
        return Infeasible(reason=str(value["infeasible"]), **common)
    reward = finite_number(value["reward"])
    if reward is None:
        return Infeasible(reason=f"its reward is {value['reward']!r}, not a finite number", **common)
    metrics = json_ready(value.get("metrics") or {})
    return Finished(reward=reward, metrics=metrics if isinstance(metrics, dict) else {"metrics": metrics}, **common)
