"""The training loop: restore, step, evaluate, save (paper appendix A.5 and A.6). Reads top to bottom.

Repeating a call with the same work folder continues where the last checkpoint stands, exactly: the batches, their augmentation, the
masks of drop path and dropout, the optimizer's state and the averages are those the uninterrupted run would have had.
"""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.data import ImageData
from nasnet_tf.errors import InputError
from nasnet_tf.layers.stochastic import DropPath, stochastic_layers
from nasnet_tf.training import checkpoints
from nasnet_tf.training.ema import WeightAverage
from nasnet_tf.training.evaluate import Evaluation, Evaluator
from nasnet_tf.training.losses import classification_loss, is_decayed, weight_decay_loss
from nasnet_tf.training.metrics_log import MetricsLog
from nasnet_tf.training.progress import ProgressLine
from nasnet_tf.training.schedules import Schedule


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite; the message names step and learning rate."""


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
      ema_decay: of the moving average of all weights, used for evaluation and export; None for none.
      frozen_epochs: for so many epochs at the start only the layers that give the outputs are trained, the classifier and the auxiliary
        head; the weights of all others and the statistics of their batch normalization stay as they are. For fine-tuning.
      schedule_drop_path: drop path grows linearly over training (the paper's); otherwise it has its full rate from the start.
      evaluation_split: "validation" or "test": watched during training, decides what is best. None for no evaluation.
      evaluate_every_epochs: and at the end.
      log_every_steps: rows of metrics.jsonl between evaluations; each is a mean over the steps since the last.
      checkpoint_every_seconds: besides the checkpoint at each evaluation.
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
) -> tuple[keras.Model, Evaluation | None]:
    """Trains a network from the weights it is built with, or from its last checkpoint.

    Args:
      network: (num_classes, image_size) -> model, called in the scope of the strategy.
      optimizer: () -> optimizer, called there too; its learning rate is set at every step.
      workdir: keeps checkpoints and metrics; None keeps nothing.
      strategy: None for TensorFlow's default.

    Returns:
      The model with its last weights (averaged, if averages are kept), and its evaluation, if any.

    Raises:
      InputError: data that cannot be read, or a work folder of another training.
      TrainingDiverged: the last checkpoint has the weights before it.
    """
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = network(data.num_classes, data.image_size)
        update = optimizer()
        update.build(model.trainable_variables)
        average = WeightAverage(model, config.ema_decay) if config.ema_decay is not None else None
        saved = log = None
        start = 0
        if workdir is not None:
            workdir.mkdir(parents=True, exist_ok=True)
            checkpoints.describe(workdir, model, data.description())
            saved = checkpoints.Checkpoints(workdir, model, update, average)
            start = saved.restore()
            log = MetricsLog(workdir, start)

    steps_per_epoch = data.num_train_examples / config.batch_size
    total = max(1, round(config.epochs * steps_per_epoch))
    evaluate_every = max(1, round(config.evaluate_every_epochs * steps_per_epoch))
    frozen_steps = round(config.frozen_epochs * steps_per_epoch)
    backbone = [layer for layer in _hidden_layers(model) if layer.trainable] if frozen_steps else []
    train_step = None
    evaluator = Evaluator(model)
    line = ProgressLine("training", total, "steps", start, enabled=show_progress)
    final = None

    def evaluate(step: int) -> Evaluation:
        with average.in_place() if average else contextlib.nullcontext():
            result = evaluator(data.evaluation(config.evaluation_split, config.batch_size))
        if log:
            values = dataclasses.asdict(result) | {"weights": "ema" if average else "raw"}
            log.write("evaluation", step, step / steps_per_epoch, split=config.evaluation_split, **values)
        return result

    try:
        batches = iter(strategy.experimental_distribute_dataset(data.train(config.batch_size, config.seed, start)))
        recent, last_log = [], time.monotonic()
        last_report = last_save = last_log
        for step in range(start, total):
            epoch = step / steps_per_epoch
            rate = learning_rate(epoch, config.epochs)
            if train_step is None or step == frozen_steps:
                for layer in backbone:
                    layer.trainable = step >= frozen_steps
                train_step = _make_train_step(model, update, average, config, strategy)
            # Numpy scalars: a Python number would be a new trace of the step each time.
            recent.append(train_step(next(batches), np.float32(rate), np.float32(step / total), np.int64(step)))
            done = step + 1
            is_evaluation = config.evaluation_split is not None and (done % evaluate_every == 0 or done == total)
            is_save = saved is not None and (
                is_evaluation or done == total or time.monotonic() - last_save > config.checkpoint_every_seconds
            )
            # Rows are written by steps, so that a resumed training writes the same; the line of progress goes by the clock.
            is_log = done % config.log_every_steps == 0 or is_evaluation or done == total
            if not (is_log or is_save or step == start or time.monotonic() - last_report > 2.0):
                continue
            last_report = time.monotonic()
            loss, accuracy = np.mean([values.numpy() for values in recent], axis=0)
            if not math.isfinite(loss):
                raise TrainingDiverged(f"the loss is {loss} at step {done} (epoch {epoch:.2f}), learning rate {rate:.4g}")
            speed = len(recent) * config.batch_size / (last_report - last_log)
            line.update(done, epoch=done / steps_per_epoch, loss=loss, accuracy=accuracy, learning_rate=rate, images_per_second=speed)
            if is_log and log:
                values = {"loss": float(loss), "accuracy": float(accuracy), "learning_rate": rate, "images_per_second": speed}
                if config.weight_decay:
                    values["regularization"] = float(config.weight_decay * weight_decay_loss(model.trainable_variables))
                log.write("train", done, done / steps_per_epoch, **values)
            if is_log:
                recent, last_log = [], time.monotonic()
            if is_evaluation:
                final = evaluate(done)
                if saved:
                    saved.save_if_best(done, final.accuracy)
            if is_save:
                saved.save(done)
                last_save = time.monotonic()
            if is_evaluation or is_save:
                last_log = time.monotonic()
    except tf.errors.InvalidArgumentError as error:
        splits = ["train"] if config.evaluation_split is None else ["train", config.evaluation_split]
        raise next(filter(None, map(data.diagnose, splits)), error) from error
    if final is None and config.evaluation_split is not None:
        final = evaluate(total)
    if log:
        log.close()
    if average:
        average.copy_to(model)
    for layer in backbone:
        layer.trainable = True
    return model, final


def _hidden_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers but those that give the model's outputs."""
    outputs = {id(tensor) for tensor in keras.tree.flatten(model.output)}
    return [layer for layer in model.layers if outputs.isdisjoint(id(tensor) for tensor in keras.tree.flatten(layer.output))]


def _make_train_step(model, optimizer, average, config: TrainingConfig, strategy):
    """(batch, learning rate, progress in [0, 1), step) -> float32 [2]: loss without regularization, accuracy."""
    num_replicas = strategy.num_replicas_in_sync
    variables = model.trainable_variables

    def replica_step(images, labels, step):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
            losses = classification_loss(labels, outputs["logits"], config.label_smoothing)
            if "auxiliary_logits" in outputs:
                auxiliary = classification_loss(labels, outputs["auxiliary_logits"], config.label_smoothing)
                losses += config.auxiliary_loss_weight * auxiliary
            loss = tf.reduce_sum(losses) / config.batch_size  # of the global batch: replicas add up
        gradients = [
            # None for what a genotype leaves without influence, such as a cell whose output the next one does not read.
            tf.zeros_like(variable) if gradient is None else gradient
            for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True)
        ]
        context = tf.distribute.get_replica_context()
        if num_replicas > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if config.weight_decay:
            # The gradient of weight_decay * sum(kernel^2) / 2, once and not once per replica.
            gradients = [
                gradient + config.weight_decay * variable if is_decayed(variable) else gradient
                for gradient, variable in zip(gradients, variables, strict=True)
            ]
        if config.gradient_clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, config.gradient_clip_norm)
        if num_replicas > 1:
            # Keras sums over the replicas once more.
            gradients = [gradient / num_replicas for gradient in gradients]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if average:
            average.update(step)
        right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(outputs["logits"], 1, tf.int32), labels), tf.float32))
        return tf.stack([loss, right / config.batch_size])

    @tf.function(autograph=False)
    def train_step(batch, rate, progress, step):
        optimizer.learning_rate.assign(rate)
        for layer in stochastic_layers(model):
            if isinstance(layer, DropPath):
                layer.progress.assign(progress if config.schedule_drop_path else 1.0)
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica_step, args=(*batch, step)), axis=None)

    return train_step
