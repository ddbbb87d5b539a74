"""Rewards that are not the accuracy alone: what an architecture costs, or whatever its user wants.

An objective is a function (genotype, accuracy, metrics) -> reward, or (reward, more metrics), where metrics are what the evaluator
reported with the accuracy, such as "mult_adds" and "parameters". It runs in the child.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Positive, check_fields
from nasnet_tf.genotype import Genotype, parse_genotype
from nasnet_tf.nas.trials import outcomes


class Objective:
    """A reward that recipes bind as `search.objective`; a class of your own inherits from this one."""

    def __call__(self, genotype: Genotype, accuracy: float, metrics: Mapping[str, Any]) -> Any:
        """Returns the reward, or (reward, more metrics).

        Args:
          metrics: what the evaluator said besides.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class CostReward(Objective):
    """accuracy * (cost / target) ^ weight: MnasNet's reward (arXiv 1807.11626, equations 2 and 3, with one exponent for both sides).

    Attributes:
      target: the cost at which the reward is the accuracy, positive, in the units of the cost.
      cost: what a child costs: "mult_adds" (of one image), "parameters", "latency_seconds" (of one image, if the evaluator measures it:
        evaluate_genotype.measure_latency), any other number among the metrics, or "module:function", a function (genotype, metrics) ->
        positive number.
      weight: negative to prefer cheap ones; -0.07 gives twice the cost for 5% more accuracy.
    """

    target: Positive
    cost: str = "mult_adds"
    weight: float = -0.07

    def __post_init__(self):
        check_fields(self)
        if ":" in self.cost:
            load_function(self.cost, "CostReward.cost")  # a mistake in it comes up now

    def __call__(self, genotype: Genotype, accuracy: float, metrics: Mapping[str, Any]) -> tuple[float, dict]:
        """(reward, {"cost": ...}); raises InputError where there is no positive cost."""
        value = load_function(self.cost, "CostReward.cost")(genotype, metrics) if ":" in self.cost else metrics.get(self.cost)
        cost = outcomes.finite_number(value)
        if cost is None or cost <= 0:
            known = ", ".join(name for name, each in metrics.items() if outcomes.finite_number(each) is not None)
            raise InputError(
                f"CostReward.cost: expected {self.cost} to give a positive number, got {value!r}; there are the metrics {known}"
            )
        return accuracy * (cost / self.target) ** self.weight, {"cost": cost}


def load_function(name: str, source: str) -> Callable:
    """A function by "module:function"; raises InputError, which begins with the source, where there is none."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise InputError(f"{source}: {name}: {error}; is its folder in PYTHONPATH?") from error
    if not callable(found):
        raise InputError(f"{source}: expected 'module:function', got {name!r}, and module {module} has no such function")
    return found


class WithObjective:
    """An evaluator whose rewards are accuracies, with an objective instead; the accuracy is among its metrics. Picklable if both are.

    Args:
      evaluate: as nasnet_tf.nas.search.search takes it.
      objective: a function, or "module:function".
    """

    def __init__(self, evaluate: Callable, objective: Objective | str):
        if isinstance(objective, str):
            load_function(objective, "search.objective")
        self.func, self._objective = evaluate, objective  # engines look for the module of `func`

    def __call__(self, genotype_text: str, *args) -> dict:
        outcome = outcomes.checked(self.func(genotype_text, *args))
        accuracy = None if "infeasible" in outcome else outcomes.finite_number(outcome["reward"])
        if accuracy is None:
            return outcome
        objective = self._objective
        if isinstance(objective, str):
            objective = load_function(objective, "search.objective")
        metrics = {**(outcome.get("metrics") or {}), "accuracy": accuracy}
        reward = objective(parse_genotype(genotype_text), accuracy, metrics)
        reward, more = reward if isinstance(reward, tuple) else (reward, {})
        return {"reward": reward, "metrics": metrics | more}
