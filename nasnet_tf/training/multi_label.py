"""Multi-label classification as a task: sigmoid cross-entropy of both heads; mean average precision selects the best checkpoint."""

import tensorflow as tf

from nasnet_tf.base.located import Located
from nasnet_tf.data import ImageData
from nasnet_tf.data.labels import SEPARATOR
from nasnet_tf.data.several_labels import MultiLabelData
from nasnet_tf.training.classification import LabelTask
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.losses import multi_label_loss
from nasnet_tf.training.multi_label_evaluation import MultiLabelEvaluator


class MultiLabel(LabelTask):
    """Image classification with any number of labels for each image. A sigmoid gives each class a probability of its own.

    Batches are (images, labels int32 [batch, num_classes]): 1 for the classes of an image, 0 for others; -1 for an image that could not be
    decoded.

    The metrics of a step:
      loss: mean over the batch of the sum over the classes, with the loss of the auxiliary head and without regularization. If an image has
        a label, its term is multiplied by the weight of the class.
      auxiliary_loss: weighted loss of the auxiliary head alone; 0 without such a head.
      exact_match: fraction of the batch whose labels were all right, before the update, at a threshold of 0.5.
      corrupt: number of images that could not be decoded.

    Args:
      data: images that a table lists. The task reads the label cell of each row as a list of labels.
      config: configuration of the training.
      label_separator: text between the labels in a cell.
    """

    kind = "multi_label"
    names = ("loss", "auxiliary_loss", "exact_match", "corrupt")
    shown = ("loss", "exact_match")
    measure = "mean_average_precision"
    data = MultiLabelData
    evaluator_class = MultiLabelEvaluator
    export = Located("nasnet_tf.serving.exports.exporting.export_classifier")
    predictor = Located("nasnet_tf.serving.hub.classifier.load_classifier")

    def __init__(self, data: ImageData, config: TrainingConfig, label_separator: str = SEPARATOR):
        self._data = data if isinstance(data, MultiLabelData) else MultiLabelData.of(data, label_separator)
        self._data.check_several()
        super().__init__(self._data, config)

    def adapted(self, data: ImageData) -> MultiLabelData:
        """Returns the data with several labels for each image."""
        return self._data

    loss = staticmethod(multi_label_loss)

    @staticmethod
    def are_right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Returns whether all labels of each example are right at a threshold of 0.5, bool [batch]."""
        return tf.reduce_all(tf.equal(logits > 0, labels > 0), axis=1)
