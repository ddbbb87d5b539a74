"""Writes and reads a reusable SavedModel.

TensorFlow Serving and `tf.saved_model.load` use the signatures of the folder. TF-Hub's `hub.load` and `hub.KerasLayer` use its call, with
images in [0, 1], as TF-Hub's modules take them. `load_nasnet` uses model.json and data.json beside the graph.
"""

import json
import pathlib
from collections.abc import Callable

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import preprocessing_from_config
from nasnet_tf.layers.stochastic import stochastic_layers
from nasnet_tf.models.stems import STEMS
from nasnet_tf.serving.exports.export_input import ExportInput, answer
from nasnet_tf.serving.exports.inference_graph import for_any_batch
from nasnet_tf.training.losses import weight_decay_loss
from nasnet_tf.training.variables import named_weights

DESCRIPTIONS = ("model.json", "data.json")


class ReusableModel(tf.train.Checkpoint):
    """The object that is saved: a call, the variables for fine-tuning, and two signatures (tensorflow.org/hub/reusable_saved_models)."""

    def __init__(self, model: keras.Model, data_description: dict):
        super().__init__()
        preprocessing = preprocessing_from_config(data_description["preprocessing"])
        height, width = model.input.shape[1:3]
        images_spec = tf.TensorSpec([None, height, width, 3], tf.float32, "images")
        self.weights = named_weights(model)  # load_nasnet finds the weights by these names
        self.variables = list(self.weights.values())
        self.trainable_variables = [variable.value for variable in model.trainable_variables]
        self.random_state = [variable for layer in stochastic_layers(model) for variable in layer.state]

        # TF-Hub's way to add losses. The factor is slim's, because that of the training is not known here.
        @tf.function(autograph=False, input_signature=[])
        def weight_decay():
            return STEMS[model.get_layer("stem").kind].weight_decay * weight_decay_loss(model.trainable_variables)

        self.regularization_losses = [weight_decay]

        # Traced once for training and once for inference; everything below calls one of the two.
        @tf.function(autograph=False, input_signature=[images_spec])
        def infer(prepared):
            return for_any_batch(lambda images: model(images, training=False))(prepared)

        @tf.function(autograph=False, input_signature=[images_spec])
        def train(prepared):
            return model(prepared, training=True)

        @tf.function(autograph=False)
        def call(images, training=False):
            return (train if training else infer)(preprocessing.normalize(images))

        for training in (False, True):
            call.get_concrete_function(images_spec, training=training)
        self.__call__ = call

        @tf.function(autograph=False, input_signature=[images_spec])
        def classify(images):
            return answer(infer(preprocessing.normalize(images)), data_description)

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, "encoded")])
        def classify_encoded(encoded):
            prepared_spec = tf.TensorSpec([height, width, 3], tf.float32)
            return answer(infer(tf.map_fn(preprocessing.evaluate, encoded, fn_output_signature=prepared_spec)), data_description)

        self.graph_signatures = {"serving_default": classify, "classify_encoded": classify_encoded}


def write(given: ExportInput, folder: pathlib.Path) -> None:
    """Writes a SavedModel with the model's weights.

    Its signatures:
      serving_default: images float32 [batch, height, width, 3] in [0, 1] -> logits, probabilities float32 [batch, num_classes].
      classify_encoded: encoded string [batch], whole image files of any size, prepared inside as in evaluation -> the same.
    """
    module = ReusableModel(given.model, given.data_description)
    tf.saved_model.save(module, str(folder), signatures=module.graph_signatures)


def describe(given: ExportInput, folder: pathlib.Path) -> None:
    """Writes model.json and data.json."""
    for name, content in zip(DESCRIPTIONS, (json.loads(given.model.to_json()), given.data_description), strict=True):
        (folder / name).write_text(json.dumps(content, indent=1))


def weights_checkpoint(folder: pathlib.Path) -> str:
    """Returns the checkpoint inside an export, for load_named_weights."""
    return str(folder / "variables" / "variables")


def is_export(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds a SavedModel."""
    return (folder / "saved_model.pb").is_file()


def load_encoded_signature(folder: pathlib.Path) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns an export's graph as a function from encoded image files, string [batch], to probabilities float32 [batch, num_classes]."""
    try:
        loaded = tf.saved_model.load(str(folder))
        signature = loaded.signatures["classify_encoded"]
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        raise InputError(f"{folder}: cannot be loaded as a SavedModel of nasnet_tf: {error}") from error

    def run(encoded: tf.Tensor, _loaded=loaded) -> tf.Tensor:  # a signature alone does not keep its variables alive
        return signature(encoded=encoded)["probabilities"]

    return run
