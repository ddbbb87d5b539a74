"""Moving averages of all weights of a model, batch-norm statistics included (slim's trainer; evaluation in the paper uses them)."""

import contextlib
import dataclasses
from collections.abc import Iterator

import keras
import tensorflow as tf

from nasnet_tf.training.numerics import LossScale
from nasnet_tf.training.variables import named_weights


class WeightAverage(tf.Module):
    """average -= (1 - min(decay, (1 + step) / (10 + step))) * (average - weight), after every step.

    Make it in the scope of the strategy, after the model.
    """

    def __init__(self, model: keras.Model, decay: float):
        super().__init__()
        self.decay = decay
        self._model = model
        # Of what each replica has for itself, the moving statistics of batch normalization, each keeps its own average too: the mean of
        # the averages is the average of the means.
        self.averages = {
            path: tf.Variable(weight, trainable=False, synchronization=weight.synchronization, aggregation=weight.aggregation)
            for path, weight in named_weights(model).items()
        }

    def update(self, step: tf.Tensor) -> None:
        """step: int, the number of steps done before this one (slim passes its global step so)."""
        step = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self.decay, (1.0 + step) / (10.0 + step))
        for path, weight in named_weights(self._model).items():
            self.averages[path].assign_sub(share * (self.averages[path] - weight))

    def copy_to(self, model: keras.Model) -> None:
        """Gives a model of the same weights the averages."""
        for path, weight in named_weights(model).items():
            weight.assign(self.averages[path])

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averages for its weights inside the `with`."""
        raw = {path: weight.numpy() for path, weight in named_weights(self._model).items()}
        self.copy_to(self._model)
        try:
            yield
        finally:
            for path, weight in named_weights(self._model).items():
                weight.assign(raw[path])


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


class Shadow:
    """The variables of a tf.train.Checkpoint, once more, in the host's memory and under the same names.

    TensorFlow's own asynchronous checkpoints cannot copy Keras' variables a second time.

    Attributes:
      checkpoint: what is to be written in the place of the original.
    """

    def __init__(self, original: tf.train.Checkpoint):
        # Training waits while thousands are copied, and bare ops cost a third of the methods; those know what the value of replicas is.
        self._handles: list[tuple[tf.Tensor, tf.DType, tf.Tensor]] = []
        self._distributed: list[tuple[tf.Variable, tf.Variable]] = []
        self._copies: dict[int, tf.Variable] = {}
        with tf.device("CPU:0"):
            children = {name: self._copy_of(child) for name, child in _children_of(original).items() if name != "save_counter"}
        self.checkpoint = tf.train.Checkpoint(**children)

    def update(self) -> None:
        """Takes the values of now. Buffers are shared until training writes the originals, which TensorFlow then moves elsewhere."""
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


_children_of = tf.train.TrackableView.children  # by the names that checkpoints know them by
