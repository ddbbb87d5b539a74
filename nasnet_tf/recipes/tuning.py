"""`tune`: the tuning that a recipe binds."""

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
    """Returns the tuning of what `train` is bound to, to be called with its work folder.

    Args:
      bindings: {name: literal}, the configuration of the training.
      hyperparameters: {binding: range}, what to tune; see nasnet_tf.tuning.hyperparameters.make_hyperparameters.
      oracle: what proposes values, a class such as @RandomSearchOracle.
      seed: of the oracle, 1 or more.
    """
    asked = tuner.make_oracle(bindings, hyperparameters, oracle, seed)
    return lambda workdir: tuner.tune(workdir, bindings, hyperparameters, asked, train_bound, table.default_at_start)


def train_bound(workdir: pathlib.Path, bindings: dict[str, str]) -> float:
    """Trains with these bindings and no others; returns the score, such as the accuracy, on the examples watched."""
    keras.utils.clear_session()  # Keras forgets the networks of before
    gin.clear_config()
    gin.parse_config([f"{name} = {literal}" for name, literal in bindings.items()])
    train = table.bound("train")()
    _, evaluation = train(workdir)
    return train.score(evaluation)
