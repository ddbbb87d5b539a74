"""The variables of a training: model, optimizer, moving averages and loss scale, and a copy of them for checkpoints.

The moving averages cover all weights of the model, including batch-norm statistics, as in slim's trainer; the paper evaluates with them.
"""

import contextlib
import dataclasses
from collections.abc import Iterator

import keras
import tensorflow as tf

from nasnet_tf.training.numerics import LossScale
from nasnet_tf.training.variables import named_weights


class WeightAverage(tf.Module):
    """Moving averages of a model's weights: average -= (1 - min(decay, (1 + step) / (10 + step))) * (average - weight) after every step.

    Create it in the scope of the strategy, after the model.
    """

    def __init__(self, model: keras.Model, decay: float):
        super().__init__()
        self.decay = decay
        self._model = model
        # Each replica has its own moving statistics of batch normalization, and keeps its own averages of them: the mean of the averages is
        # the average of the means.
        self.averages = {
            path: tf.Variable(weight, trainable=False, synchronization=weight.synchronization, aggregation=weight.aggregation)
            for path, weight in named_weights(model).items()
        }

    def update(self, step: tf.Tensor) -> None:
        """Updates the averages after a step.

        Args:
          step: number of steps done before this one, int, like the global step in slim.
        """
        step = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self.decay, (1.0 + step) / (10.0 + step))
        for path, weight in named_weights(self._model).items():
            self.averages[path].assign_sub(share * (self.averages[path] - weight))

    def copy_to(self, model: keras.Model) -> None:
        """Sets the weights of a model to the averages. The model must have weights of the same names."""
        for path, weight in named_weights(model).items():
            weight.assign(self.averages[path])

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Sets the model's weights to the averages inside the `with`, and restores them afterwards."""
        raw = {path: weight.numpy() for path, weight in named_weights(self._model).items()}
        self.copy_to(self._model)
        try:
            yield
        finally:
            for path, weight in named_weights(self._model).items():
                weight.assign(raw[path])


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """The variables of a training. Create it in the scope of the strategy.

    Attributes:
      model: the model.
      optimizer: the optimizer.
      average: moving averages of all weights; None for no averages.
      loss_scale: loss scale for gradients in float16; None in other precisions.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    average: WeightAverage | None
    loss_scale: LossScale | None

    @classmethod
    def fresh(cls, model: keras.Model, optimizer: keras.optimizers.Optimizer, ema_decay: float | None) -> "TrainingState":
        """Returns the state at the start of a training.

        Args:
          model: the model, which keeps its weights.
          optimizer: an unused optimizer.
          ema_decay: decay of the moving averages; None for no averages.
        """
        optimizer.build(model.trainable_variables)
        average = WeightAverage(model, ema_decay) if ema_decay is not None else None
        in_float16 = keras.config.dtype_policy().name == "mixed_float16"
        return cls(model, optimizer, average, LossScale() if in_float16 else None)

    @property
    def local(self) -> list[tf.Variable]:
        """Variables with a separate value on each replica: moving statistics of batch normalization, and averages of these."""
        variables = [weight.value for weight in self.model.weights]
        variables += self.average.averages.values() if self.average else []
        return [variable for variable in variables if variable.synchronization == tf.VariableSynchronization.ON_READ]


class Shadow:
    """A copy of the variables of a tf.train.Checkpoint in host memory, under the same names.

    It exists because TensorFlow's own asynchronous checkpoints cannot copy Keras' variables a second time.

    Attributes:
      checkpoint: checkpoint of the copies, to be written instead of the original.
    """

    def __init__(self, original: tf.train.Checkpoint):
        # Training waits while thousands of variables are copied, and raw ops take a third of the time of the methods. Only variables on
        # several replicas use methods, which know how to merge the values.
        self._handles: list[tuple[tf.Tensor, tf.DType, tf.Tensor]] = []
        self._distributed: list[tuple[tf.Variable, tf.Variable]] = []
        self._copies: dict[int, tf.Variable] = {}
        with tf.device("CPU:0"):
            children = {name: self._copy_of(child) for name, child in _children_of(original).items() if name != "save_counter"}
        self.checkpoint = tf.train.Checkpoint(**children)

    def update(self) -> None:
        """Copies the current values.

        A copy shares the buffer of its original until training writes to the original, which then gets a new buffer.
        """
        with tf.device("CPU:0"):
            for original, dtype, copy in self._handles:
                tf.raw_ops.AssignVariableOp(resource=copy, value=tf.raw_ops.ReadVariableOp(resource=original, dtype=dtype))
            for original, copy in self._distributed:
                copy.assign(original)

    def _copy_of(self, original):
        if id(original) in self._copies:
            return self._copies[id(original)]
        variable = original.value if isinstance(original, keras.Variable) else original
        if isinstance(variable, tf.Variable):
            copy = tf.Variable(tf.convert_to_tensor(variable), trainable=False)
            if isinstance(variable, tf.distribute.DistributedValues):
                self._distributed.append((variable, copy))
            else:
                self._handles.append((variable.handle, variable.dtype, copy.handle))
        else:
            copy = tf.Module()
        self._copies[id(original)] = copy
        if isinstance(copy, tf.Module):
            for name, child in _children_of(original).items():
                setattr(copy, name, self._copy_of(child))
        return copy


_children_of = tf.train.TrackableView.children  # {name in checkpoints: child}
