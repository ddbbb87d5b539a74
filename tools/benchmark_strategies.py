"""The strategies of strategy_benchmark.py, by name. Each is a function (table, seed) -> strategy."""

import argparse
import ast
import dataclasses
import functools
import random
from collections.abc import Callable

from nasnet_tf.nas.strategies.evolution import RegularizedEvolution
from nasnet_tf.nas.strategies.local_search import LocalSearch
from nasnet_tf.nas.strategies.model_guided import ModelGuided
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.nas.strategies.prescreened import Prescreened
from nasnet_tf.nas.strategies.random_search import RandomSearch


def evolution(space, seed: int) -> RegularizedEvolution:
    """Returns regularized evolution with a population of 20 and tournaments of 5."""
    return RegularizedEvolution(space, seed, population=20, tournament=5)


def primed(table, seed: int, sign: int) -> ModelGuided:
    """Returns ModelGuided primed with the truths of 100 random architectures, which resemble the rewards; sign=-1 inverts the truths."""
    strategy, draws = ModelGuided(table.space, seed), random.Random(f"{seed} prior")
    decisions = [table.space.sample(draws) for _ in range(_PRIOR)]
    strategy.prime(decisions, [0.5 + sign * (table.truth(each) / 100 - 0.5) for each in decisions])
    return strategy


# {name: function (table, seed) -> strategy}
STRATEGIES = {
    "random": lambda table, seed: RandomSearch(table.space, seed),
    "evolution": lambda table, seed: evolution(table.space, seed),
    "local_search": lambda table, seed: LocalSearch(table.space, seed),
    "ppo": lambda table, seed: PPOSearch(table.space, seed),
    "screened_evolution": lambda table, seed: Prescreened(table.space, lambda space: evolution(space, seed), seed),
    "model_guided": lambda table, seed: ModelGuided(table.space, seed),
    "model_guided_ppo": lambda table, seed: ModelGuided(table.space, seed, lambda space: PPOSearch(space, seed)),
    "model_guided_evolution": lambda table, seed: ModelGuided(table.space, seed, lambda space: evolution(space, seed)),
    "model_guided_front": lambda table, seed: ModelGuided(table.space, seed, cost=COST),
    "model_guided_right_prior": functools.partial(primed, sign=1),
    "model_guided_wrong_prior": functools.partial(primed, sign=-1),
}
PPO_PREFIX = "ppo:"  # PPOSearch with bindings: ppo:NAME=VALUE,NAME=VALUE
COST = "mult_adds"
_PRIOR = 100  # architectures in a prior


def strategy_of(name: str) -> Callable:
    """Returns the function (table, seed) -> strategy of a name, either in STRATEGIES or such as "ppo:epochs=1,learning_rate=0.00035".

    Raises:
      argparse.ArgumentTypeError: the name is unknown, or it does not hold bindings of PPOSearch.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    try:
        pairs = (each.split("=") for each in name.removeprefix(PPO_PREFIX).split(","))
        bindings = {key: ast.literal_eval(value) for key, value in pairs}
        if not name.startswith(PPO_PREFIX) or bindings.keys() - {field.name for field in dataclasses.fields(PPOSearch)}:
            raise ValueError(name)
    except (ValueError, SyntaxError) as error:
        known = ", ".join([*STRATEGIES, f"{PPO_PREFIX}epochs=1,learning_rate=0.00035"])
        raise argparse.ArgumentTypeError(f"expected one of {known}; got {name!r}") from error
    return lambda table, seed: PPOSearch(table.space, seed, **bindings)


def known_strategy(name: str) -> str:
    """Returns the name; raises argparse.ArgumentTypeError if it names no strategy."""
    strategy_of(name)
    return name
