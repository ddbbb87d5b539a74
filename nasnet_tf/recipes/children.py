"""The functions that run in the child processes of a search. They get the gin configuration of the searching process as text."""

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
    """Scores a genotype with `search.evaluator`: a picklable function (textproto, request) that returns {"reward": ...}.

    Each child process creates the evaluator once from the configuration and keeps it.

    Args:
      config_text: the configuration, from recipes.reading.parse_gin.
      workdir: absolute path of the work folder of the search.
      evaluator: the evaluator of the searching process, which is used if the function runs in that process.
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
    # gin holds a reference to the evaluator; deepcopy calls that reference and returns the evaluator itself.
    evaluator = copy.deepcopy(gin.query_parameter("search.evaluator"))
    evaluator.prepare(workdir)
    return evaluator


class ChildTask:
    """Trains a child of a genotype: a picklable function (textproto, request) that returns {"reward": ...}.

    Args:
      config_text: the configuration, from recipes.reading.parse_gin.
      logs: folder with one log file per trial, to which standard error of the child is written; None to leave standard error as it is.
      scope: gin scope whose bindings override the others; "" for none.
      retrain_folder: folder of a retraining, in which the training of each architecture is kept; None to keep nothing.
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
    """Wraps another task: an architecture is infeasible if the inference of its network is too slow on this machine.

    Args:
      task: the other task, a function (textproto, request).
      config_text: the configuration, from recipes.reading.parse_gin.
      scope: gin scope of the `evaluate_genotype` whose network is measured; "" for none.
      max_seconds: maximum time of an inference on one image, in seconds.
    """

    def __init__(self, task: Callable, config_text: str, scope: str, max_seconds: float):
        self.func = task  # engines read the attribute `func` to find the module to preload
        self._config_text, self._scope, self._max_seconds = config_text, scope, max_seconds

    def __call__(self, genotype_text: str, request: Request = TO_THE_END) -> dict:
        if not request.rung:  # an architecture that continues at a later rung was fast enough
            gin.clear_config()
            gin.parse_config(self._config_text)
            with gin.config_scope(self._scope or None):
                child = table.bound("evaluate_genotype")()
            data = child.adapted_data
            model = build_network(parse_genotype(genotype_text), child.network, data.num_classes, data.image_size)
            seconds = latency_seconds(model)
            if seconds > self._max_seconds:
                limit = f"search.max_latency_seconds = {self._max_seconds:g}"
                return {"infeasible": f"an inference takes {seconds:.4g} s on this machine, more than {limit}"}
        return self.func(genotype_text, request)


def measure_on_test(workdir: pathlib.Path, batch_size: int = 100) -> dict:
    """Evaluates the last weights of a training on the test split.

    Args:
      workdir: work folder of the training.
      batch_size: number of images at a time.

    Returns:
      The evaluation as a dict, with the name of the task's score as "measure".
    """
    model, description = work_folder.read_description(workdir)
    checkpoints.load_trained(workdir, model, "last")
    task = task_of(description, workdir / "data.json")
    evaluation = task.evaluator_class(model).on_split(task.data.from_description(description), "test", batch_size)
    return dataclasses.asdict(evaluation) | {"measure": task.measure}


table.load()  # children are forked from a process that has imported this module, so they need not import anything again
