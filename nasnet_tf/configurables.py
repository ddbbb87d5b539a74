"""What gin files configure. With cli.py the only module that imports gin; everything below works the same without it."""

import os
import pathlib

import gin
import keras
import keras_tuner
import tensorflow as tf

from nasnet_tf import data
from nasnet_tf.errors import InputError
from nasnet_tf.genotype import SearchSpace, genotype_hash, parse_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas import engines, ray_engine, retraining, search, strategies
from nasnet_tf.nas.early_stopping import Bar, EarlyStopping
from nasnet_tf.nas.evaluator import evaluate_genotype, measure_on_test
from nasnet_tf.nas.evolution import RegularizedEvolution
from nasnet_tf.nas.journal import Trial
from nasnet_tf.nas.limits import Limits
from nasnet_tf.serving.hub import load_features
from nasnet_tf.training import distribution, loop, optimizers, schedules
from nasnet_tf.training.evaluate import Evaluation
from nasnet_tf.tuning import results, tuner

for _configurable in (
    data.ImageData,
    data.CifarPreprocessing,
    data.ImageNetPreprocessing,
    NetworkConfig,
    SearchSpace,
    loop.TrainingConfig,
    schedules.cosine_decay,
    schedules.exponential_decay,
    distribution.make_strategy,
    optimizers.Momentum,
    optimizers.RMSProp,
    strategies.PPOSearch,
    strategies.RandomSearch,
    RegularizedEvolution,
    engines.LocalPool,
    ray_engine.RayTasks,
    EarlyStopping,
):
    gin.external_configurable(_configurable, module="nasnet_tf")
for _optimizer in ("Adam", "AdamW", "Lion", "Nadam", "SGD"):
    gin.external_configurable(getattr(keras.optimizers, _optimizer), module="keras.optimizers")
ORACLES = tuple(
    getattr(keras_tuner.oracles, f"{name}Oracle") for name in ("BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch")
)
_SET_BY_TUNE = ["objective", "hyperparameters", "seed", "max_consecutive_failed_trials"]
for _oracle in ORACLES:
    gin.external_configurable(_oracle, module="keras_tuner.oracles", denylist=_SET_BY_TUNE)
evaluate_configured = gin.external_configurable(evaluate_genotype, module="nasnet_tf", denylist=["genotype", "bars", "workdir"])
RETRAIN_SCOPE = "retrain"


@gin.configurable(module="nasnet_tf", denylist=["workdir"])
def train(
    workdir: pathlib.Path,
    genotype: str,
    network: NetworkConfig,
    data: data.ImageData,
    optimizer,
    learning_rate: schedules.Schedule,
    training: loop.TrainingConfig,
    strategy: tf.distribute.Strategy | None = None,
    initial_weights: str | None = None,
) -> tuple[keras.Model, Evaluation | None]:
    """Trains the network of a genotype; arguments as in nasnet_tf.training.loop.train_and_evaluate.

    genotype: the name of a published one, or the path of a textproto.
    initial_weights: to fine-tune, whose features to start from, as nasnet_tf.serving.hub.load_features takes them; None for fresh weights.
    """

    def build(num_classes: int, image_size: int) -> keras.Model:
        model = build_network(genotype, network, num_classes, image_size)
        if initial_weights is not None:
            load_features(model, initial_weights)
        return model

    return loop.train_and_evaluate(build, data, optimizer, learning_rate, training, workdir, strategy)


@gin.configurable("search", module="nasnet_tf", denylist=["workdir", "config_text", "identity"])
def run_search(
    workdir: pathlib.Path,
    config_text: str,
    identity: dict,
    space: SearchSpace,
    strategy,
    engine,
    num_trials: int,
    early_stopping: EarlyStopping | None = None,
    train_again: bool = False,
    max_trainings: int | None = None,
    retrain_top: int = 0,
) -> tuple[list[Trial], tuple[Trial, dict] | None]:
    """Searches, and retrains the best; arguments as in nasnet_tf.nas.search.search and nasnet_tf.nas.retraining.retrain_top.

    strategy: (space) -> strategy; config_text: the gin configuration that children evaluate genotypes with; retrain_top: how many of the
    best to retrain, with the bindings of the gin scope `retrain` where they differ.

    Returns:
      All trials of the search, and what retrain_top returns, None for 0.
    """
    if not (isinstance(retrain_top, int) and retrain_top >= 0):
        raise InputError(f"search.retrain_top: expected an integer of 0 or more, got {retrain_top!r}")
    workdir = workdir.absolute()  # children on other machines have other current folders
    log = workdir / "children.log"
    limits = Limits(max_trainings)
    task = ChildTask(config_text, log)
    trials = search.search(
        workdir, space, strategy(space), engine, task, num_trials, identity["search"], early_stopping, train_again, limits
    )
    if not retrain_top:
        return trials, None
    with gin.config_scope(RETRAIN_SCOPE):
        task = ChildTask(config_text, log, RETRAIN_SCOPE, workdir)
        return trials, retraining.retrain_top(workdir, space, trials, retrain_top, engine, task, measure_on_test, identity["retrain"])


@gin.configurable("tune", module="nasnet_tf", denylist=["workdir", "bindings"])
def run_tuning(workdir: pathlib.Path, bindings: dict[str, str], hyperparameters: dict, oracle, seed: int) -> list[results.Trial]:
    """Tunes what `train` is bound to; arguments as in nasnet_tf.tuning.tuner.tune."""
    return tuner.tune(workdir, bindings, hyperparameters, oracle, seed, train_bound)


def train_bound(workdir: pathlib.Path, bindings: dict[str, str]) -> float:
    """Trains with these bindings and no others; returns the accuracy on the examples watched. Keras forgets its networks before."""
    keras.utils.clear_session()
    gin.clear_config()
    gin.parse_config([f"{name} = {literal}" for name, literal in bindings.items()])
    _, evaluation = train(workdir)
    return evaluation.accuracy


class ChildTask:
    """What runs in a child process: (textproto, bars) -> outcome, configured by the text of the searching process' configuration.

    Args:
      config_text: as cli.parse_gin returns it.
      log: file that gets what the child and its libraries write to standard error; None to leave it where it goes.
      scope: of gin, whose bindings count before the others; "" for none.
      retrain_workdir: of the search, to keep the training in its folder for the architecture; None to keep nothing.
    """

    def __init__(self, config_text: str, log: pathlib.Path | None = None, scope: str = "", retrain_workdir: pathlib.Path | None = None):
        self._config_text, self._log, self._scope, self._retrain_workdir = config_text, log, scope, retrain_workdir

    def __call__(self, genotype_text: str, bars: list[Bar] | None = None) -> dict:
        if self._log is not None:
            os.dup2(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        gin.clear_config()
        gin.parse_config(self._config_text)
        genotype = parse_genotype(genotype_text)
        folder = self._retrain_workdir and retraining.trained_folder(self._retrain_workdir, genotype_hash(genotype))
        with gin.config_scope(self._scope or None):
            return evaluate_configured(genotype, bars=bars, workdir=folder)
