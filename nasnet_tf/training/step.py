"""Training steps on all replicas: gradients, clipping, update and moving averages; one step or several in a call."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.layers.stochastic import DropPath, stochastic_layers
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.gradients import make_gradients, same_shapes
from nasnet_tf.training.losses import is_decayed
from nasnet_tf.training.numerics import compiled
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.task import Task


class TrainStep:
    """Takes training steps. Trains the variables that are trainable when it is created; create a new one if these change.

    Args:
      state: variables of the training, created in the scope of the strategy.
      task: task that computes the losses.
      config: configuration of the training.
      strategy: the strategy.
    """

    def __init__(self, state: TrainingState, task: Task, config: TrainingConfig, strategy: tf.distribute.Strategy):
        self._state, self._config, self._strategy = state, config, strategy
        self._replicas = strategy.num_replicas_in_sync
        self._variables = state.model.trainable_variables
        self._groups = same_shapes(self._variables)
        self._drop_paths = [layer for layer in stochastic_layers(state.model) if isinstance(layer, DropPath)]
        state.optimizer._all_reduce_sum_gradients = list  # the gradients are already summed over the replicas; Keras would sum them again
        self._gradients = make_gradients(state, task, self._groups, config, self._replicas)
        if self._replicas == 1 and state.loss_scale is None:
            self._replica_step = compiled(self._replica_step, config.jit_compile)
        else:  # communication between replicas, and the decision whether to update, stay outside the compiled function
            self._gradients = compiled(self._gradients, config.jit_compile)
        self.one = tf.function(self._step, autograph=False)
        self.several = tf.function(self._steps, autograph=False)

    def __call__(self, batches: Iterator, first: int, rates: Sequence[float], progress: Sequence[float], request: float) -> tf.Tensor:
        """Takes as many steps as there are rates, up to TrainingConfig.steps_per_call.

        Args:
          batches: iterator from which the next batches are taken.
          first: number of steps done before.
          rates: learning rate of each step.
          progress: fraction of the training done before each step, in [0, 1).
          request: number from this worker; see distribution.Agreement.

        Returns:
          The metrics of the task and the request, summed over all replicas of all workers, float32 [steps, names + 1].
        """
        # NumPy scalars, because each new Python number would trace the step again.
        first, request = np.int64(first), np.float32(request)
        if self._config.steps_per_call == 1:
            return self.one(next(batches), np.float32(rates[0]), np.float32(progress[0]), first, request)[None]
        of_steps = np.zeros([2, self._config.steps_per_call], np.float32)
        of_steps[:, : len(rates)] = rates, progress
        return self.several(batches, *of_steps, np.int32(len(rates)), first, request)

    def _steps(self, batches, rates, progress, count, first, request):
        def take(number, results):
            step = first + tf.cast(number, tf.int64)
            return number + 1, results.write(number, self._step(next(batches), rates[number], progress[number], step, request))

        results = tf.TensorArray(tf.float32, count, element_shape=[None])
        return tf.while_loop(lambda number, _: number < count, take, (0, results), parallel_iterations=1)[1].stack()

    def _step(self, batch, rate, progress, step, request):
        self._state.optimizer.learning_rate.assign(rate)
        for layer in self._drop_paths:
            layer.progress.assign(progress if self._config.schedule_drop_path else 1.0)
        if self._state.loss_scale is None:
            numbers = self._strategy.run(self._replica_step, args=(batch, step, request))
        else:
            numbers = self._scaled_step(batch, step, request)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, numbers, axis=None)

    def _replica_step(self, batch, step, request):
        numbers, stacks = self._gradients(batch, None)
        self._update(self._sum_over_replicas(stacks), step)
        return tf.concat([numbers, [request]], 0)

    def _scaled_step(self, batch, step, request):
        """Takes a step with a loss scale. If a gradient overflowed, the update is skipped on all replicas."""
        loss_scale = self._state.loss_scale

        def replica_gradients(batch, request):
            scale = tf.convert_to_tensor(loss_scale.scale)
            numbers, stacks = self._gradients(batch, scale)
            stacks = [stack / scale for stack in self._sum_over_replicas(stacks)]
            is_finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(stack)) for stack in stacks])
            return tf.concat([numbers, [request]], 0), stacks, is_finite

        def update():
            self._strategy.run(self._update, args=(stacks, step))
            return True

        numbers, stacks, is_finite = self._strategy.run(replica_gradients, args=(batch, request))
        is_finite = self._strategy.experimental_local_results(is_finite)[0]  # the value is the same on all replicas
        tf.cond(is_finite, update, lambda: False)
        loss_scale.update(is_finite)
        return numbers

    def _update(self, stacks, step):
        """Updates weights and averages with the gradients summed over all replicas."""
        config, variables = self._config, self._variables
        if config.weight_decay:
            # The gradient of weight_decay * sum(kernel^2) / 2 is added here, after the sum over replicas, so that it counts once.
            for number, group in enumerate(self._groups):
                if is_decayed(variables[group[0]]):
                    stacks[number] += config.weight_decay * tf.stack([variables[index].value for index in group])
        if config.gradient_clip_norm is not None:
            stacks, _ = tf.clip_by_global_norm(stacks, config.gradient_clip_norm)
        gradients = {}
        for stack, group in zip(stacks, self._groups, strict=True):
            gradients |= zip(group, tf.unstack(stack), strict=True)
        self._state.optimizer.apply_gradients([(gradients[index], variable) for index, variable in enumerate(variables)])
        if self._state.average:
            self._state.average.update(step)

    def _sum_over_replicas(self, stacks: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the stacks summed over all replicas. They are sent as one tensor."""
        if self._replicas == 1:
            return stacks
        flat = tf.concat([tf.reshape(stack, [-1]) for stack in stacks], 0)
        flat = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flat)
        parts = tf.split(flat, [stack.shape.num_elements() for stack in stacks])
        return [tf.reshape(part, stack.shape) for part, stack in zip(parts, stacks, strict=True)]


class Freezing:
    """Inside the `with`, freezes all layers except the output layers for the first steps. At its end, all are trainable again.

    Args:
      model: the model.
      steps: number of steps at the start in which these layers are frozen.
    """

    def __init__(self, model: keras.Model, steps: int):
        self._steps = steps
        self._hidden = [layer for layer in _hidden_layers(model) if layer.trainable] if steps else []

    def __enter__(self) -> "Freezing":
        return self

    def __exit__(self, *_) -> None:
        self.set(self._steps)

    def set(self, step: int) -> None:
        """Freezes or unfreezes the layers for a step, numbered from 0."""
        for layer in self._hidden:
            layer.trainable = step >= self._steps


def _hidden_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns all layers except those that compute the model's outputs."""
    outputs = {id(tensor) for tensor in keras.tree.flatten(model.output)}
    return [layer for layer in model.layers if outputs.isdisjoint(id(tensor) for tensor in keras.tree.flatten(layer.output))]
