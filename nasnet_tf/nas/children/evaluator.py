"""genotype -> reward, by training a small child network (paper section 3.1)."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError, TrainingDiverged
from nasnet_tf.data import ImageData
from nasnet_tf.genotype import Genotype
from nasnet_tf.models.costs import count_costs, latency_seconds
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas.children.fidelity import TO_THE_END, Request
from nasnet_tf.training import checkpoints, numerics, work_folder
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.evaluate import Evaluation, Evaluator
from nasnet_tf.training.loop import train_and_evaluate
from nasnet_tf.training.metrics_log import read_metrics
from nasnet_tf.training.schedules import Schedule


@dataclasses.dataclass(frozen=True)
class ChildTraining:
    """Trains a child from scratch and measures it on the held-out validation examples.

    Attributes:
      network, data, optimizer, learning_rate, training: of a child, as of `train`.
      dtype_policy: in which numbers it computes, one of nasnet_tf.training.numerics.POLICIES.
      measure_latency: the metric "latency_seconds" says how long this machine takes for one image, disturbed by what runs beside.
    """

    network: NetworkConfig
    data: ImageData
    optimizer: Callable[[], keras.optimizers.Optimizer]
    learning_rate: Schedule
    training: TrainingConfig
    dtype_policy: str = "float32"
    measure_latency: bool = False

    def __call__(self, genotype: Genotype, request: Request = TO_THE_END) -> dict:
        """Trains as far as is asked for.

        Returns:
          {"reward": validation accuracy in [0, 1], or the prediction of it, "metrics": {...}}. Metrics have "curve", the accuracies after
          all evaluations, and "stopped_epoch" where the child was stopped. {"infeasible": reason} where the loss did not stay finite.
        """
        data, training, folder, until_epochs = self.data, self.training, request.folder, None
        if request.bars is not None and training.evaluate_every_epochs >= training.epochs:
            raise InputError(
                "early stopping needs evaluations on the way: expected TrainingConfig.evaluate_every_epochs below the "
                f"{training.epochs} epochs, got {training.evaluate_every_epochs}"
            )
        if request.rung is not None:
            until_epochs = training.epochs * request.share
            data = data if request.image_size is None else data.resized(request.image_size)
            work_folder.forget_description(folder)  # the rung before may have had images of another size
        build = functools.partial(build_network, genotype, self.network)
        bars, curve, stopped = request.bars or (), [], {}

        def goes_on(epoch: float, evaluation: Evaluation) -> bool:
            curve.append(round(evaluation.accuracy, 6))
            bar = bars[len(curve) - 1] if len(curve) <= len(bars) else None
            if bar is None or evaluation.accuracy >= bar.min_accuracy:
                return True
            stopped.update(stopped_epoch=round(epoch, 3), predicted=bar.predict(evaluation.accuracy))
            return False

        with _no_graph_optimizer(), numerics.dtype_policy(self.dtype_policy):
            try:
                trained = build, data, self.optimizer, self.learning_rate, training, folder
                model, evaluation = train_and_evaluate(*trained, show_progress=False, goes_on=goes_on, until_epochs=until_epochs)
            except TrainingDiverged as error:
                return {"infeasible": str(error)}
            if data is not self.data:  # it costs what it will in the end
                model = build(self.data.num_classes, self.data.image_size)
            costs = count_costs(model)
            latency = {"latency_seconds": latency_seconds(model)} if self.measure_latency else {}
        if request.rung is not None:  # with the evaluations of the rungs before
            curve = [round(row["accuracy"], 6) for row in read_metrics(folder) if row["kind"] == "evaluation"]
        reward = stopped.pop("predicted", evaluation.accuracy)
        metrics = {"loss": evaluation.loss, "curve": curve, **stopped, "epochs": until_epochs or training.epochs}
        metrics |= {"parameters": costs.trainable_parameters, "mult_adds": costs.mult_adds, "num_classes": data.num_classes, **latency}
        metrics |= {f"network_{name}": getattr(self.network, name) for name in ("cells_per_stack", "filters")}
        return {"reward": reward, "metrics": metrics}


def measure_on_test(workdir: pathlib.Path, batch_size: int = 100) -> dict:
    """Returns the Evaluation of the last weights of a training on the test split, as a dict."""
    model, data_description = work_folder.read_description(workdir)
    checkpoints.load_trained(workdir, model, "last")
    return dataclasses.asdict(Evaluator(model).on_split(ImageData.from_description(data_description), "test", batch_size))


@contextlib.contextmanager
def _no_graph_optimizer() -> Iterator[None]:
    """Turns off TensorFlow's search for a better graph: it costs seconds before the first step, and makes no step faster on a CPU."""
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not tf.config.list_physical_devices("GPU")})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False} | before)
