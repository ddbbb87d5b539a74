"""How to train, as far as it is not the network, the data, the optimizer or the schedule."""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, Natural, NotNegative, Positive, Seed, Share, Within, check_fields

BALANCED = "balanced"


def _is_setting(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return value is None or value == BALANCED
    are_weights = (isinstance(weight, numbers.Real) and not isinstance(weight, bool) and 0 < weight < math.inf for weight in value.values())
    return len(value) > 0 and all(are_weights) and all(isinstance(name, str) for name in value)


ClassWeights = Annotated[Any, Within("'balanced', a table {'class name': positive number}, or None", _is_setting)]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
      epochs: passes over the training examples.
      batch_size: examples of one step, on all replicas together.
      replica_batch_size: the most examples that a replica takes at a time; of a larger part of the batch it adds up the gradients. The
        parts are even: the largest number up to this that divides the replica's. A step stays one for the optimizer, the averages and the
        moving statistics of batch normalization, but the latter's batches are so small: as on so many more replicas. None for all at once.
      label_smoothing: share of the target spread over all classes.
      class_weights: factors of the loss by class, for rare classes: "balanced" for n / (classes * n_c), with n_c training labels of class c
        and n of all; or a table such as {'cat': 1.0, 'dog': 3.0}, in which a class that is not named weighs 1.
        Evaluation ignores them.
      auxiliary_loss_weight: of the auxiliary head, where the network has one.
      weight_decay: factor of sum(kernel^2) / 2, slim's convention (Keras' L2 has no 1/2).
      gradient_clip_norm: largest global norm of the gradients; None for no clipping.
      ema_decay: of the moving average of all weights, used for evaluation and export; None for none. Where there is one, each evaluation
        during training measures the weights themselves too, as raw_accuracy and raw_loss, and takes twice the time.
      frozen_epochs: for so many epochs at the start only the layers that give the outputs are trained, the classifier and the auxiliary
        head; the weights of all others and the statistics of their batch normalization stay as they are. For fine-tuning.
      schedule_drop_path: drop path grows linearly over training (the paper's); otherwise it has its full rate from the start.
      evaluation_split: "validation" or "test": watched during training, decides what is best. None for no evaluation.
      evaluate_every_epochs: and at the end.
      patience: number of evaluations in a row without a new best score after which the training stops; None to train all epochs.
      log_every_steps: rows of metrics.jsonl between evaluations; each is a mean over the steps since the last.
      checkpoint_every_seconds: besides the checkpoint at each evaluation.
      max_corrupt_images: so many training images that cannot be decoded are left out, named in the work folder; one more is an error.
        Whichever epoch they turn up in. Evaluation leaves out nothing.
      steps_per_call: so many steps run on the device without a word to Python, or fewer up to a row of metrics or an evaluation. SIGTERM
        waits for them; results are the same.
      jit_compile: whether XLA compiles the step and the evaluation; None for where there is a GPU.
      seed: of weights, order, augmentation and masks.
    """

    # When a training is resumed. The split that is evaluated may not: the best checkpoint so far was best on that one.
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

    def __post_init__(self):
        check_fields(self)
        if self.patience is not None and self.evaluation_split is None:
            raise InputError(
                f"TrainingConfig.patience: expected an evaluation_split to watch, or None, got {self.patience} and no evaluation_split"
            )
