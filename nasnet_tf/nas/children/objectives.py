"""Objectives: rewards other than the accuracy alone, such as one that includes the cost of an architecture.

An objective is a function (genotype, accuracy, metrics) that returns the reward, or (reward, more metrics). The metrics are those that the
evaluator reported with the accuracy, such as "mult_adds" and "parameters". The function runs in the child.
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
    """Base class of objectives that a recipe can bind as `search.objective`."""

    def __call__(self, genotype: Genotype, accuracy: float, metrics: Mapping[str, Any]) -> Any:
        """Returns the reward of an architecture, or (reward, more metrics).

        Args:
          genotype: the architecture.
          accuracy: its accuracy, in [0, 1].
          metrics: the other metrics that the evaluator reported.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class CostReward(Objective):
    """MnasNet's reward, accuracy * (cost / target) ^ weight (arXiv 1807.11626, equations 2 and 3, with one exponent for both sides).

    Attributes:
      target: the cost at which the reward equals the accuracy, positive, in the unit of the cost.
      cost: the metric that is the cost: "mult_adds" (for one image), "parameters", "latency_seconds" (for one image, if
        `evaluate_genotype.measure_latency` is set) or any other number among the metrics. Or "module:function", the name of a function
        (genotype, metrics) that returns a positive number.
      weight: the exponent; negative to prefer cheap architectures. With -0.07, twice the cost is worth 5% more accuracy.
    """

    target: Positive
    cost: str = "mult_adds"
    weight: float = -0.07

    def __post_init__(self):
        check_fields(self)
        if ":" in self.cost:
            load_function(self.cost, "CostReward.cost")  # so that a wrong name is reported now

    def __call__(self, genotype: Genotype, accuracy: float, metrics: Mapping[str, Any]) -> tuple[float, dict]:
        """Returns (reward, {"cost": cost}); raises InputError if the cost is not a positive number."""
        value = load_function(self.cost, "CostReward.cost")(genotype, metrics) if ":" in self.cost else metrics.get(self.cost)
        cost = outcomes.finite_number(value)
        if cost is None or cost <= 0:
            known = ", ".join(name for name, each in metrics.items() if outcomes.finite_number(each) is not None)
            raise InputError(f"CostReward.cost: expected {self.cost} to give a positive number, got {value!r}; the metrics are {known}")
        return accuracy * (cost / self.target) ** self.weight, {"cost": cost}


def load_function(name: str, source: str) -> Callable:
    """Imports a function by its name "module:function".

    Args:
      name: "module:function".
      source: the binding that has this name; error messages begin with it.

    Raises:
      InputError: the module cannot be imported, or has no such function.
    """
    module, _, function = name.partition(":")
    if not module or module.startswith("."):
        raise InputError(f"{source}: expected 'module:function', got {name!r}")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise InputError(f"{source}: {name}: {error}; is its folder in PYTHONPATH?") from error
    if not callable(found):
        raise InputError(f"{source}: expected 'module:function', got {name!r}; module {module} has no such function")
    return found


class WithObjective:
    """Wraps an evaluator whose rewards are accuracies: replaces the reward by an objective and adds the accuracy to the metrics.

    It is picklable if the evaluator and the objective are.

    Args:
      evaluate: an evaluator, as for `nasnet_tf.nas.search.search`.
      objective: a function, or the name "module:function" of one.
    """

    def __init__(self, evaluate: Callable, objective: Objective | str):
        if isinstance(objective, str):
            load_function(objective, "search.objective")
        self.func, self._objective = evaluate, objective  # engines read the attribute `func` to find the module to preload

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
