"""`evaluate_genotype`, and what runs in a child process of a search."""

import copy
import functools
import pathlib
from collections.abc import Callable

import gin

from nasnet_tf import data
from nasnet_tf.genotype import Genotype, parse_genotype
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children.early_stopping import Bar
from nasnet_tf.nas.children.evaluator import evaluate_genotype
from nasnet_tf.nas.children.folders import FOLDER as CHILDREN
from nasnet_tf.nas.children.folders import log_of, logged
from nasnet_tf.nas.children.halving import Stage
from nasnet_tf.nas.children.shared_weights import SharedWeights
from nasnet_tf.nas.children.space_training import SpaceChildren
from nasnet_tf.nas.children.zero_cost import ZeroCost
from nasnet_tf.recipes import table
from nasnet_tf.recipes.training import Optimizer
from nasnet_tf.training import loop, schedules


def bind_child(
    network: NetworkConfig,
    data: data.ImageData,
    optimizer: Optimizer,
    learning_rate: schedules.Schedule,
    training: loop.TrainingConfig,
    dtype_policy: str = "float32",
    measure_latency: bool = False,
) -> Callable[[Genotype, list[Bar] | Stage | None, pathlib.Path | None], dict]:
    """(genotype, bars, workdir) -> outcome: a functools.partial of nasnet_tf.nas.children.evaluator.evaluate_genotype.

    network, data, optimizer, learning_rate, training: of a child, as of `train`.
    """
    return functools.partial(
        evaluate_genotype,
        network=network,
        data=data,
        optimizer=optimizer,
        learning_rate=learning_rate,
        training=training,
        dtype_policy=dtype_policy,
        measure_latency=measure_latency,
    )


class ScoringTask:
    """What scores an architecture by `search.evaluator`, which every process that is kept makes once for itself.

    Args:
      config_text: as cli.parse_gin returns it.
      workdir: of the search, absolute.
      evaluator: that of the searching process.
    """

    def __init__(self, config_text: str, workdir: pathlib.Path, evaluator: SharedWeights | SpaceChildren | ZeroCost):
        self._config_text, self._workdir, self._evaluator = config_text, workdir, evaluator

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_evaluator": None}

    def __call__(self, genotype_text: str, bars: list[Bar] | Stage | None = None) -> dict:
        if self._evaluator is not None:
            return self._evaluator(genotype_text, bars)
        with logged(log_of(self._workdir / CHILDREN, parse_genotype(genotype_text).name)):
            return _evaluator_of(self._config_text, self._workdir)(genotype_text, bars)


@functools.cache
def _evaluator_of(config_text: str, workdir: pathlib.Path) -> SharedWeights | SpaceChildren | ZeroCost:
    gin.clear_config()
    gin.parse_config(config_text)
    evaluator = copy.deepcopy(gin.query_parameter("search.evaluator"))  # a copy of gin's reference is what it refers to, made
    if isinstance(evaluator, SharedWeights):
        evaluator.train(workdir)  # reads what the searching process has trained
    return evaluator


class ChildTask:
    """What runs in a child process: (textproto, bars) -> outcome, configured by the text of the searching process' configuration.

    Args:
      config_text: as cli.parse_gin returns it.
      logs: folder of a file for each trial, which gets what the child and its libraries write to standard error; None to leave it there.
      scope: of gin, whose bindings count before the others; "" for none.
      retrain_folder: to keep the training in its folder for the architecture; None to keep nothing.
    """

    def __init__(self, config_text: str, logs: pathlib.Path | None = None, scope: str = "", retrain_folder: pathlib.Path | None = None):
        self._config_text, self._logs, self._scope, self._retrain_folder = config_text, logs, scope, retrain_folder

    def __call__(self, genotype_text: str, bars: list[Bar] | Stage | None = None) -> dict:
        genotype = parse_genotype(genotype_text)
        with logged(self._logs and log_of(self._logs, genotype.name)):
            gin.clear_config()
            gin.parse_config(self._config_text)
            folder = self._retrain_folder and retraining.trained_folder(self._retrain_folder, genotype)
            with gin.config_scope(self._scope or None):
                return table.bound("evaluate_genotype")()(genotype, bars=bars, workdir=folder)


table.load()  # a pool forks its children from a process that has imported this module: they find everything imported
