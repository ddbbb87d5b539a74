"""Which step is when, and what falls due after it: arithmetic of steps and epochs."""

from nasnet_tf.training.config import TrainingConfig


class Timetable:
    """Attributes:
    steps_per_epoch: not always whole: an epoch may end inside a batch.
    total: steps of the whole training.
    end: steps after which this part of it ends.
    frozen: steps at its start that train the heads alone.
    """

    def __init__(self, config: TrainingConfig, num_examples: int, until_epochs: float | None = None):
        self._config = config
        self.steps_per_epoch = num_examples / config.batch_size
        self.total = max(1, round(config.epochs * self.steps_per_epoch))
        self.end = self.total if until_epochs is None else min(self.total, max(1, round(until_epochs * self.steps_per_epoch)))
        self.frozen = round(config.frozen_epochs * self.steps_per_epoch)
        self._evaluate_every = max(1, round(config.evaluate_every_epochs * self.steps_per_epoch))

    def epoch(self, step: int) -> float:
        """How many epochs so many steps are."""
        return step / self.steps_per_epoch

    def progress(self, step: int) -> float:
        """How far so many steps are, in [0, 1]."""
        return step / self.total

    def end_of_call(self, done: int) -> int:
        """Up to which step a call after so many steps may go on by itself: to the next one after which something is due."""
        ends = [self.end, done + self._config.steps_per_call, _next_multiple(done, self._config.log_every_steps)]
        if self._config.evaluation_split is not None:
            ends.append(_next_multiple(done, self._evaluate_every))
        if done < self.frozen:
            ends.append(self.frozen)
        return min(ends)

    def is_evaluation(self, done: int) -> bool:
        """Whether the model is evaluated after so many steps."""
        return self._config.evaluation_split is not None and (done % self._evaluate_every == 0 or done in (self.total, self.end))

    def is_log(self, done: int) -> bool:
        """Whether a row of metrics is written: by steps, not by the clock, so that a resumed training writes the same ones."""
        return done % self._config.log_every_steps == 0 or self.is_evaluation(done) or done in (self.total, self.end)


def _next_multiple(number: int, of: int) -> int:
    return (number // of + 1) * of
