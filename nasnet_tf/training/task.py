"""Protocols for a task: the losses of a batch, the evaluation of a model, and the score that selects the best checkpoint.

The training loop and its parts know only the protocols Data, Evaluator and Task. Recipes bind a BindableTask, and commands use it. See
`classification.py` for an example.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError


class Data(Protocol):
    """A source of batches. Only its task needs to know their structure."""

    num_classes: int
    image_size: int
    num_train_examples: int

    def num_examples(self, split: str) -> int:
        """Returns the number of examples of "train", "validation" or "test"; raises InputError if there is no such split."""

    def share_examples(self, split: str, other: str) -> bool:
        """Returns whether two of "train", "validation" and "test" have examples in common. Only the command evaluate needs this."""

    def train(self, batch_size: int, seed: int, start_step: int, shard: tuple[int, int]) -> tf.data.Dataset:
        """Returns an endless dataset of training batches; see ImageData.train."""

    def corrupt_names(self, batch_size: int, seed: int, step: int) -> dict[str, str]:
        """Returns {name: problem} of the examples of a training batch that its task counted as corrupt."""

    def diagnose(self, split: str) -> InputError | None:
        """Returns an error that describes the first bad example of a split; None if there is none."""

    def description(self) -> dict:
        """Returns a JSON-ready description of the data: enough for the commands to evaluate, export and use the model."""


class Evaluator(Protocol):
    """Evaluates one model any number of times.

    Attributes:
      images: images of the last evaluation for TensorBoard, {name: images [batch, height, width, 3]}.
    """

    images: Mapping[str, tf.Tensor]

    def on_split(self, data: Data, split: str, batch_size: int) -> Any:
        """Returns the metrics of a split as a dataclass that prints as one line. They are the same on all workers."""


class Task(Protocol):
    """The interface between the training loop and a kind of task, such as classification.

    Attributes:
      kind: name of the task in work folders and exports, by which commands find the task (nasnet_tf/recipes/tasks.py).
      names: names of the metrics of a step. "loss" is among them; so is "corrupt" if examples may be left out.
      shown: names of the metrics in the progress line. The others are logged if they are not 0.
    """

    kind: str
    names: Sequence[str]
    shown: Sequence[str]

    def adapted(self, data: Data) -> Data:
        """Returns the data as this task reads it. The loop calls this first and uses only the result."""

    def losses(self, model: keras.Model, batch: Any) -> Mapping[str, tf.Tensor]:
        """Returns the metrics of a step on one replica's part of the batch, float32 [] each, by name.

        They are summed over replicas, so a mean is the part's sum divided by the global batch size. The gradients are those of "loss",
        which does not include weight decay.
        """

    def samples(self, batch: Any) -> Mapping[str, tf.Tensor]:
        """Returns training images as the model sees them, for TensorBoard: {name: images [batch, height, width, 3]}."""

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> Evaluator:
        """Returns the evaluator for the whole training."""

    def score(self, evaluation: Any) -> float:
        """Returns the score of an evaluation. The checkpoint with the highest score is kept as the best."""


class Predictor(Protocol):
    """The interface of a model that the command predict uses."""

    def answers(self, encoded: Sequence[bytes]) -> Sequence[Any]:
        """Returns an answer for the content of each image file; for one that cannot be decoded, an InputError with the reason."""

    def describe(self, answer: Any, top: int | None, threshold: float | None = None) -> tuple[str, dict]:
        """Returns an answer as text for people and as JSON-ready fields.

        Args:
          answer: an answer from `answers`.
          top: maximum number of classes; None for the default of the predictor.
          threshold: minimum probability of a class; None for the default of the predictor.
        """

    def explain(self, picture: bytes) -> Any:
        """Returns an explanation of the answer for an image file's content, with a method save(path); InputError if there can be none."""


class BindableTask(Task):
    """A task that recipes can bind and whose work folders the commands understand.

    A training creates an instance. Commands that do not train use only the class.

    Attributes:
      data: class of the data, with a method `from_description` that takes the content of data.json.
      evaluator_class: function (model) -> Evaluator.
      export: function (model, content of data.json, new folder, nasnet_tf.serving.exports.exporting.ExportRequest) -> content of
        manifest.json.
      predictor: function (source, weights, trust_graph) -> Predictor, with a source from nasnet_tf.serving.hub.naming.resolve.
      starts_trained: True if a training usually starts from trained weights. One that starts from fresh weights then prints a note.
      measure: name of the field of an evaluation that is its score; a search rewards its children by it.
    """

    data: type
    evaluator_class: Callable[..., Evaluator]
    export: Callable[..., dict]
    predictor: Callable[..., Predictor]
    starts_trained = False
    measure = "accuracy"

    def adapted(self, data: Data) -> Data:
        """Returns the data as this task reads it; by default unchanged."""
        return data

    def build(self, network: Callable[[int | None, Any], keras.Model], num_classes: int, image_size: int) -> keras.Model:
        """Returns the model to train.

        Args:
          network: function (classes, image size) -> network to build on, with the weights that the training starts from. Classes is None
            for no classifier; image size is a number, a pair, or None for any size.
          num_classes: number of classes.
          image_size: height and width of the images in pixels.
        """
        return network(num_classes, image_size)

    def score(self, evaluation: Any) -> float:
        """Returns the score of an evaluation: its field `measure`."""
        return getattr(evaluation, self.measure)

    @staticmethod
    def notes(data: Any, split: str) -> Sequence[str]:
        """Returns lines about problems of a split, which the command evaluate prints first."""
        return ()

    @staticmethod
    def figures(evaluator: Any, data: Any) -> dict[str, Any]:
        """Returns the figures that the command evaluate saves after an evaluation: matplotlib figures by name."""
        return {}

    @staticmethod
    def table(evaluator: Any) -> str:
        """Returns text that the command evaluate prints after an evaluation, in addition to its one line; "" for none."""
        return ""

    @staticmethod
    def results(evaluator: Any) -> dict[str, Any]:
        """Returns the results that the command evaluate writes besides the evaluation: JSON-ready values by name."""
        return {}
