"""The timetable of a training: converts steps to epochs, and tells what is due after each step."""

from nasnet_tf.training.config import TrainingConfig


class Timetable:
    """The steps of a training.

    Attributes:
      steps_per_epoch: steps in an epoch, float; an epoch may end inside a batch.
      total: number of steps of the whole training.
      end: number of steps after which this call ends.
      frozen: number of steps at the start that train only the output layers.

    Args:
      config: configuration of the training.
      num_examples: number of training examples.
      until_epochs: number of epochs after which this call ends; None for the whole training.
    """

    def __init__(self, config: TrainingConfig, num_examples: int, until_epochs: float | None = None):
        self._config = config
        self.steps_per_epoch = num_examples / config.batch_size
        self.total = max(1, round(config.epochs * self.steps_per_epoch))
        self.end = self.total if until_epochs is None else min(self.total, max(1, round(until_epochs * self.steps_per_epoch)))
        self.frozen = round(config.frozen_epochs * self.steps_per_epoch)
        self._evaluate_every = max(1, round(config.evaluate_every_epochs * self.steps_per_epoch))

    def epoch(self, step: int) -> float:
        """Converts a number of steps to epochs."""
        return step / self.steps_per_epoch

    def progress(self, step: int) -> float:
        """Converts a number of steps to a fraction of the whole training, in [0, 1]."""
        return step / self.total

    def end_of_call(self, done: int) -> int:
        """Returns the step at which a call that starts after `done` steps ends: after steps_per_call, or earlier if something is due."""
        ends = [self.end, done + self._config.steps_per_call, _next_multiple(done, self._config.log_every_steps)]
        if self._config.evaluation_split is not None:
            ends.append(_next_multiple(done, self._evaluate_every))
        if done < self.frozen:
            ends.append(self.frozen)
        return min(ends)

    def is_evaluation(self, done: int) -> bool:
        """Returns whether the model is evaluated after `done` steps."""
        return self._config.evaluation_split is not None and (done % self._evaluate_every == 0 or done in (self.total, self.end))

    def is_log(self, done: int) -> bool:
        """Returns whether a row of metrics is written after `done` steps. Time has no effect, so a resumed training has the same rows."""
        return done % self._config.log_every_steps == 0 or self.is_evaluation(done) or done in (self.total, self.end)


def _next_multiple(number: int, of: int) -> int:
    return (number // of + 1) * of
