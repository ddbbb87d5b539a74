"""Compiles a network for Keras' own `fit`, so that its steps are those of our training loop (paper appendices A.5 to A.7)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import expect
from nasnet_tf.layers.stochastic import DropPath, stochastic_layers
from nasnet_tf.serving.exports.in_memory import classifier_of
from nasnet_tf.training import numerics
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.losses import classification_loss, is_decayed
from nasnet_tf.training.schedules import Schedule
from nasnet_tf.training.state import WeightAverage
from nasnet_tf.training.variables import named_weights

# Fields of TrainingConfig that `fit` does not support, and what to do instead.
_UNSUPPORTED = {
    "class_weights": "use the argument sample_weight of fit instead",
    "frozen_epochs": "use load_nasnet(..., freeze=True) and two calls of fit instead",
    "patience": "use keras.callbacks.EarlyStopping instead",
    "replica_batch_size": "use an optimizer with gradient_accumulation_steps instead",
    "steps_per_call": "the schedules change at every step",
}


def compile_for_fit(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, learning_rate: Schedule, config: TrainingConfig
) -> list[keras.callbacks.Callback]:
    """Compiles a classifier for Keras' `fit`, so that each step does what a step of `train` does.

    Afterwards call `fit(images, labels, batch_size=config.batch_size, epochs=config.epochs, callbacks=...)`. Labels are int [batch]. A
    network with auxiliary head has two outputs, so its labels are `{"logits": labels, "auxiliary_logits": labels}`. The loss that `fit`
    shows includes the auxiliary loss and the weight decay. If the weights are averaged, validation measures the averages, and the model has
    them after each epoch.

    Args:
      model: a network from `load_nasnet` or `build_network`, which is compiled in place. Regularizers of its weights are replaced.
      optimizer: an optimizer of Keras or of this package. Its learning rate is set before each step.
      learning_rate: a schedule such as nasnet_tf.cosine_decay(0.1).
      config: sets epochs, batch size, label smoothing, weight of the auxiliary loss, weight decay, clipping, averages, drop path and XLA.
        Evaluation, checkpoints, logs and seeds are up to you, as always with `fit`.

    Returns:
      The callbacks that `fit` needs: the learning rate, the drop-path schedule and, if config asks for them, the weight averages.

    Raises:
      InputError: the model does not end in logits, is on several devices or in float16; the optimizer has its own schedule or clipping; or
        `fit` does not support a setting. `fit` raises it for other numbers of epochs or examples than those of config, and for data that
        does not say how many batches it has.
    """
    _check_config(config)
    _check_model(model)
    _check_optimizer(optimizer, config)
    for weight in model.trainable_weights:
        weight.regularizer = keras.regularizers.L2(config.weight_decay / 2) if config.weight_decay and is_decayed(weight.value) else None
    if config.gradient_clip_norm is not None:
        optimizer.global_clipnorm = config.gradient_clip_norm
    loss: Any = SmoothedCrossentropy(config.label_smoothing)
    metrics: Any = [keras.metrics.SparseCategoricalAccuracy("accuracy")]
    losses, weights = loss, None
    if isinstance(model.output, Mapping):
        losses = {"logits": loss, "auxiliary_logits": SmoothedCrossentropy(config.label_smoothing)}
        weights, metrics = {"logits": 1.0, "auxiliary_logits": config.auxiliary_loss_weight}, {"logits": metrics}
    model.compile(optimizer, losses, weights, metrics, jit_compile=numerics.is_compiled(config.jit_compile))
    callbacks: list[keras.callbacks.Callback] = [_Schedules(learning_rate, config, loss)]
    if config.ema_decay is not None:
        callbacks.append(_Averages(config.ema_decay))
    return callbacks


@keras.saving.register_keras_serializable(package="nasnet_tf")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy against smoothed labels, averaged over the batch.

    Labels are int [batch] or [batch, 1], logits float32 [batch, num_classes].

    Attributes:
      examples: tf.Variable, number of examples in the last batch.
    """

    def __init__(self, label_smoothing: float, name: str = "smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        self.examples = tf.Variable(0, trainable=False, name="examples")

    def call(self, y_true, y_pred):
        if y_true.shape.rank != 1 and y_true.shape[1:] != [1]:
            raise InputError(f"fit: expected labels as one integer for each image, [batch], got the shape {y_true.shape.as_list()}")
        labels = tf.reshape(tf.cast(y_true, tf.int32), [-1])
        self.examples.assign(tf.size(labels))
        return classification_loss(labels, y_pred, self.label_smoothing)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


class _Stepwise(keras.callbacks.Callback):
    """A callback that numbers the steps of all epochs, from 0."""

    def on_train_begin(self, logs=None):
        if self.params["steps"] is None:
            raise InputError("fit: expected steps_per_epoch, because the data does not say how many batches an epoch has")

    def on_epoch_begin(self, epoch, logs=None):
        self._first = epoch * self.params["steps"]

    def _step(self, batch: int) -> int:
        return self._first + batch


class _Schedules(_Stepwise):
    """Sets the learning rate and the progress of drop path before each step."""

    def __init__(self, learning_rate: Schedule, config: TrainingConfig, loss: SmoothedCrossentropy):
        super().__init__()
        self._learning_rate, self._config, self._loss = learning_rate, config, loss

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        if self.params["epochs"] != self._config.epochs:
            raise InputError(f"fit: expected epochs={self._config.epochs:g}, as TrainingConfig.epochs says, got {self.params['epochs']}")
        self._drop_paths = [layer for layer in stochastic_layers(self.model) if isinstance(layer, DropPath)]
        self._is_first = True

    def on_train_batch_begin(self, batch, logs=None):
        config, steps = self._config, self.params["steps"]
        step = self._step(batch)
        self.model.optimizer.learning_rate = self._learning_rate(step / steps, config.epochs, config.batch_size)
        for layer in self._drop_paths:
            layer.progress.assign(step / (self.params["epochs"] * steps) if config.schedule_drop_path else 1.0)

    def on_train_batch_end(self, batch, logs=None):
        if self._is_first:  # the last batch may be smaller, the first one is always full
            examples, self._is_first = int(self._loss.examples.numpy()), False
            if examples != self._config.batch_size:
                raise InputError(
                    f"fit: expected batches of {self._config.batch_size} examples, as TrainingConfig.batch_size says, got {examples}"
                )


class _Averages(_Stepwise):
    """Keeps averages of all weights. The model has them in validation and after each epoch, and the trained weights during steps."""

    def __init__(self, decay: float):
        super().__init__()
        self._decay = decay

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self._average = WeightAverage(self.model, self._decay)
        self._update = tf.function(self._average.update, autograph=False)
        self._own: dict[str, np.ndarray] | None = None

    def on_train_batch_begin(self, batch, logs=None):
        if self._own is not None:
            for path, weight in named_weights(self.model).items():
                weight.assign(self._own[path])
            self._own = None

    def on_train_batch_end(self, batch, logs=None):
        self._update(np.int64(self._step(batch)))

    def on_test_begin(self, logs=None):
        self._take()

    def on_epoch_end(self, epoch, logs=None):
        self._take()

    def _take(self) -> None:
        if self._own is None:
            self._own = {path: weight.numpy() for path, weight in named_weights(self.model).items()}
            self._average.copy_to(self.model)


def _check_config(config: TrainingConfig) -> None:
    expect(isinstance(config, TrainingConfig), "config", "a TrainingConfig", config)
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name, instead in _UNSUPPORTED.items():
        value = getattr(config, name)
        expect(value == defaults[name], f"TrainingConfig.{name}", f"{defaults[name]} with fit ({instead})", value)


def _check_model(model: keras.Model) -> None:
    classifier_of(model)
    numerics.check()
    policy = keras.config.dtype_policy().name
    expect(policy != "mixed_float16", "Keras' dtype policy", "float32 or mixed_bfloat16 with fit", policy)
    replicas = model.distribute_strategy.num_replicas_in_sync
    expect(replicas == 1, "model", "one that was made on a single device; `train` uses several", f"{replicas} replicas")


def _check_optimizer(optimizer: keras.optimizers.Optimizer, config: TrainingConfig) -> None:
    expect(isinstance(optimizer, keras.optimizers.Optimizer), "optimizer", "an optimizer such as nasnet_tf.RMSProp()", optimizer)
    settable = isinstance(optimizer._learning_rate, keras.Variable)
    expect(settable, "optimizer", "one whose learning rate is a number, because learning_rate sets it", optimizer._learning_rate)
    clips: Sequence = (optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm)
    is_free = config.gradient_clip_norm is None or set(clips) <= {None, config.gradient_clip_norm} and clips[:2] == (None, None)
    expect(is_free, "optimizer", "one without clipping, because TrainingConfig.gradient_clip_norm is set", f"{optimizer.name} with {clips}")
