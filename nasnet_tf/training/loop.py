"""The training loop: restore, step, evaluate, save (paper appendix A.5 and A.6). Reads top to bottom.

Repeating a call with the same work folder continues where the last checkpoint stands, exactly: the batches, their augmentation, the
masks of drop path and dropout, the optimizer's state and the averages are those the uninterrupted run would have had.
"""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.data import ImageData
from nasnet_tf.errors import InputError
from nasnet_tf.layers.stochastic import DropPath, stochastic_layers
from nasnet_tf.training import checkpoints, distribution
from nasnet_tf.training.corruption import CorruptImages
from nasnet_tf.training.ema import WeightAverage
from nasnet_tf.training.evaluate import Evaluation, Evaluator, naming_bad_data
from nasnet_tf.training.interruption import Interruption, TrainingInterrupted
from nasnet_tf.training.losses import weight_decay_loss
from nasnet_tf.training.metrics_log import MetricsLog
from nasnet_tf.training.progress import ProgressLine
from nasnet_tf.training.schedules import Schedule
from nasnet_tf.training.step import StepResult, make_train_step

_SAMPLE_IMAGES = 16  # augmented images for TensorBoard


class TrainingDiverged(ArithmeticError):
    """The loss or a weight became NaN or infinite; the message names step and learning rate."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
      epochs: passes over the training examples.
      batch_size: examples of one step, on all replicas together.
      label_smoothing: share of the target spread over all classes.
      auxiliary_loss_weight: of the auxiliary head, where the network has one.
      weight_decay: factor of sum(kernel^2) / 2, slim's convention (Keras' L2 has no 1/2).
      gradient_clip_norm: largest global norm of the gradients; None for no clipping.
      ema_decay: of the moving average of all weights, used for evaluation and export; None for none. Where there is one, each evaluation
        during training measures the weights themselves too, as raw_accuracy and raw_loss, and takes twice the time.
      frozen_epochs: for so many epochs at the start only the layers that give the outputs are trained, the classifier and the auxiliary
        head; the weights of all others and the statistics of their batch normalization stay as they are. For fine-tuning.
      schedule_drop_path: drop path grows linearly over training (the paper's); otherwise it has its full rate from the start.
      evaluation_split: "validation" or "test": watched during training, decides what is best. None for no evaluation.
      evaluate_every_epochs: and at the end.
      log_every_steps: rows of metrics.jsonl between evaluations; each is a mean over the steps since the last.
      checkpoint_every_seconds: besides the checkpoint at each evaluation.
      max_corrupt_images: so many training images that cannot be decoded are left out, named in the work folder; one more is an error.
        They are looked for in the first epoch, in which every image comes once. Evaluation leaves out nothing.
      seed: of weights, order, augmentation and masks.
    """

    epochs: float
    batch_size: int
    label_smoothing: float = 0.0
    auxiliary_loss_weight: float = 0.4
    weight_decay: float = 0.0
    gradient_clip_norm: float | None = None
    ema_decay: float | None = None
    frozen_epochs: float = 0.0
    schedule_drop_path: bool = True
    evaluation_split: str | None = "validation"
    evaluate_every_epochs: float = 1.0
    log_every_steps: int = 50
    checkpoint_every_seconds: float = 300.0
    max_corrupt_images: int = 0
    seed: int = 0

    def __post_init__(self):
        checks = [
            ("epochs", self.epochs > 0, "a positive number"),
            ("batch_size", isinstance(self.batch_size, int) and self.batch_size >= 1, "an integer of 1 or more"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "a share in [0, 1)"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("gradient_clip_norm", self.gradient_clip_norm is None or self.gradient_clip_norm > 0, "a positive number or None"),
            ("ema_decay", self.ema_decay is None or 0 <= self.ema_decay < 1, "a share in [0, 1) or None"),
            ("frozen_epochs", self.frozen_epochs >= 0, "0 or more"),
            ("auxiliary_loss_weight", self.auxiliary_loss_weight >= 0, "0 or more"),
            ("log_every_steps", isinstance(self.log_every_steps, int) and self.log_every_steps >= 1, "an integer of 1 or more"),
            ("checkpoint_every_seconds", self.checkpoint_every_seconds >= 0, "0 or more"),
            ("max_corrupt_images", self.max_corrupt_images >= 0, "0 or more"),
            ("evaluate_every_epochs", self.evaluate_every_epochs > 0, "a positive number"),
        ]
        for name, is_valid, expected in checks:
            if not is_valid:
                raise InputError(f"TrainingConfig.{name}: expected {expected}, got {getattr(self, name)!r}")


def train_and_evaluate(
    network: Callable[[int, int], keras.Model],
    data: ImageData,
    optimizer: Callable[[], keras.optimizers.Optimizer],
    learning_rate: Schedule,
    config: TrainingConfig,
    workdir: pathlib.Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    show_progress: bool = True,
    goes_on: Callable[[float, Evaluation], bool] | None = None,
) -> tuple[keras.Model, Evaluation | None]:
    """Trains a network from the weights it is built with, or from its last checkpoint.

    Args:
      network: (num_classes, image_size) -> model, called in the scope of the strategy.
      optimizer: () -> optimizer, called there too; its learning rate is set at every step.
      workdir: keeps checkpoints and metrics; None keeps nothing.
      strategy: None for TensorFlow's default.
      goes_on: (epochs trained, evaluation) -> False ends the training after this evaluation; None lets it end by itself.

    Returns:
      The model with its last weights (averaged, if averages are kept), and its evaluation, if any.

    Raises:
      InputError: another dtype policy than float32 or mixed_bfloat16, data that cannot be read, a work folder of another training, or
        workers that do not see the same work folder.
      TrainingDiverged: the last checkpoint has the weights before it.
      WorkerLost: another worker's process is gone.
      TrainingInterrupted: SIGTERM came; the last checkpoint has everything up to the step that was under way.
    """
    policy = keras.config.dtype_policy().name
    if policy not in ("float32", "mixed_bfloat16"):
        raise InputError(
            f"Keras' dtype policy: expected 'float32' or 'mixed_bfloat16', for 16-bit floats need loss scaling; got {policy!r}"
        )
    if config.evaluation_split is not None:
        data.num_examples(config.evaluation_split)  # a mistake in it comes up now, not after an epoch
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(config.seed)
    is_chief = distribution.is_chief()
    with distribution.watching_workers(strategy), strategy.scope():
        model = network(data.num_classes, data.image_size)
        update = optimizer()
        update.build(model.trainable_variables)
        average = WeightAverage(model, config.ema_decay) if config.ema_decay is not None else None
        saved = log = None
        start = 0
        if workdir is not None:
            if is_chief:
                workdir.mkdir(parents=True, exist_ok=True)
                checkpoints.describe(workdir, model, data.description())
            saved = checkpoints.Checkpoints(workdir, model, update, average)
            start = saved.restore()
            distribution.check_same_start(strategy, start)
            log = MetricsLog(workdir, start) if is_chief else None

    steps_per_epoch = data.num_train_examples / config.batch_size
    total = max(1, round(config.epochs * steps_per_epoch))
    evaluate_every = max(1, round(config.evaluate_every_epochs * steps_per_epoch))
    frozen_steps = round(config.frozen_epochs * steps_per_epoch)
    backbone = [layer for layer in _hidden_layers(model) if layer.trainable] if frozen_steps else []
    train_step = None
    evaluator = Evaluator(model, strategy)
    line = ProgressLine("training", total, "steps", start, enabled=show_progress and is_chief)
    window = saved.window.numpy() if saved else np.zeros(checkpoints.WINDOW_SIZE)
    final = previous = None
    corrupt_images = CorruptImages(data, config.max_corrupt_images, workdir, is_chief)
    several_workers = distribution.num_workers(strategy) > 1

    def evaluate() -> Evaluation:
        with average.in_place() if average else contextlib.nullcontext():
            return evaluator.on_split(data, config.evaluation_split, config.batch_size)

    def evaluate_and_log(step: int) -> Evaluation:
        result = evaluate()
        values = dataclasses.asdict(result) | {"weights": "ema" if average else "raw"}
        if average:
            raw = evaluator.on_split(data, config.evaluation_split, config.batch_size)
            values |= {"raw_accuracy": raw.accuracy, "raw_loss": raw.loss}
        if log:
            log.write("evaluation", step, step / steps_per_epoch, split=config.evaluation_split, **values)
        return result

    def rate_at(step: int) -> float:
        return learning_rate(step / steps_per_epoch, config.epochs, config.batch_size)

    def diverged(what: str, step: int) -> TrainingDiverged:
        return TrainingDiverged(f"{what} at step {step + 1} (epoch {step / steps_per_epoch:.2f}), learning rate {rate_at(step):.4g}")

    def batches_from(step: int) -> Iterator:
        seed, batch_size = config.seed, config.batch_size
        return iter(distribution.distribute(strategy, batch_size, lambda shard: data.train(batch_size, seed, step, shard)))

    try:
        with distribution.watching_workers(strategy), naming_bad_data(data, "train"), Interruption() as interruption:
            batches = batches_from(start)
            recent, last_log = [], time.monotonic()
            last_report = last_save = last_log
            for step in range(start, total):
                rate, progress = rate_at(step), step / total
                if train_step is None or step == frozen_steps:
                    for layer in backbone:
                        layer.trainable = step >= frozen_steps
                    train_step = make_train_step(model, update, average, config, strategy)
                batch = next(batches)
                if log and step == start:
                    log.write_images("train/images", strategy.experimental_local_results(batch[0])[0][:_SAMPLE_IMAGES], step)
                recent.append(train_step(batch, rate, progress, step, interruption.requested))
                done = step + 1
                # Workers must stop at the same step: at the one after which all of them know that one was asked to.
                is_stop = (
                    interruption.requested if not several_workers else previous is not None and StepResult(*previous.numpy()).stops > 0
                )
                previous = recent[-1]
                is_evaluation = config.evaluation_split is not None and (done % evaluate_every == 0 or done == total)
                is_save = saved is not None and (
                    is_evaluation or is_stop or done == total or time.monotonic() - last_save > config.checkpoint_every_seconds
                )
                # Rows are written by steps, so that a resumed training writes the same; the line of progress goes by the clock.
                is_log = done % config.log_every_steps == 0 or is_evaluation or done == total
                if not (is_log or is_save or is_stop or step == start or time.monotonic() - last_report > 2.0):
                    continue
                last_report = time.monotonic()
                for number, result in enumerate(recent, start=done - len(recent)):
                    values = StepResult(*result.numpy())
                    if not math.isfinite(values.loss):
                        raise diverged(f"the loss is {values.loss}", number)
                    window += [*values, 1.0]
                    if values.corrupt and number < steps_per_epoch:
                        corrupt_images.note(config.batch_size, config.seed, number)
                speed = len(recent) * config.batch_size / (last_report - last_log)
                recent, last_log = [], last_report
                *sums, steps = window
                means = StepResult(*(value / steps for value in sums))
                shown = {"loss": means.loss, "accuracy": means.accuracy, "learning_rate": rate, "images_per_second": speed}
                line.update(done, epoch=done / steps_per_epoch, **shown)
                if is_log and log:
                    shown |= _other_values(model, config, means, progress)
                    log.write("train", done, done / steps_per_epoch, **shown)
                if is_log:
                    window = np.zeros(checkpoints.WINDOW_SIZE)
                # The loss is that before the update, which may have been the one too many.
                if (is_evaluation or is_save) and not all(np.isfinite(weight.numpy()).all() for weight in model.weights):
                    raise diverged("a weight is NaN or infinite", step)
                if is_evaluation:
                    final = evaluate_and_log(done)
                    if saved and is_chief:
                        saved.save_if_best(done, final.accuracy)
                if is_save and is_chief:
                    saved.save(done, window)
                if is_evaluation or is_save:
                    last_log = last_save = time.monotonic()
                if is_stop and done < total:
                    distribution.wait_for_all(strategy)
                    raise TrainingInterrupted(f"stopped as asked, at step {done} of {total}; repeat the command to go on")
                if is_evaluation and goes_on is not None and not goes_on(done / steps_per_epoch, final):
                    break
    finally:
        for layer in backbone:
            layer.trainable = True
    with distribution.watching_workers(strategy):
        if final is None and config.evaluation_split is not None:
            final = evaluate()
        distribution.wait_for_all(strategy)
    if log:
        log.close()
    if average:
        average.copy_to(model)
    return model, final


def _other_values(model: keras.Model, config: TrainingConfig, means: StepResult, progress: float) -> dict[str, float]:
    """What is worth a curve but not a place in the line of progress."""
    rates = [layer.rate for layer in stochastic_layers(model) if isinstance(layer, DropPath)]
    values = {}
    if means.auxiliary_loss:
        values["auxiliary_loss"] = means.auxiliary_loss
    if rates:
        values["drop_path_rate"] = max(rates) * (progress if config.schedule_drop_path else 1.0)
    if config.weight_decay:
        values["regularization"] = float(config.weight_decay * weight_decay_loss(model.trainable_variables))
    return values


def _hidden_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers but those that give the model's outputs."""
    outputs = {id(tensor) for tensor in keras.tree.flatten(model.output)}
    return [layer for layer in model.layers if outputs.isdisjoint(id(tensor) for tensor in keras.tree.flatten(layer.output))]
