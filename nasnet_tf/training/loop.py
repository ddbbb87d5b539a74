"""The training loop: setup, steps, and what is due between steps (paper appendices A.5 to A.7).

If a call is repeated with the same work folder, it resumes exactly from the last checkpoint: batches, augmentation, masks of drop path and
dropout, optimizer state and averages are the same as in an uninterrupted run.
"""

import contextlib
import dataclasses
import itertools
import math
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import TrainingDiverged, TrainingInterrupted
from nasnet_tf.base.files import check_local
from nasnet_tf.base.terminal import ProgressLine
from nasnet_tf.layers.stochastic import DropPath, stochastic_layers
from nasnet_tf.training import checkpoints, class_weights, distribution, numerics, profiling, work_folder
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.corruption import CorruptImages, naming_bad_data
from nasnet_tf.training.distribution import Agreement, make_synchronize
from nasnet_tf.training.interruption import Interruption
from nasnet_tf.training.losses import weight_decay_loss
from nasnet_tf.training.metrics_log import MetricsLog, Window
from nasnet_tf.training.optimizers import made
from nasnet_tf.training.patience import Patience
from nasnet_tf.training.schedules import Schedule
from nasnet_tf.training.state import TrainingState
from nasnet_tf.training.step import Freezing, TrainStep
from nasnet_tf.training.task import Data, Task
from nasnet_tf.training.timetable import Timetable

_SAMPLE_IMAGES = 16  # number of augmented images for TensorBoard
_REPORT_SECONDS = 2.0  # seconds between updates of the progress line


def train_and_evaluate(
    network: Callable[[int, int], keras.Model],
    data: Data,
    optimizer: Callable[[], keras.optimizers.Optimizer],
    learning_rate: Schedule,
    config: TrainingConfig,
    workdir: pathlib.Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    show_progress: bool = True,
    goes_on: Callable[[float, Any], bool] | None = None,
    task: Callable[[Data, TrainingConfig], Task] = Classification,
    profile_steps: tuple[int, int] | None = None,
    until_epochs: float | None = None,
) -> tuple[keras.Model, Any]:
    """Trains a network from its initial weights, or resumes from the last checkpoint.

    Args:
      network: function (num_classes, image_size) -> model, called in the scope of the strategy.
      optimizer: function () -> optimizer, also called in the scope; its learning rate is set at every step.
      workdir: work folder for checkpoints and metrics; None to save nothing.
      strategy: the strategy; None for TensorFlow's current one.
      goes_on: function (epochs trained, evaluation) that returns False to end the training after this evaluation; None to train to the end.
      task: function (data, config) -> task; see nasnet_tf.training.task.
      profile_steps: steps that the chief worker profiles into the work folder's logs; see nasnet_tf.training.profiling.
      until_epochs: number of epochs after which this call ends, with an evaluation and a checkpoint. The same call with a larger number
        resumes there exactly. None for the whole training.

    Returns:
      The model with its last weights (averaged, if averages are kept), and its evaluation, if any, as the task's evaluator returns it.

    Raises:
      InputError: the dtype policy cannot be used for training, the data cannot be read, the steps to profile do not exist, the work folder
        belongs to another training, or the workers use different work folders.
      FolderInUse: another process trains in the work folder.
      TrainingDiverged: the loss or a weight became NaN or infinite. The last checkpoint has the weights before that.
      WorkerLost: another worker's process has ended.
      TrainingInterrupted: SIGTERM arrived. The last checkpoint has everything up to the step that was under way.
      KeyboardInterrupt: the user pressed Ctrl-C. The last checkpoint is the same as after SIGTERM.
    """
    numerics.check()
    if workdir is not None:
        check_local(workdir)
    made_task = task(data, config)
    data = made_task.adapted(data)
    config = class_weights.resolved(config, data)
    if config.evaluation_split is not None:
        data.num_examples(config.evaluation_split)  # reports an unknown split now instead of after an epoch
    config.check_batch_size(data.num_train_examples)
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(config.seed)
    with distribution.watching_workers(strategy), contextlib.ExitStack() as claims:
        training = _Training(
            network, data, optimizer, learning_rate, config, workdir, strategy, made_task, profile_steps, until_epochs, claims
        )
        with contextlib.closing(training):
            training.run(show_progress, goes_on)
            return training.finish()


class _Training:
    """One training. Its methods are in the order of time: setup, steps, what is due between steps, the end."""

    def __init__(self, network, data, optimizer, learning_rate, config, workdir, strategy, task, profile_steps, until_epochs, claims):
        self._data, self._schedule, self._config, self._strategy, self._task = data, learning_rate, config, strategy, task
        self._times = Timetable(config, data.num_train_examples, until_epochs)
        if profile_steps is not None:
            profiling.check(profile_steps, self._times.total)
        self._window, self._patience = Window([*task.names, "requests"]), Patience(config.patience)
        self._agreement = Agreement(strategy)
        self._is_chief = distribution.is_chief()
        self._saved = self._log = self._evaluation = None
        self._profile = profiling.StepProfile(profile_steps if self._is_chief else None, workdir and workdir / "logs")
        self._start = 0
        with strategy.scope():
            self._model = network(data.num_classes, data.image_size)
            self._state = TrainingState.fresh(self._model, made(optimizer), config.ema_decay)
            if workdir is not None:
                self._open(workdir, claims)
        self._synchronize = make_synchronize(self._state.local, strategy)
        self._evaluator = task.evaluator(self._model, strategy)
        self._corrupt_images = CorruptImages(data, config.max_corrupt_images, workdir, self._is_chief)

    def _open(self, workdir: pathlib.Path, claims: contextlib.ExitStack) -> None:
        """Describes the training in its work folder, or resumes the training that is there."""
        if self._is_chief:
            claims.enter_context(work_folders.sole_writer(workdir / "checkpoints"))
            work_folder.describe(workdir, self._model, self._task.kind, self._data, self._config)
        self._saved = checkpoints.Checkpoints(workdir, self._state, self._window.sums, self._patience)
        self._start = self._saved.restore()
        self._window.sums = self._saved.window.numpy()
        distribution.check_same_start(self._strategy, self._start)
        self._log = MetricsLog(workdir, self._start) if self._is_chief else None

    def run(self, show_progress: bool, goes_on: Callable[[float, Any], bool] | None) -> None:
        """Takes the remaining steps, unless `goes_on`, patience or SIGTERM ends the training earlier."""
        done, times = self._start, self._times
        self._line = ProgressLine("training", times.total, "steps", done, enabled=show_progress and self._is_chief)
        with naming_bad_data(self._data, "train"), Interruption() as interruption, Freezing(self._model, times.frozen) as freezing:
            batches = self._batches()
            self._reported = self._measured = self._saved_at = time.monotonic()
            while done < times.end and not self._patience.is_over:
                if done in (self._start, times.frozen):
                    freezing.set(done)
                    take_steps = TrainStep(self._state, self._task, self._config, self._strategy)
                steps = range(done, times.end_of_call(done))
                rates, progress = ([at(step) for step in steps] for at in (self._rate, times.progress))
                request = self._agreement.request(interruption.requested, self._is_save_due())
                with self._profile.of(steps):
                    results = take_steps(batches, done, rates, progress, request)
                self._window.add(results, len(steps))
                done = steps.stop
                self._profile.after(done, results)
                self._between_steps(done, *self._agreement.reach(interruption.requested, self._is_save_due(), results))
                if times.is_evaluation(done) and goes_on and not goes_on(times.epoch(done), self._evaluation):
                    break
        if self._patience.is_over and done < times.end and self._is_chief:
            print(f"training {self._patience}", file=sys.stderr, flush=True)

    def _batches(self) -> Iterator:
        """Returns the batches from the first step to take, and logs a few augmented images of the first batch to TensorBoard."""
        config, start = self._config, self._start

        def make(shard):
            return self._data.train(config.batch_size, config.seed, start, shard)

        batches = iter(distribution.distribute(self._strategy, config.batch_size, make))
        if not self._log or start >= self._times.end or self._patience.is_over:
            return batches
        if config.steps_per_call > 1:  # the graph takes batches from the iterator, which must stay TensorFlow's own
            self._log_samples(next(iter(make((0, distribution.num_workers(self._strategy))))))
            return batches
        first = next(batches)
        self._log_samples(tf.nest.map_structure(lambda values: self._strategy.experimental_local_results(values)[0], first))
        return itertools.chain([first], batches)

    def _log_samples(self, batch: Any) -> None:
        for name, images in self._task.samples(batch).items():
            self._log.write_images("train", name, images[:_SAMPLE_IMAGES], self._start)

    def _rate(self, step: int) -> float:
        return self._schedule(self._times.epoch(step), self._config.epochs, self._config.batch_size)

    def _is_save_due(self) -> bool:
        is_old = time.monotonic() - self._saved_at > self._config.checkpoint_every_seconds
        return self._saved is not None and is_old

    def _between_steps(self, done: int, is_stop: bool, is_save_due: bool) -> None:
        """Does what is due after `done` steps: reads metrics, writes a row, evaluates, saves a checkpoint, stops."""
        is_evaluation, is_log, is_end = self._times.is_evaluation(done), self._times.is_log(done), done == self._times.end
        is_save = self._saved is not None and (is_evaluation or is_stop or is_end or is_save_due)
        is_report = done == self._start + 1 or time.monotonic() - self._reported > _REPORT_SECONDS
        if not (is_log or is_save or is_stop or is_report):
            return
        self._report(done, is_log)
        if is_evaluation or is_save:
            self._synchronize()
            self._check_weights(done)
        if is_evaluation:
            self._evaluate(done)
        if is_save and self._is_chief:
            self._saved.save(done, self._window.sums, self._task.score(self._evaluation) if is_evaluation else None)
        if is_evaluation or is_save:
            self._measured = self._saved_at = time.monotonic()
        if is_stop and not is_end:
            self._wait_for_all()
            raise TrainingInterrupted(f"stopped as requested at step {done} of {self._times.total}; repeat the command to resume")

    def _wait_for_all(self) -> None:
        """Waits until the last checkpoint is on disk and all workers are here. A chief that ended earlier would look lost to them."""
        if self._saved:
            self._saved.wait()
        distribution.wait_for_all(self._strategy)

    def _report(self, done: int, is_log: bool) -> None:
        """Reads the metrics of the new steps, updates the progress line, and writes a row of metrics if one is due."""
        self._reported = time.monotonic()
        num_new = self._window.unread
        for step, values in enumerate(self._window.read(), start=done - num_new):
            if not math.isfinite(values["loss"]):
                raise self._diverged(f"the loss is {values['loss']}", step)
            if values.get("corrupt"):
                self._corrupt_images.note(self._config.batch_size, self._config.seed, step)
        means = self._window.means()
        shown = {name: means[name] for name in self._task.shown} | {
            "learning_rate": self._rate(done - 1),
            "images_per_second": num_new * self._config.batch_size / (self._reported - self._measured),
        }
        self._measured = self._reported
        self._line.update(done, epoch=self._times.epoch(done), **shown)
        if is_log:
            if self._log:
                self._log.write("train", done, self._times.epoch(done), **shown, **self._unshown(means, done - 1))
            self._window.clear()

    def _unshown(self, means: dict[str, float], step: int) -> dict[str, float]:
        """Returns the values that are logged but not shown in the progress line."""
        values = {name: means[name] for name in self._task.names if name not in (*self._task.shown, "corrupt") and means[name]}
        rates = [layer.rate for layer in stochastic_layers(self._model) if isinstance(layer, DropPath)]
        if rates:
            values["drop_path_rate"] = max(rates) * (step / self._times.total if self._config.schedule_drop_path else 1.0)
        if self._config.weight_decay:
            values["regularization"] = float(self._config.weight_decay * weight_decay_loss(self._model.trainable_variables))
        return values

    def _check_weights(self, done: int) -> None:
        """Raises TrainingDiverged if a weight is NaN or infinite. The loss of a step does not show this: it is from before the update."""
        if not all(np.isfinite(weight.numpy()).all() for weight in self._model.weights):
            raise self._diverged("a weight is NaN or infinite", done - 1)

    def _diverged(self, what: str, step: int) -> TrainingDiverged:
        epoch = self._times.epoch(step)
        return TrainingDiverged(f"{what} at step {step + 1} (epoch {epoch:.2f}), learning rate {self._rate(step):.4g}")

    def _measure(self) -> Any:
        batch_size = self._config.evaluation_batch_size(self._strategy.num_replicas_in_sync)
        return self._evaluator.on_split(self._data, self._config.evaluation_split, batch_size)

    def _measure_averages(self) -> Any:
        with self._state.average.in_place() if self._state.average else contextlib.nullcontext():
            return self._measure()

    def _evaluate(self, done: int) -> None:
        """Evaluates the model and logs the result."""
        self._evaluation = self._measure_averages()
        self._patience.note(self._task.score(self._evaluation), done)
        values = dataclasses.asdict(self._evaluation) | {"weights": "ema" if self._state.average else "raw"}
        images = dict(self._evaluator.images)
        if self._state.average:
            raw = dataclasses.asdict(self._measure())
            values |= {f"raw_{name}": value for name, value in raw.items() if name != "examples"}
        if self._patience.is_over and done < self._times.end:
            values["stopped"] = str(self._patience)
        if self._log:
            self._log.write("evaluation", done, self._times.epoch(done), split=self._config.evaluation_split, **values)
            for name, pictures in images.items():
                self._log.write_images("evaluation", name, pictures, done)

    def finish(self) -> tuple[keras.Model, Any]:
        """Returns the trained model and its evaluation. Evaluates now if no step was left to take."""
        self._synchronize()
        if self._evaluation is None and self._config.evaluation_split is not None:
            self._evaluation = self._measure_averages()
        self._wait_for_all()
        if self._state.average:
            self._state.average.copy_to(self._model)
        return self._model, self._evaluation

    def close(self) -> None:
        """Finishes writing and closes all files, also after an error."""
        with contextlib.ExitStack() as stack:  # an error in one of them, such as a full disk, does not keep the others open
            for each in (self._saved, self._log, self._profile):
                if each:
                    stack.callback(each.close)
