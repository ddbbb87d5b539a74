"""The configuration of a training, except the network, the data, the optimizer and the schedule."""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, Natural, NotNegative, Positive, Seed, Share, Within, check_fields

BALANCED = "balanced"


def _are_class_weights(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return value is None or value == BALANCED
    are_weights = (isinstance(weight, numbers.Real) and not isinstance(weight, bool) and 0 < weight < math.inf for weight in value.values())
    return len(value) > 0 and all(are_weights) and all(isinstance(name, str) for name in value)


ClassWeights = Annotated[Any, Within("'balanced', a table {'class name': positive number}, or None", _are_class_weights)]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
      epochs: passes over the training examples; may be a fraction.
      batch_size: number of examples in a step, on all replicas together.
      replica_batch_size: maximum number of examples that a replica processes at a time; None for no limit. If a replica's part of the batch
        is larger, it is split into equal parts, whose gradients are added up. Their size is the largest divisor of the replica's part up to
        this maximum. It is still one step for the optimizer, the averages and the moving statistics of batch normalization. But batch
        normalization sees only one part at a time, as if each part were on a replica of its own. Evaluations keep to the maximum too.
      label_smoothing: fraction of the target that is spread over all classes.
      class_weights: factors of the loss by class, for data with rare classes. "balanced" is n / (classes * n_c) for each class c, where n_c
        is the number of training labels of the class, and n their sum over all classes. A table such as {'cat': 1.0, 'dog': 3.0} gives
        the factors by name; a class that is not in it has 1. Evaluation ignores them.
      auxiliary_loss_weight: factor of the auxiliary head's loss, if the network has such a head.
      weight_decay: factor of sum(kernel^2) / 2, slim's convention (Keras' L2 has no 1/2).
      gradient_clip_norm: maximum global norm of the gradients; None for no clipping.
      ema_decay: decay of the moving averages of all weights, which evaluation and export use; None for no averages. With averages, each
        evaluation during training also measures the weights themselves, as raw_accuracy and raw_loss, and takes twice the time.
      frozen_epochs: number of epochs at the start in which only the output layers are trained: the classifier and the auxiliary head. The
        weights and batch normalization statistics of all other layers stay as they are. For fine-tuning.
      schedule_drop_path: True to increase the drop path rate linearly over the training, as in the paper; False for the full rate from the
        start.
      evaluation_split: split that is evaluated during the training and selects the best checkpoint: "validation" or "test". None for no
        evaluation.
      evaluate_every_epochs: epochs between evaluations; there is also one at the end.
      patience: number of evaluations in a row without a new best score after which the training stops; None to train all epochs.
      log_every_steps: steps between rows of metrics.jsonl; evaluations also write one. A row is the mean over the steps since the last row.
      checkpoint_every_seconds: seconds between checkpoints, in addition to the checkpoint at each evaluation.
      max_corrupt_images: maximum number of training images that cannot be decoded, over all epochs. They are left out and listed in the
        work folder; one more is an error. Evaluation leaves out no image.
      steps_per_call: maximum number of steps that run on the device before control returns to Python. It also returns when a row of metrics
        or an evaluation is due. SIGTERM takes effect after these steps. The results do not change.
      jit_compile: whether XLA compiles the step and the evaluation; None to compile only if there is a GPU.
      seed: seed of the initial weights, the order of examples, augmentation, and the masks of drop path and dropout.
    """

    # Fields that may change when a training is resumed. evaluation_split may not, because it has selected the best checkpoint so far.
    MAY_CHANGE: ClassVar[tuple[str, ...]] = (
        "log_every_steps",
        "checkpoint_every_seconds",
        "evaluate_every_epochs",
        "max_corrupt_images",
        "steps_per_call",
        "jit_compile",
        "patience",
    )

    epochs: Positive
    batch_size: Count
    label_smoothing: Share = 0.0
    auxiliary_loss_weight: NotNegative = 0.4
    weight_decay: NotNegative = 0.0
    gradient_clip_norm: Positive | None = None
    ema_decay: Share | None = None
    frozen_epochs: NotNegative = 0.0
    schedule_drop_path: bool = True
    evaluation_split: str | None = "validation"
    evaluate_every_epochs: Positive = 1.0
    log_every_steps: Count = 50
    checkpoint_every_seconds: NotNegative = 300.0
    max_corrupt_images: Natural = 0
    replica_batch_size: Count | None = None
    steps_per_call: Count = 1
    jit_compile: bool | None = None
    seed: Seed = 0
    class_weights: ClassWeights = None
    patience: Count | None = None

    def check_batch_size(self, num_train_examples: int) -> None:
        """Raises InputError if a batch is larger than the training data."""
        if self.batch_size > num_train_examples:
            raise InputError(
                f"TrainingConfig.batch_size: expected at most the {num_train_examples:,} training examples, got {self.batch_size:,}"
            )

    def evaluation_batch_size(self, replicas: int) -> int:
        """Returns the number of examples in a batch of an evaluation on `replicas` replicas together, at most replica_batch_size each."""
        part = self.batch_size // replicas
        return replicas * min(self.replica_batch_size or part, part)

    def __post_init__(self):
        check_fields(self)
        if self.patience is not None and self.evaluation_split is None:
            raise InputError(
                f"TrainingConfig.patience: expected None if evaluation_split is None, got {self.patience}; set an evaluation_split to watch"
            )
