"""What a model is trained for: the losses of a batch, how the result is measured, what decides which checkpoint is best.

The loop, its steps and its checkpoints know the protocols Data, Evaluator and Task only. Recipes bind, and commands use, a BindableTask.
`classification.py` is the first one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError


class Data(Protocol):
    """Where batches come from; their structure is between it and its task."""

    num_classes: int
    image_size: int
    num_train_examples: int

    def num_examples(self, split: str) -> int:
        """Number of examples of "train", "validation" or "test"; InputError where there is no such split."""

    def share_examples(self, split: str, other: str) -> bool:
        """Whether two of "train", "validation" and "test" have examples in common. Only `evaluate` asks."""

    def train(self, batch_size: int, seed: int, start_step: int, shard: tuple[int, int]) -> tf.data.Dataset:
        """Training batches without end, as ImageData.train describes them."""

    def corrupt_names(self, batch_size: int, seed: int, step: int) -> dict[str, str]:
        """The names of the examples of a training batch that its task counted as corrupt, and what is wrong with each."""

    def diagnose(self, split: str) -> InputError | None:
        """What is wrong with the first bad example of a split; None where nothing is."""

    def description(self) -> dict:
        """What the model was trained with, JSON-ready: enough for the commands to evaluate, export and use it."""


class Evaluator(Protocol):
    """Measures one model as often as wanted.

    Attributes:
      images: after a call, what is worth a look: {name: images [batch, height, width, 3]} for TensorBoard.
    """

    images: Mapping[str, tf.Tensor]

    def on_split(self, data: Data, split: str, batch_size: int) -> Any:
        """Returns a dataclass of numbers that prints as one line, the same on all workers."""


class Task(Protocol):
    """Attributes:
    kind: its name in work folders and exports, by which commands find it again (nasnet_tf/recipes/tasks.py).
    names: of the numbers that a step says of itself. "loss" is among them; so is "corrupt" where examples may be left out.
    shown: those of them that stand in the line of progress; the others are logged where they are not 0.
    """

    kind: str
    names: Sequence[str]
    shown: Sequence[str]

    def adapted(self, data: Data) -> Data:
        """Returns the data as this task reads it; the loop asks first, and uses nothing else."""

    def losses(self, model: keras.Model, batch: Any) -> Mapping[str, tf.Tensor]:
        """The numbers of a step, float32 [] each, by one replica on its part of the batch.

        They are summed over replicas: means are over the global batch. "loss" is what is differentiated, without weight decay.
        """

    def samples(self, batch: Any) -> Mapping[str, tf.Tensor]:
        """Training images as the model sees them: {name: images [batch, height, width, 3]} for TensorBoard."""

    def evaluator(self, model: keras.Model, strategy: tf.distribute.Strategy) -> Evaluator:
        """One for the whole training."""

    def score(self, evaluation: Any) -> float:
        """The larger, the better: of all evaluations' checkpoints the one of the highest score is kept as best."""


class Predictor(Protocol):
    """What `predict` asks of a model."""

    def answers(self, encoded: Sequence[bytes]) -> Sequence[Any]:
        """Returns an answer for each image file's content; for one that cannot be decoded, an InputError that says why."""

    def describe(self, answer: Any, top: int | None, threshold: float | None = None) -> tuple[str, dict]:
        """Returns the parts of an answer, as text for people and as JSON-ready fields.

        Args:
          top: at most so many parts; None for what is usual.
          threshold: least probability of a part; None for what is usual.
        """

    def explain(self, picture: bytes) -> Any:
        """Returns why an image file's content gets its answer, as something with `save(path)`; InputError where that cannot be told."""


class BindableTask(Task):
    """A task that recipes can bind and whose work folders the commands understand.

    Recipes make one object of it for a training. Commands, which have no training, use the class alone.

    Attributes:
      data: class of the data. Its `from_description` reads what data.json says.
      evaluator_class: (model) -> Evaluator.
      export: (model, what data.json says, new folder, nasnet_tf.serving.exports.exporting.ExportRequest) -> what manifest.json says.
      predictor: (source, weights, trust_graph) -> Predictor; source as nasnet_tf.serving.hub.naming.resolve returns it.
      starts_trained: whether fresh weights are unusual, so that a training that starts from them says so.
      measure: the field of an evaluation that decides which one is best; a search rewards its children by it.
    """

    data: type
    evaluator_class: Callable[..., Evaluator]
    export: Callable[..., dict]
    predictor: Callable[..., Predictor]
    starts_trained = False
    measure = "accuracy"

    def adapted(self, data: Data) -> Data:
        """Returns the data as this task reads it: by default as it is."""
        return data

    def build(self, network: Callable[[int | None, Any], keras.Model], num_classes: int, image_size: int) -> keras.Model:
        """Returns the model to train.

        Args:
          network: (classes, or None for no classifier; image size, one number or a pair, None for any) -> network to build on, with the
            weights that the training starts from.
        """
        return network(num_classes, image_size)

    def score(self, evaluation: Any) -> float:
        """Returns what decides which evaluation is best, the larger the better: the field `measure`."""
        return getattr(evaluation, self.measure)

    @staticmethod
    def notes(data: Any, split: str) -> Sequence[str]:
        """Returns lines on oddities of a split, which `evaluate` prints beforehand."""
        return ()

    @staticmethod
    def figures(evaluator: Any, data: Any) -> dict[str, Any]:
        """Returns what `evaluate` draws after an evaluation: matplotlib figures by name."""
        return {}

    @staticmethod
    def table(evaluator: Any) -> str:
        """Returns what `evaluate` prints after an evaluation besides its one line; "" for nothing."""
        return ""

    @staticmethod
    def results(evaluator: Any) -> dict[str, Any]:
        """Returns what `evaluate` writes beside the evaluation: JSON-ready values by name."""
        return {}
