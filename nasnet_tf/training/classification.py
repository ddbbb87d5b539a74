"""Image classification as a task (paper appendix A.7): smoothed cross-entropy of both heads; accuracy decides."""

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
    """Images with labels: what tasks share whose network has logits, and perhaps an auxiliary head whose loss counts too.

    A label below 0 marks an image that could not be decoded, which counts as nothing. The third of `names` is the share of the batch that
    the network got right.
    """

    def __init__(self, data: ImageData, config: TrainingConfig):
        self._config, self._class_weights = config, class_weights.by_label(config, data)

    @staticmethod
    @abc.abstractmethod
    def loss(labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float, class_weights: Sequence[float] | None) -> tf.Tensor:
        """The loss of each example, float32 [batch]."""

    @staticmethod
    @abc.abstractmethod
    def are_right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Whether the network is right about each example, bool [batch]."""

    def losses(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Of a model whose outputs are logits, or {"logits": ..., "auxiliary_logits": ...}."""
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
        """The augmented images."""
        return {"images": batch[0]}

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> Any:
        """Measures a model on all replicas, compiled as the training is."""
        return self.evaluator_class(model, strategy, self._config.jit_compile)

    @staticmethod
    def table(evaluator: Any) -> str:
        """Figures by class, the worst classes first, and the calibration."""
        return evaluator.details.table()

    @staticmethod
    def figures(evaluator: Any, data: ImageData) -> dict[str, Any]:
        """The plots and pictures of the evaluation's details."""
        return evaluator.details.figures()

    @staticmethod
    def results(evaluator: Any) -> dict[str, Any]:
        """Figures by class, calibration, confused classes and the worst mistakes."""
        return {"details": evaluator.details.results()}


class Classification(LabelTask):
    """Batches are (images, labels int32 [batch]), label -1 for an image that could not be decoded, which counts as nothing.

    The numbers of a step:
      loss: mean over the batch, without regularization, with the auxiliary head's; an example's is multiplied by the weight of its class.
      auxiliary_loss: that of the auxiliary head alone, weighted; 0 without.
      accuracy: share of the batch that the network got right, before the update.
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
            raise InputError(f"{data.source}: expected 2 classes or more to tell apart, got {', '.join(data.class_names) or 'none'} alone")
        super().__init__(data, config)

    loss = staticmethod(classification_loss)

    @staticmethod
    def are_right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Whether the most probable class is the example's."""
        return tf.equal(tf.argmax(logits, 1, tf.int32), labels)
