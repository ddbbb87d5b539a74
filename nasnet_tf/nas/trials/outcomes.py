"""What executions return, as events of the journal: numbers and JSON, whatever types an evaluator gave."""

import math

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.trials.events import Ended, Failed, Finished, Infeasible
from nasnet_tf.nas.trials.trial import Trial


def finite_number(value) -> float | None:
    """An int, a float, a scalar of numpy or a tensor without dimensions as a float; None for NaN, infinities, and whatever is no number."""
    if value is None or isinstance(value, (str, bytes, bool, dict)):
        return None
    try:
        array = _array(value)
        if array.shape != () or array.dtype.kind in "bcmMOSU":
            return None
        number = float(array)
    except Exception:  # whatever a foreign type raises
        return None
    return number if math.isfinite(number) else None


def json_ready(value):
    """The same as JSON has it: None for NaN and infinities, which it does not have, and text for what it does not know."""
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
    except Exception:  # whatever a foreign type raises
        return repr(value)
    if array.dtype.kind in "biu":
        return array.tolist()
    if array.dtype.kind == "f" or (array.dtype.kind == "V" and array.dtype.names is None):
        return _without_nan(array.astype(np.float64).tolist())
    return array.tolist() if array.dtype.kind == "U" else repr(value)


def _array(value) -> np.ndarray:
    """Of a tensor by its own method: for one of bfloat16 without dimensions np.asarray fails."""
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _without_nan(value):
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value if math.isfinite(value) else None


def curve_of(metrics: dict) -> list[float]:
    """The accuracies of the metric "curve"; none where it is not a list of finite numbers."""
    curve = metrics.get("curve")
    if not isinstance(curve, list):
        return []
    numbers = [finite_number(value) for value in curve]
    return [] if None in numbers else numbers


def checked(value) -> dict:
    """What an evaluator returned; raises InputError unless it is a dict with a reward or a reason why there is none."""
    if not isinstance(value, dict) or not ("reward" in value or "infeasible" in value):
        said = repr(value)
        raise InputError(
            f'the evaluator returned {said[:200]}; expected {{"reward": number, "metrics": {{...}}}} or {{"infeasible": reason}}'
        )
    return value


def ended(outcome: Outcome, trial: Trial, rung: int | None, deadline_reward: float | None) -> Ended:
    """Returns the event of an execution that ended.

    Args:
      outcome: as the engine reports it.
      trial: the trial that was executed.
      rung: the rung of successive halving that the execution was to reach; None without.
      deadline_reward: what the strategy learns of a child that was killed at its deadline; None for nothing.
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
