"""genotype -> reward, by training a small child network (paper section 3.1)."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError, TrainingDiverged
from nasnet_tf.data import ImageData
from nasnet_tf.genotype import Genotype
from nasnet_tf.models.costs import count_costs, latency_seconds
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas.children.early_stopping import Bar
from nasnet_tf.nas.children.halving import Stage
from nasnet_tf.training import checkpoints, numerics, work_folder
from nasnet_tf.training.evaluate import Evaluation, Evaluator
from nasnet_tf.training.loop import TrainingConfig, train_and_evaluate
from nasnet_tf.training.metrics_log import read_metrics


def evaluate_genotype(
    genotype: Genotype,
    network: NetworkConfig,
    data: ImageData,
    optimizer,
    learning_rate,
    training: TrainingConfig,
    bars: Sequence[Bar] | Stage | None = None,
    workdir: pathlib.Path | None = None,
    dtype_policy: str = "float32",
    measure_latency: bool = False,
) -> dict:
    """Trains a child from scratch and measures it on the held-out validation examples.

    Args:
      bars: what it must have reached after each of its evaluations, not to be stopped; None without early stopping. A Stage of successive
        halving says how far to train it, on images of which size, and where its checkpoints are.
      workdir: keeps checkpoints and metrics, to go on from if the child is killed; None keeps nothing.
      dtype_policy: in which numbers it computes, one of nasnet_tf.training.numerics.POLICIES.
      measure_latency: the metric "latency_seconds" says how long this machine takes for one image, disturbed by what runs beside.

    Returns:
      {"reward": validation accuracy in [0, 1], or what is predicted of it, "metrics": {...}}, the latter with "curve", the accuracies
      after all evaluations, and of a child that was stopped "stopped_epoch"; or {"infeasible": reason} where the loss did not stay finite.
    """

    stage, bars = (bars, None) if isinstance(bars, Stage) else (None, bars)
    if bars is not None and training.evaluate_every_epochs >= training.epochs:
        raise InputError(
            "early stopping needs evaluations on the way: expected TrainingConfig.evaluate_every_epochs below the "
            f"{training.epochs} epochs, got {training.evaluate_every_epochs}"
        )
    curve, stopped = [], {}

    def goes_on(epoch: float, evaluation: Evaluation) -> bool:
        curve.append(round(evaluation.accuracy, 6))
        bar = bars[len(curve) - 1] if bars and len(curve) <= len(bars) else None
        if bar is None or evaluation.accuracy >= bar.least:
            return True
        stopped.update(stopped_epoch=round(epoch, 3), predicted=bar.predict(evaluation.accuracy))
        return False

    def build(num_classes: int, image_size: int) -> keras.Model:
        return build_network(genotype, network, num_classes, image_size)

    seen, until_epochs = data, None
    if stage is not None:
        workdir, until_epochs = stage.folder, training.epochs * stage.share
        seen = data if stage.image_size is None else data.resized(stage.image_size)
        work_folder.forget_description(workdir)  # the rung before may have had images of another size
    with _no_graph_optimizer(), numerics.dtype_policy(dtype_policy):
        try:
            model, evaluation = train_and_evaluate(
                build,
                seen,
                optimizer,
                learning_rate,
                training,
                workdir,
                show_progress=False,
                goes_on=goes_on,
                until_epochs=until_epochs,
            )
        except TrainingDiverged as error:
            return {"infeasible": str(error)}
        if stage is not None:  # with the evaluations of the rungs before
            rows = read_metrics(workdir)
            curve = [round(row["accuracy"], 6) for row in rows if row["kind"] == "evaluation"]
        if seen is not data:  # it costs what it will in the end
            model = build(data.num_classes, data.image_size)
        costs = count_costs(model)
        latency = {"latency_seconds": latency_seconds(model)} if measure_latency else {}
    return {
        "reward": stopped.pop("predicted", evaluation.accuracy),
        "metrics": {
            "loss": evaluation.loss,
            "curve": curve,
            **stopped,
            "epochs": until_epochs or training.epochs,
            "parameters": costs.trainable_parameters,
            "mult_adds": costs.mult_adds,
            "num_classes": data.num_classes,
            **latency,
        }
        | {f"network_{key}": value for key, value in dataclasses.asdict(network).items() if key in ("cells_per_stack", "filters")},
    }


def measure_on_test(workdir: pathlib.Path, batch_size: int = 100) -> dict:
    """Accuracy and the rest of an Evaluation on the test split, of the last weights of a training."""
    model, data_description = work_folder.read_description(workdir)
    checkpoints.load_trained(workdir, model, "last")
    return dataclasses.asdict(Evaluator(model).on_split(ImageData.from_description(data_description), "test", batch_size))


@contextlib.contextmanager
def _no_graph_optimizer() -> Iterator[None]:
    """Spares a child TensorFlow's search for a better graph: seconds before its first step, and on a CPU no step is faster for it."""
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not tf.config.list_physical_devices("GPU")})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False} | before)
