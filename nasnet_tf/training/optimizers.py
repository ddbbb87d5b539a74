"""The paper's two optimizers as TensorFlow 1 defines them, with one fused op per variable for an update.

The training loop takes any Keras optimizer. These two need far fewer ops for an update than Keras' own, which matters if tracing is a large
part of a short training.
"""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from nasnet_tf.base.errors import InputError, reason
from nasnet_tf.base.values import Positive, Share, checked


def made(optimizer: Callable[[], keras.optimizers.Optimizer]) -> keras.optimizers.Optimizer:
    """Returns a new optimizer; turns the errors of Keras' optimizers about their arguments into InputError."""
    try:
        return optimizer()
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        name = getattr(optimizer, "__name__", repr(optimizer))
        raise InputError(f"optimizer {name}: {reason(error)}") from error


class _FusedOptimizer(keras.optimizers.Optimizer):
    """Base class of optimizers with fused ops.

    Values that all variables share enter the graph once, and a single replica updates without the code for several replicas.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        learning_rate = tf.convert_to_tensor(learning_rate)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable.value, learning_rate)

    @functools.cached_property
    def _constants(self) -> dict[str, tf.Tensor]:
        """Inputs of the fused op that are equal for all variables, except the learning rate: float32 [] by name."""
        with tf.init_scope():
            return {name: tf.constant(value) for name, value in self._numbers().items()}


@keras.saving.register_keras_serializable(package="nasnet_tf")
class Momentum(_FusedOptimizer):
    """Gradient descent with momentum: accumulator = momentum * accumulator + gradient; variable -= learning_rate * accumulator."""

    @checked
    def __init__(self, momentum: Share = 0.9, learning_rate: Positive = 0.01, name: str = "momentum", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.accumulators = [self.add_variable_from_reference(variable, name="momentum") for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        accumulator = self.accumulators[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=accumulator.value.handle,
            lr=learning_rate,
            grad=gradient,
            **self._constants,
        )

    def _numbers(self) -> dict[str, float]:
        return {"momentum": self.momentum}

    def get_config(self):
        return super().get_config() | self._numbers()


@keras.saving.register_keras_serializable(package="nasnet_tf")
class RMSProp(_FusedOptimizer):
    """RMSProp as in TensorFlow 1, which the paper used (appendix A.7: decay 0.9, epsilon 1.0; momentum 0.9 in slim's trainer).

    mean_square = decay * mean_square + (1 - decay) * gradient^2
    moment = momentum * moment + learning_rate * gradient / sqrt(mean_square + epsilon)
    variable -= moment

    mean_square starts at 1, as in TensorFlow 1; Keras starts it at 0.
    """

    @checked
    def __init__(
        self,
        decay: Share = 0.9,
        momentum: Share = 0.9,
        epsilon: Positive = 1.0,
        learning_rate: Positive = 0.01,
        name: str = "rmsprop",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.decay, self.momentum, self.epsilon = decay, momentum, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.mean_squares = [self.add_variable_from_reference(v, name="mean_square", initializer="ones") for v in variables]
        self.moments = [self.add_variable_from_reference(v, name="moment") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=self.mean_squares[index].value.handle,
            mom=self.moments[index].value.handle,
            lr=learning_rate,
            grad=gradient,
            **self._constants,
        )

    def _numbers(self) -> dict[str, float]:
        return {"rho": self.decay, "momentum": self.momentum, "epsilon": self.epsilon}

    def get_config(self):
        return {**super().get_config(), "decay": self.decay, "momentum": self.momentum, "epsilon": self.epsilon}
