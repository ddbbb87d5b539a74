"""Builds the tuning that a recipe configures as `tune`."""

import pathlib
from collections.abc import Callable

import gin
import keras

from nasnet_tf.base.extras import OnDemand
from nasnet_tf.recipes import table
from nasnet_tf.tuning import results, tuner

keras_tuner = OnDemand("keras_tuner")


def tune(
    bindings: dict[str, str], hyperparameters: dict, oracle: Callable[..., "keras_tuner.Oracle"], seed: int
) -> Callable[[pathlib.Path], list[results.Trial]]:
    """Returns a function that tunes the training of the recipe in a work folder.

    Args:
      bindings: the configuration of the training as {name: literal}.
      hyperparameters: the bindings to tune as {binding: range}; see nasnet_tf.tuning.hyperparameters.make_hyperparameters.
      oracle: class of the KerasTuner oracle that proposes values, such as @RandomSearchOracle.
      seed: seed of the oracle, 1 or more.
    """
    made = tuner.make_oracle(bindings, hyperparameters, oracle, seed)
    may_change = table.may_change(is_search=False)
    return lambda workdir: tuner.tune(workdir, bindings, hyperparameters, made, train_bound, table.default_at_start, may_change)


def train_bound(workdir: pathlib.Path, bindings: dict[str, str]) -> float:
    """Trains with exactly these bindings; returns the score, such as the accuracy, on the evaluation split of the training."""
    keras.utils.clear_session()  # frees the networks of earlier trials
    gin.clear_config()
    gin.parse_config([f"{name} = {literal}" for name, literal in bindings.items()])
    train = table.bound("train")()
    _, evaluation = train(workdir)
    return train.score(evaluation)
