"""What a training changes, step by step: all that a checkpoint holds besides the step itself."""

import dataclasses

import keras
import tensorflow as tf

from nasnet_tf.training.ema import WeightAverage
from nasnet_tf.training.loss_scale import LossScale


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """Make it in the scope of the strategy.

    Attributes:
      average: of all weights; None for none.
      loss_scale: for gradients in float16; None in other precisions.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    average: WeightAverage | None
    loss_scale: LossScale | None

    @classmethod
    def fresh(cls, model: keras.Model, optimizer: keras.optimizers.Optimizer, ema_decay: float | None) -> "TrainingState":
        """Of a model with the weights it has, and an optimizer that was not used yet."""
        optimizer.build(model.trainable_variables)
        average = WeightAverage(model, ema_decay) if ema_decay is not None else None
        in_float16 = keras.config.dtype_policy().name == "mixed_float16"
        return cls(model, optimizer, average, LossScale() if in_float16 else None)

    @property
    def local(self) -> list[tf.Variable]:
        """What each replica has for itself: moving statistics of batch normalization, and averages of these."""
        variables = [weight.value for weight in self.model.weights]
        variables += self.average.averages.values() if self.average else []
        return [variable for variable in variables if variable.synchronization == tf.VariableSynchronization.ON_READ]
