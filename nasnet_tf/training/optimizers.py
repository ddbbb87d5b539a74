"""The paper's two optimizers with TensorFlow 1's meaning, each update one fused op per variable.

The training loop takes any Keras optimizer; these two halve the graph of the update against Keras' own, which matters where tracing is a
large part of a short training.
"""

import keras
import tensorflow as tf


class Momentum(keras.optimizers.Optimizer):
    """accumulator = momentum * accumulator + gradient; variable -= learning_rate * accumulator."""

    def __init__(self, momentum: float = 0.9, learning_rate: float = 0.01, name: str = "momentum", **kwargs):
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
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
        )

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


class RMSProp(keras.optimizers.Optimizer):
    """RMSProp of TensorFlow 1, which the paper used (appendix A.6: decay 0.9, epsilon 1.0; momentum 0.9 in slim's trainer).

    mean_square = decay * mean_square + (1 - decay) * gradient^2
    moment = momentum * moment + learning_rate * gradient / sqrt(mean_square + epsilon)
    variable -= moment

    mean_square starts at 1, as in TensorFlow 1; Keras starts it at 0.
    """

    def __init__(
        self,
        decay: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1.0,
        learning_rate: float = 0.01,
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
            lr=tf.cast(learning_rate, variable.dtype),
            rho=tf.cast(self.decay, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )

    def get_config(self):
        return {**super().get_config(), "decay": self.decay, "momentum": self.momentum, "epsilon": self.epsilon}
