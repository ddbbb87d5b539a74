"""Computes the reward of a genotype by training a small child network (paper section 3)."""

import contextlib
import dataclasses
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError, TrainingDiverged
from nasnet_tf.data import ImageData
from nasnet_tf.genotype import Genotype
from nasnet_tf.models.costs import count_costs, latency_seconds
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.training import numerics, work_folder
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.loop import train_and_evaluate
from nasnet_tf.training.metrics_log import read_metrics
from nasnet_tf.training.schedules import Schedule
from nasnet_tf.training.task import BindableTask


@dataclasses.dataclass(frozen=True)
class ChildTraining:
    """Trains a child from scratch and measures it on the held-out validation examples.

    Attributes:
      network: the network of a child without its genotype, as for `train`.
      data: the data of a child, as for `train`.
      optimizer: the optimizer of a child, as for `train`.
      learning_rate: the learning rate schedule of a child, as for `train`.
      training: the training of a child, as for `train`.
      dtype_policy: number format of the computation, one of nasnet_tf.training.numerics.POLICIES.
      task: class of the task a child is trained for: @Classification, or @MultiLabel for images with several labels. Its score is the
        reward.
      measure_latency: whether to report the metric "latency_seconds", the time this machine takes for one image. Other processes on the
        machine disturb it.
    """

    network: NetworkConfig
    data: ImageData
    optimizer: Callable[[], keras.optimizers.Optimizer]
    learning_rate: Schedule
    training: TrainingConfig
    dtype_policy: str = "float32"
    measure_latency: bool = False
    task: Callable[[ImageData, TrainingConfig], BindableTask] = Classification

    def __post_init__(self):
        kind = getattr(self.task, "data", ImageData)
        if not issubclass(kind, ImageData):
            raise InputError(
                f"evaluate_genotype.task: expected a task that reads @ImageData(), such as @Classification, got {self.task.kind}"
            )

    @functools.cached_property
    def adapted_data(self) -> ImageData:
        """The data in the form that the task reads."""
        return self.task(self.data, self.training).adapted(self.data)

    def __call__(self, genotype: Genotype, request: Request = TO_THE_END) -> dict:
        """Trains a child as far as `request` asks, and scores it.

        Returns:
          {"reward": score, "metrics": {...}}, or {"infeasible": reason} if the loss became infinite or NaN. The score on the validation
          examples, such as the accuracy, is in [0, 1]; it is a prediction if the child was stopped early. The metrics include "curve", the
          scores after all evaluations; "epochs", the number of epochs trained; "measure", the name of the score if it is not the accuracy;
          and "stopped_epoch" if the child was stopped early.

        Raises:
          InputError: early stopping is requested, but the training has no evaluation before its end.
        """
        training, folder, until_epochs = self.training, request.folder, None
        task = self.task(self.data, training)
        data = self.adapted_data
        if request.bars is not None and training.evaluate_every_epochs >= training.epochs:
            raise InputError(
                "early stopping needs evaluations before the end: expected TrainingConfig.evaluate_every_epochs below the "
                f"{training.epochs} epochs, got {training.evaluate_every_epochs}"
            )
        if request.rung is not None:
            until_epochs = training.epochs * request.share
            data = data if request.image_size is None else data.resized(request.image_size)
            work_folder.forget_description(folder)  # the previous rung may have used images of another size
        build = functools.partial(build_network, genotype, self.network)
        bars, curve, epochs, stopped = request.bars or (), [], [], {}

        def goes_on(epoch: float, evaluation: Any) -> bool:
            score = task.score(evaluation)
            curve.append(round(score, 6))
            epochs.append(round(epoch, 3))
            bar = bars[len(curve) - 1] if len(curve) <= len(bars) else None
            if bar is None or score >= bar.min_accuracy:
                return True
            stopped.update(stopped_epoch=epochs[-1], predicted=bar.predict(score))
            return False

        with _no_graph_optimizer(), numerics.dtype_policy(self.dtype_policy):
            try:
                trained = build, data, self.optimizer, self.learning_rate, training, folder
                how = {"show_progress": False, "goes_on": goes_on, "until_epochs": until_epochs, "task": self.task}
                model, evaluation = train_and_evaluate(*trained, **how)
            except TrainingDiverged as error:
                return {"infeasible": str(error)}
            if data is not self.adapted_data:  # costs are those at the final image size
                model = build(self.adapted_data.num_classes, self.adapted_data.image_size)
            costs = count_costs(model)
            latency = {"latency_seconds": latency_seconds(model)} if self.measure_latency else {}
        if request.rung is not None:  # the curve includes the evaluations of the previous rungs
            rows = [row for row in read_metrics(folder) if row["kind"] == "evaluation"]
            curve = [round(task.score(types.SimpleNamespace(**row)), 6) for row in rows]
            epochs = [round(row["epoch"], 3) for row in rows]
        reward = stopped.pop("predicted", task.score(evaluation))
        metrics = {"loss": evaluation.loss, "curve": curve, **stopped, "epochs": until_epochs or training.epochs}
        metrics |= {"epochs": epochs[-1]} if training.patience is not None and epochs else {}
        metrics |= {"measure": task.measure} if task.measure != Classification.measure else {}
        metrics |= {"parameters": costs.trainable_parameters, "mult_adds": costs.mult_adds, "num_classes": data.num_classes, **latency}
        metrics |= {f"network_{name}": getattr(self.network, name) for name in ("cells_per_stack", "filters")}
        return {"reward": reward, "metrics": metrics}


@contextlib.contextmanager
def _no_graph_optimizer() -> Iterator[None]:
    """Turns off TensorFlow's graph optimizer on a CPU: it takes seconds before the first step and makes no step faster."""
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not tf.config.list_physical_devices("GPU")})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False} | before)
