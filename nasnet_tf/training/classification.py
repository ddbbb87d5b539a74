"""Image classification as a task (paper appendix A.7): smoothed cross-entropy of both heads; accuracy decides."""

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.located import Located
from nasnet_tf.data import ImageData
from nasnet_tf.training import class_weights
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.evaluate import Evaluator
from nasnet_tf.training.losses import classification_loss
from nasnet_tf.training.task import BindableTask


class Classification(BindableTask):
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
    figures = Located("nasnet_tf.viz.report.training_plots.confusion_figures")
    export = Located("nasnet_tf.serving.exports.exporting.export_classifier")
    predictor = Located("nasnet_tf.serving.hub.classifier.load_classifier")

    def __init__(self, data: ImageData, config: TrainingConfig):
        if data.num_classes < 2:
            raise InputError(f"{data.source}: expected 2 classes or more to tell apart, got {', '.join(data.class_names) or 'none'} alone")
        self._config, self._class_weights = config, class_weights.by_label(config, data)

    def losses(self, model: keras.Model, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Of a model whose outputs are logits, or {"logits": ..., "auxiliary_logits": ...}."""
        images, labels = batch
        config = self._config
        weights = tf.cast(labels >= 0, tf.float32)
        outputs = model(images, training=True)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        losses = classification_loss(labels, outputs["logits"], config.label_smoothing, self._class_weights) * weights
        auxiliary = tf.zeros_like(losses)
        if "auxiliary_logits" in outputs:
            auxiliary = classification_loss(labels, outputs["auxiliary_logits"], config.label_smoothing, self._class_weights) * weights
            auxiliary *= config.auxiliary_loss_weight
        right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(outputs["logits"], 1, tf.int32), labels), tf.float32))
        return {
            "loss": tf.reduce_sum(losses + auxiliary) / config.batch_size,
            "auxiliary_loss": tf.reduce_sum(auxiliary) / config.batch_size,
            "accuracy": right / config.batch_size,
            "corrupt": tf.reduce_sum(1.0 - weights),
        }

    def samples(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The augmented images."""
        return {"images": batch[0]}

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> Evaluator:
        """Measures accuracy, top-5 accuracy and loss."""
        return self.evaluator_class(model, strategy, self._config.jit_compile)
