"""How to train, as far as it is not the network, the data, the optimizer or the schedule."""

import dataclasses

from nasnet_tf.errors import InputError
from nasnet_tf.typed import check_fields


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
      log_every_steps: rows of metrics.jsonl between evaluations; each is a mean over the steps since the last.
      checkpoint_every_seconds: besides the checkpoint at each evaluation.
      max_corrupt_images: so many training images that cannot be decoded are left out, named in the work folder; one more is an error.
        Whichever epoch they turn up in. Evaluation leaves out nothing.
      steps_per_call: so many steps run on the device without a word to Python, or fewer up to a row of metrics or an evaluation. SIGTERM
        waits for them; results are the same.
      jit_compile: whether XLA compiles the step and the evaluation; None for where there is a GPU.
      seed: of weights, order, augmentation and masks.
    """

    epochs: float
    batch_size: int
    label_smoothing: float = 0.0
    auxiliary_loss_weight: float = 0.4
    weight_decay: float = 0.0
    gradient_clip_norm: float | None = None
    ema_decay: float | None = None
    frozen_epochs: float = 0.0
    schedule_drop_path: bool = True
    evaluation_split: str | None = "validation"
    evaluate_every_epochs: float = 1.0
    log_every_steps: int = 50
    checkpoint_every_seconds: float = 300.0
    max_corrupt_images: int = 0
    replica_batch_size: int | None = None
    steps_per_call: int = 1
    jit_compile: bool | None = None
    seed: int = 0

    def __post_init__(self):
        check_fields(self)
        checks = [
            ("epochs", self.epochs > 0, "a positive number"),
            ("batch_size", isinstance(self.batch_size, int) and self.batch_size >= 1, "an integer of 1 or more"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "a share in [0, 1)"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("gradient_clip_norm", self.gradient_clip_norm is None or self.gradient_clip_norm > 0, "a positive number or None"),
            ("ema_decay", self.ema_decay is None or 0 <= self.ema_decay < 1, "a share in [0, 1) or None"),
            ("frozen_epochs", self.frozen_epochs >= 0, "0 or more"),
            ("auxiliary_loss_weight", self.auxiliary_loss_weight >= 0, "0 or more"),
            ("log_every_steps", isinstance(self.log_every_steps, int) and self.log_every_steps >= 1, "an integer of 1 or more"),
            ("checkpoint_every_seconds", self.checkpoint_every_seconds >= 0, "0 or more"),
            ("max_corrupt_images", self.max_corrupt_images >= 0, "0 or more"),
            (
                "replica_batch_size",
                self.replica_batch_size is None or (isinstance(self.replica_batch_size, int) and self.replica_batch_size >= 1),
                "an integer of 1 or more, or None",
            ),
            ("steps_per_call", isinstance(self.steps_per_call, int) and self.steps_per_call >= 1, "an integer of 1 or more"),
            ("seed", 0 <= self.seed < 2**31, "an integer of 0 or more, below 2^31"),
            ("jit_compile", self.jit_compile in (None, True, False), "True, False or None"),
            ("evaluate_every_epochs", self.evaluate_every_epochs > 0, "a positive number"),
        ]
        for name, is_valid, expected in checks:
            if not is_valid:
                raise InputError(f"TrainingConfig.{name}: expected {expected}, got {getattr(self, name)!r}")
