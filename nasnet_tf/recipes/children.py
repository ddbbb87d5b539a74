"""What runs in a child process of a search, configured by the text of the searching process' gin configuration."""

import copy
import dataclasses
import functools
import pathlib
from collections.abc import Callable

import gin

from nasnet_tf.genotype import parse_genotype
from nasnet_tf.models.costs import latency_seconds
from nasnet_tf.models.network import build_network
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.nas.children.folders import FOLDER as CHILDREN
from nasnet_tf.nas.children.folders import log_of, logged
from nasnet_tf.nas.children.protocol import Evaluator
from nasnet_tf.recipes import table
from nasnet_tf.recipes.tasks import task_of
from nasnet_tf.training import checkpoints, work_folder


class ScoringTask:
    """(textproto, request) -> outcome, by `search.evaluator`, which every process that is kept makes once for itself.

    Args:
      config_text: as recipes.reading.parse_gin returns it.
      workdir: of the search, absolute.
      evaluator: that of the searching process.
    """

    def __init__(self, config_text: str, workdir: pathlib.Path, evaluator: Evaluator):
        self._config_text, self._workdir, self._evaluator = config_text, workdir, evaluator

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_evaluator": None}

    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        if self._evaluator is not None:
            return self._evaluator(genotype_text, request)
        with logged(log_of(self._workdir / CHILDREN, parse_genotype(genotype_text).name)):
            return _evaluator_of(self._config_text, self._workdir)(genotype_text, request)


@functools.cache
def _evaluator_of(config_text: str, workdir: pathlib.Path) -> Evaluator:
    gin.clear_config()
    gin.parse_config(config_text)
    evaluator = copy.deepcopy(gin.query_parameter("search.evaluator"))  # a copy of gin's reference is what it refers to, made
    evaluator.prepare(workdir)
    return evaluator


class ChildTask:
    """(textproto, request) -> outcome, by training a child.

    Args:
      config_text: as recipes.reading.parse_gin returns it.
      logs: folder of a file for each trial, which gets what the child and its libraries write to standard error; None to leave it there.
      scope: of gin, whose bindings count before the others; "" for none.
      retrain_folder: to keep the training in its folder for the architecture; None to keep nothing.
    """

    def __init__(self, config_text: str, logs: pathlib.Path | None = None, scope: str = "", retrain_folder: pathlib.Path | None = None):
        self._config_text, self._logs, self._scope, self._retrain_folder = config_text, logs, scope, retrain_folder

    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        genotype = parse_genotype(genotype_text)
        if self._retrain_folder is not None:
            request = dataclasses.replace(request, folder=retraining.trained_folder(self._retrain_folder, genotype))
        with logged(self._logs and log_of(self._logs, genotype.name)):
            gin.clear_config()
            gin.parse_config(self._config_text)
            with gin.config_scope(self._scope or None):
                return table.bound("evaluate_genotype")()(genotype, request)


class WithinLatency:
    """(textproto, request) -> outcome, by another task, for architectures whose networks are fast enough on this machine.

    Args:
      task: the other one.
      config_text: as recipes.reading.parse_gin returns it.
      scope: of gin, whose `evaluate_genotype` says which network counts; "" for none.
      max_seconds: for an inference on one image.
    """

    def __init__(self, task: Callable, config_text: str, scope: str, max_seconds: float):
        self.func = task  # engines look for the module of `func`
        self._config_text, self._scope, self._max_seconds = config_text, scope, max_seconds

    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        if not request.rung:  # one that goes on was fast enough
            gin.clear_config()
            gin.parse_config(self._config_text)
            with gin.config_scope(self._scope or None):
                child = table.bound("evaluate_genotype")()
            data = child.adapted_data
            model = build_network(parse_genotype(genotype_text), child.network, data.num_classes, data.image_size)
            seconds = latency_seconds(model)
            if seconds > self._max_seconds:
                return {"infeasible": f"an inference takes {seconds:.4g} s here, search.max_latency_seconds is {self._max_seconds:g}"}
        return self.func(genotype_text, request)


def measure_on_test(workdir: pathlib.Path, batch_size: int = 100) -> dict:
    """Returns the evaluation of the last weights of a training on the test split, as a dict; "measure" names what decides."""
    model, description = work_folder.read_description(workdir)
    checkpoints.load_trained(workdir, model, "last")
    task = task_of(description, workdir / "data.json")
    evaluation = task.evaluator_class(model).on_split(task.data.from_description(description), "test", batch_size)
    return dataclasses.asdict(evaluation) | {"measure": task.measure}


table.load()  # a pool forks its children from a process that has imported this module: they find everything imported
