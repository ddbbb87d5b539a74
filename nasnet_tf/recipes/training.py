"""Builds the training that a recipe configures as `train`."""

import dataclasses
import functools
import operator
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import gin
import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import Genotype, genotype_hash, load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.recipes import jobs
from nasnet_tf.recipes.tasks import tasks
from nasnet_tf.serving.hub.load import load_features
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.serving.hub.sources import Source
from nasnet_tf.training import loop, numerics, profiling
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.distribution import is_chief
from nasnet_tf.training.schedules import Schedule
from nasnet_tf.training.task import BindableTask, Data
from nasnet_tf.training.timetable import Timetable

Optimizer = Callable[[], keras.optimizers.Optimizer]
_OF_TASKS = dict.fromkeys(task.data for task in tasks().values())  # the data classes of all tasks
# The data classes that recipes bind. A task whose data class is a subclass converts the bound data to it.
_KINDS = [kind for kind in _OF_TASKS if not any(kind is not other and issubclass(kind, other) for other in _OF_TASKS)]
_AnyData = functools.reduce(operator.or_, _KINDS)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Trains the network of a genotype: call it with a work folder.

    Attributes:
      data: the data to train on.
      optimizer: class of the optimizer, such as @RMSProp.
      learning_rate: learning rate schedule, such as @cosine_decay().
      training: settings of the training, @TrainingConfig().
      genotype: name of a published genotype, or path of a textproto; None to use the genotype of initial_weights.
      network: how cells are stacked, @NetworkConfig(). None to use the network of initial_weights, changed by any bindings of
        NetworkConfig.
      strategy: TensorFlow's distribution strategy, which selects the devices; None for TensorFlow's default.
      initial_weights: weights to fine-tune or to train further: a network by name, an export, a work folder or a weights file.
        The classifier is kept if its class names are those of the data, in any order; otherwise it is initialized at random. None to
        initialize all weights at random.
      dtype_policy: number format of the computation, one of nasnet_tf.training.numerics.POLICIES. Weights are float32 with each of them.
      task: class of the task: @Classification, @MultiLabel for images with several labels, or @Detection, which has bindings of its own.
      profile_steps: (first, last), the numbers of completed steps at which the profile starts and ends; None for no profile.
    """

    data: _AnyData
    optimizer: Optimizer
    learning_rate: Schedule
    training: TrainingConfig
    genotype: str | None = None
    network: NetworkConfig | None = None
    strategy: tf.distribute.Strategy | None = None
    initial_weights: str | None = None
    dtype_policy: str = "float32"
    task: Callable[[Data, TrainingConfig], BindableTask] = Classification
    profile_steps: tuple[int, int] | None = None

    def __post_init__(self):
        # Checked here so that mistakes are reported before the work folder is used.
        kind = getattr(self.task, "data", object)
        expected = next((each for each in _KINDS if issubclass(kind, each)), object)
        if not isinstance(self.data, expected):
            got = type(self.data).__name__
            raise InputError(f"train.data: expected @{expected.__name__}() for the task {self.task.kind}, got @{got}()")
        if self.profile_steps is not None:
            profiling.check(self.profile_steps, Timetable(self.training, self._task.adapted(self.data).num_train_examples).total)
        source = None if self.initial_weights is None else resolve(self.initial_weights)
        if source is not None:
            source.check_features()
        cells, network = _architecture(self.genotype, self.network, source)
        object.__setattr__(self, "_network", functools.partial(_start, cells, network, source=source))

    @functools.cached_property
    def _task(self) -> BindableTask:
        return self.task(self.data, self.training)

    def build(self, num_classes: int, image_size: int) -> keras.Model:
        """Returns the model with the weights that the training starts from."""
        if self.initial_weights is None and self._task.starts_trained:
            text = f"the network for {self._task.kind} starts from random weights, because train.initial_weights is not bound"
            print(text, file=sys.stderr, flush=True)
        network = functools.partial(self._network, data=self._task.adapted(self.data))
        return self._task.build(network, num_classes, image_size)

    def __call__(self, workdir: pathlib.Path) -> tuple[keras.Model, Any]:
        """Trains; returns the model and its evaluation, like nasnet_tf.training.loop.train_and_evaluate."""
        with numerics.dtype_policy(self.dtype_policy):
            return loop.train_and_evaluate(
                self.build,
                self.data,
                self.optimizer,
                self.learning_rate,
                self.training,
                workdir,
                self.strategy,
                task=lambda data, config: self._task,
                profile_steps=self.profile_steps,
            )

    def measure(self, model: keras.Model) -> Any:
        """Evaluates a trained model on the evaluation split of the training."""
        data = self._task.adapted(self.data)
        return self._task.evaluator_class(model).on_split(data, self.training.evaluation_split, self.training.evaluation_batch_size(1))

    def plan(self, workdir: pathlib.Path) -> str:
        """Describes what the training would do: builds the network, counts its costs and reads one batch; writes nothing."""
        begun = any(workdir.glob("checkpoints/*.index"))
        data = self._task.adapted(self.data)
        return "\n".join([*jobs.described(self.build, data, self.training), jobs.ending(begun, workdir)])

    def score(self, evaluation: Any) -> float:
        """Returns the task's score of an evaluation; larger is better."""
        return self._task.score(evaluation)


def _start(
    cells: Genotype, config: NetworkConfig, num_classes: int | None, image_size: Any, data: Data, source: Source | None
) -> keras.Model:
    """Returns a network with random weights or the weights of a source. With a source, prints whether its classifier was kept."""
    network = build_network(cells, config, num_classes, image_size)
    if source is not None:
        note = load_features(network, source, getattr(data, "class_names", None))
        if note is not None and is_chief():
            print(f"train.initial_weights: {note}", file=sys.stderr, flush=True)
    return network


def _architecture(genotype: str | None, network: NetworkConfig | None, source: Source | None) -> tuple[Genotype, NetworkConfig]:
    """Returns the genotype and the network configuration: those that are bound, else those of the initial weights."""
    if genotype is not None and network is not None:
        return load_genotype(genotype), network
    if source is None:
        what = "genotype" if genotype is None else "network"
        raise InputError(f"train.{what}: expected a binding, or train.initial_weights to take it from")
    cells, own = source.architecture()
    if genotype is not None and genotype_hash(load_genotype(genotype)) != genotype_hash(cells):
        raise InputError(f"train.genotype: {genotype} has other cells than {source.path}, the initial weights; remove this binding")
    if network is None:
        said = set(gin.get_bindings(NetworkConfig))
        said |= {"filters", "penultimate_filters"} if said & {"filters", "penultimate_filters"} else set()  # only one of the two may be set
        rest = {field.name: getattr(own, field.name) for field in dataclasses.fields(own) if field.name not in said}
        network = gin.get_configurable(NetworkConfig)(**rest)
    return cells, network
