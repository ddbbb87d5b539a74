"""The tuning loop: ask an oracle of KerasTuner for values, train with them, tell it the accuracy, until it has no more.

An oracle's state is a pure function of its arguments and of what it was told. So a tuning that was killed is continued by running the loop
again from its start, where trials that ended answer from the result in their folder. KerasTuner's own way back, reading its JSON files,
is not taken: they are not written as a whole, grid search loses its queue and Bayesian optimization its random state, and a trial
that ended between two of the writes runs twice or never.
"""

import json
import pathlib
from collections.abc import Callable, Mapping

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError, TrainingDiverged, reason
from nasnet_tf.base.extras import OnDemand
from nasnet_tf.base.files import check_local, replace_file
from nasnet_tf.base.identity import Identity, read_bindings
from nasnet_tf.base.values import Count, conforms, expect
from nasnet_tf.tuning.hyperparameters import as_literal, make_hyperparameters
from nasnet_tf.tuning.results import Trial, format_config, read_results, read_trial, write_results

keras_tuner = OnDemand("keras_tuner")

EPOCHS = "TrainingConfig.epochs"
_RESULT = "result.json"
_SPLIT = "TrainingConfig.evaluation_split"


def make_oracle(
    bindings: Mapping[str, str], ranges: Mapping[str, tuple], oracle: Callable[..., "keras_tuner.Oracle"], seed: int
) -> "keras_tuner.Oracle":
    """The oracle of a tuning. Writes nothing.

    Args:
      bindings: {name: literal}, the configuration of a training.
      ranges: what of it to tune, as make_hyperparameters takes it.
      oracle: makes one, given objective, hyperparameters, seed and max_consecutive_failed_trials. Hyperband's epochs become
        TrainingConfig.epochs; a trial that it promotes starts afresh, since a schedule of learning rates has no good continuation.
      seed: of the oracle, 1 or more.

    Raises:
      InputError: a mistake in the ranges or the oracle's arguments.
    """
    hyperparameters = make_hyperparameters(ranges, bindings)
    expect(conforms(seed, Count), "tune.seed", "an integer of 1 or more (KerasTuner takes 0 for a random one)", seed)
    if bindings.get(_SPLIT, "'validation'") != "'validation'":
        raise InputError(f"{_SPLIT}: expected 'validation', the examples to tune on, got {bindings[_SPLIT]}")
    try:
        asked = oracle(
            objective=keras_tuner.Objective("accuracy", "max"),
            hyperparameters=hyperparameters,
            seed=seed,
            max_consecutive_failed_trials=None,  # a range may well begin with learning rates that diverge
        )
    except (ImportError, TypeError, ValueError) as error:  # KerasTuner's: an argument out of range, scikit-learn not installed
        raise InputError(f"tune.oracle: {str(error).splitlines()[0]}") from error
    expect(conforms(asked.max_trials, Count | None), "tune.oracle", "max_trials of 1 or more, or None", asked.max_trials)
    if EPOCHS in ranges and isinstance(asked, keras_tuner.oracles.HyperbandOracle):
        raise InputError(f"tune.hyperparameters, {EPOCHS}: cannot be tuned by an oracle that sets the epochs itself")
    asked.verbose = 0
    return asked


def tune(
    workdir: pathlib.Path,
    bindings: Mapping[str, str],
    ranges: Mapping[str, tuple],
    asked: "keras_tuner.Oracle",
    train: Callable[[pathlib.Path, dict[str, str]], float],
    default: Callable[[str], str | None] = lambda name: "None",
) -> list[Trial]:
    """Tunes until the oracle stops.

    Args:
      workdir: of this tuning alone; gets results.md, best.gin, a folder trials/<number> for each trial, and what KerasTuner writes.
      bindings, ranges: as for make_oracle.
      asked: the oracle that it made.
      train: (folder, bindings) -> accuracy on the validation examples; continues what was interrupted in that folder.
      default: name of a binding -> the value it has in trials that do not have it.

    Returns:
      All trials, in their order.

    Raises:
      InputError: a mistake in the bindings that a trial found, or a result there that is damaged.
    """
    check_local(workdir)
    ended, _ = read_results(workdir)  # a damaged one is told before anything is written
    # Else set by a keras_tuner.Tuner, which would read the state back.
    asked._set_project_dir(str(workdir), "keras_tuner")
    if ended:
        print(f"continuing: {len(ended)} trials have ended")
    trials: list[Trial] = []
    # Idle, too, is an end: the oracle waits for other trials, and none are running.
    while (proposal := asked.create_trial("tuner")).status == "RUNNING":
        changes = _changes(proposal.hyperparameters.values, ranges)
        trial = _run(workdir, Trial(len(trials), changes, bindings | changes), train, default)
        if trial.accuracy is None:
            proposal.status, proposal.message = "FAILED", trial.reason
        else:
            asked.update_trial(proposal.trial_id, {"accuracy": trial.accuracy})
            proposal.status = "COMPLETED"
        asked.end_trial(proposal)
        trials.append(trial)
        write_results(workdir, trials)
    if not trials:
        raise InputError("tune.oracle: stopped before it proposed anything")
    return trials


def _changes(values: dict, ranges: Mapping[str, tuple]) -> dict[str, str]:
    changes = {name: as_literal(values[name]) for name in ranges}
    if "tuner/epochs" in values:
        changes[EPOCHS] = as_literal(values["tuner/epochs"])
    return changes


def _run(workdir: pathlib.Path, trial: Trial, train: Callable[[pathlib.Path, dict[str, str]], float], default: Callable) -> Trial:
    """The trial with its result: the one in its folder or, where there is none yet, that of training."""
    folder = workdir / "trials" / f"{trial.number:04d}"
    result = folder / _RESULT
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, Identity(trial.bindings, default=default))
    if not result.is_file():
        print(f"trial {trial.number}: {', '.join(f'{name} = {literal}' for name, literal in trial.changes.items())}", flush=True)
        try:
            outcome = {"accuracy": train(folder, trial.bindings)}
            print(f"trial {trial.number}: accuracy {outcome['accuracy']:.4f}", flush=True)
        except TrainingDiverged as error:
            outcome = {"reason": reason(error)}
            print(f"trial {trial.number}: failed: {outcome['reason']}", flush=True)
        replace_file(result, json.dumps(outcome))
    return read_trial(result, trial.number, trial.changes, trial.bindings)


def _claim(folder: pathlib.Path, identity: Identity) -> None:
    path = folder / "config.gin"
    if path.is_file() and ((folder / _RESULT).is_file() or work_folders.has_saved(folder)):
        difference = identity.difference(read_bindings(path))
        if difference:
            raise InputError(
                f"{path}: is not what this tuning proposes ({difference}): it was written by another version or on a machine with other "
                "arithmetic; continue there, or use another work folder"
            )
    replace_file(path, format_config(identity.values))
