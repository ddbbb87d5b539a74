"""Several labels for one image as a task: sigmoid cross-entropy of both heads; the mean average precision decides."""

import keras
import tensorflow as tf

from nasnet_tf.base.located import Located
from nasnet_tf.data.labels import SEPARATOR
from nasnet_tf.data.pipeline import ImageData, are_corrupt
from nasnet_tf.data.several_labels import MultiLabelData
from nasnet_tf.training import class_weights
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.losses import multi_label_loss
from nasnet_tf.training.multi_label_evaluation import MultiLabelEvaluation, MultiLabelEvaluator
from nasnet_tf.training.task import BindableTask


class MultiLabel(BindableTask):
    """Several labels for each image, or none: each class has a probability of its own, by a sigmoid.

    Batches are (images, labels int32 [batch, num_classes]): 1 for the classes of an image, 0 for others; -1 for an undecodable image.

    The numbers of a step:
      loss: mean over the batch of the sum over the classes, without regularization, with the auxiliary head's. Where an image has a
        label, its term is multiplied by the weight of the class.
      auxiliary_loss: that of the auxiliary head alone, weighted; 0 without.
      exact_match: share of the batch whose labels were all right, before the update, at a threshold of 0.5.
      corrupt: number of images that could not be decoded.

    Args:
      data: images of a table; the task reads their cells as several labels each.
      label_separator: what stands between the labels in a cell.
    """

    kind = "multi_label"
    names = ("loss", "auxiliary_loss", "exact_match", "corrupt")
    shown = ("loss", "exact_match")
    measure = "mean_average_precision"
    data = MultiLabelData
    evaluator_class = MultiLabelEvaluator
    figures = Located("nasnet_tf.viz.report.label_plots.label_figures")
    export = Located("nasnet_tf.serving.exports.exporting.export_classifier")
    predictor = Located("nasnet_tf.serving.hub.classifier.load_classifier")

    def __init__(self, data: ImageData, config: TrainingConfig, label_separator: str = SEPARATOR):
        self._data = data if isinstance(data, MultiLabelData) else MultiLabelData.of(data, label_separator)
        self._data.check_several()
        self._config, self._class_weights = config, class_weights.by_label(config, self._data)

    def adapted(self, data: ImageData) -> MultiLabelData:
        """Returns the data with several labels an image."""
        return self._data

    def losses(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Of a model whose outputs are logits, or {"logits": ..., "auxiliary_logits": ...}."""
        images, labels = batch
        config = self._config
        weights = 1.0 - tf.cast(are_corrupt(labels), tf.float32)
        outputs = model(images, training=True)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        losses = multi_label_loss(labels, outputs["logits"], config.label_smoothing, self._class_weights) * weights
        auxiliary = tf.zeros_like(losses)
        if "auxiliary_logits" in outputs:
            auxiliary = multi_label_loss(labels, outputs["auxiliary_logits"], config.label_smoothing, self._class_weights) * weights
            auxiliary *= config.auxiliary_loss_weight
        are_right = tf.reduce_all(tf.equal(outputs["logits"] > 0, labels > 0), axis=1)
        return {
            "loss": tf.reduce_sum(losses + auxiliary) / config.batch_size,
            "auxiliary_loss": tf.reduce_sum(auxiliary) / config.batch_size,
            "exact_match": tf.reduce_sum(tf.cast(are_right, tf.float32) * weights) / config.batch_size,
            "corrupt": tf.reduce_sum(1.0 - weights),
        }

    def samples(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The augmented images."""
        return {"images": batch[0]}

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> MultiLabelEvaluator:
        """Measures average precision, F1 and loss."""
        return self.evaluator_class(model, strategy, self._config.jit_compile)

    @staticmethod
    def table(evaluation: MultiLabelEvaluation) -> str:
        """Average precision, F1 and number of images of each class."""
        return evaluation.table()
