"""Image classification as a task (paper appendix A.7).

The loss is the cross-entropy with label smoothing of both heads. Accuracy selects the best checkpoint.
"""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.located import Located
from nasnet_tf.data import ImageData
from nasnet_tf.data.pipeline import are_corrupt
from nasnet_tf.training import class_weights
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.losses import classification_loss
from nasnet_tf.training.task import BindableTask


class LabelTask(BindableTask):
    """Base class of tasks for labeled images. Their network returns logits, and may have an auxiliary head whose loss is added.

    A label below 0 marks an image that could not be decoded; it adds 0 to the sums over a batch. The third of `names` is the fraction of
    the batch that the network got right.
    """

    def __init__(self, data: ImageData, config: TrainingConfig):
        self._config, self._class_weights = config, class_weights.by_label(config, data)

    @staticmethod
    @abc.abstractmethod
    def loss(labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float, class_weights: Sequence[float] | None) -> tf.Tensor:
        """Returns the loss of each example, float32 [batch]."""

    @staticmethod
    @abc.abstractmethod
    def are_right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Returns whether the network is right about each example, bool [batch]."""

    def losses(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the metrics of a step. The model's outputs are logits, or {"logits": ..., "auxiliary_logits": ...}."""
        images, labels = batch
        config = self._config
        weights = 1.0 - tf.cast(are_corrupt(labels), tf.float32)
        outputs = model(images, training=True)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        losses = self.loss(labels, outputs["logits"], config.label_smoothing, self._class_weights) * weights
        auxiliary = tf.zeros_like(losses)
        if "auxiliary_logits" in outputs:
            auxiliary = self.loss(labels, outputs["auxiliary_logits"], config.label_smoothing, self._class_weights) * weights
            auxiliary *= config.auxiliary_loss_weight
        right = tf.cast(self.are_right(labels, outputs["logits"]), tf.float32) * weights
        return {
            "loss": tf.reduce_sum(losses + auxiliary) / config.batch_size,
            "auxiliary_loss": tf.reduce_sum(auxiliary) / config.batch_size,
            self.names[2]: tf.reduce_sum(right) / config.batch_size,
            "corrupt": tf.reduce_sum(1.0 - weights),
        }

    def samples(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the augmented images."""
        return {"images": batch[0]}

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> Any:
        """Returns an evaluator on all replicas, compiled by XLA if the training is."""
        return self.evaluator_class(model, strategy, self._config.jit_compile)

    @staticmethod
    def table(evaluator: Any) -> str:
        """Returns a table of the metrics by class, the worst classes first, and the calibration error."""
        return evaluator.details.table()

    @staticmethod
    def figures(evaluator: Any, data: ImageData) -> dict[str, Any]:
        """Returns matplotlib figures of the evaluation's details, by name."""
        return evaluator.details.figures()

    @staticmethod
    def results(evaluator: Any) -> dict[str, Any]:
        """Returns the metrics by class, calibration, confused classes and worst mistakes, as {"details": ...}."""
        return {"details": evaluator.details.results()}


class Classification(LabelTask):
    """Image classification with one label for each image.

    Batches are (images, labels int32 [batch]); the label is -1 for an image that could not be decoded.

    The metrics of a step:
      loss: mean over the batch, with the loss of the auxiliary head and without regularization. The loss of an example is multiplied by the
        weight of its class.
      auxiliary_loss: weighted loss of the auxiliary head alone; 0 without such a head.
      accuracy: fraction of the batch that the network got right, before the update.
      corrupt: number of images that could not be decoded.
    """

    kind = "classification"
    names = ("loss", "auxiliary_loss", "accuracy", "corrupt")
    shown = ("loss", "accuracy")
    data = ImageData
    evaluator_class = Evaluator
    export = Located("nasnet_tf.serving.exports.exporting.export_classifier")
    predictor = Located("nasnet_tf.serving.hub.classifier.load_classifier")

    def __init__(self, data: ImageData, config: TrainingConfig):
        if data.num_classes < 2:
            raise InputError(f"{data.source}: expected at least 2 classes, got {', '.join(data.class_names) or 'none'}")
        super().__init__(data, config)

    loss = staticmethod(classification_loss)

    @staticmethod
    def are_right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Returns whether the most probable class is the label of the example, bool [batch]."""
        return tf.equal(tf.argmax(logits, 1, tf.int32), labels)
