"""The tuning loop: asks an oracle of KerasTuner for values, trains with them, and reports the accuracy, until the oracle stops.

The state of an oracle depends only on its arguments and on the accuracies that it got. To resume a tuning, the loop therefore starts again
with a new oracle, and takes the accuracy of each trial that has ended from its folder. KerasTuner's own reload from its JSON files is not
reliable enough: the files are not written atomically, and they lack the queue of grid search and the random state of Bayesian optimization.
A trial that ends between two writes runs twice or never.
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
    """Creates the oracle of a tuning, without writing any file.

    Args:
      bindings: {name: literal}, the configuration of a training.
      ranges: {name: range} of the bindings to tune; see make_hyperparameters.
      oracle: function that returns the oracle, given objective, hyperparameters, seed and max_consecutive_failed_trials. Hyperband sets
        TrainingConfig.epochs. A trial that it promotes is trained from scratch, because a learning rate schedule that has ended cannot be
        extended.
      seed: seed of the oracle, 1 or more.

    Raises:
      InputError: the ranges or the arguments of the oracle have a mistake.
    """
    hyperparameters = make_hyperparameters(ranges, bindings)
    expect(conforms(seed, Count), "tune.seed", "an integer of 1 or more (KerasTuner takes 0 for a random one)", seed)
    if bindings.get(_SPLIT, "'validation'") != "'validation'":
        raise InputError(f"{_SPLIT}: expected 'validation', the examples to tune on, got {bindings[_SPLIT]}")
    try:
        made = oracle(
            objective=keras_tuner.Objective("accuracy", "max"),
            hyperparameters=hyperparameters,
            seed=seed,
            max_consecutive_failed_trials=None,  # no limit: the first learning rates of a range may all diverge
        )
    except (ImportError, TypeError, ValueError) as error:  # from KerasTuner: an argument is out of range, or scikit-learn is not installed
        raise InputError(f"tune.oracle: {str(error).splitlines()[0]}") from error
    expect(conforms(made.max_trials, Count | None), "tune.oracle", "max_trials of 1 or more, or None", made.max_trials)
    if EPOCHS in ranges and isinstance(made, keras_tuner.oracles.HyperbandOracle):
        raise InputError(f"tune.hyperparameters, {EPOCHS}: cannot be tuned by an oracle that sets the epochs itself")
    made.verbose = 0
    return made


def tune(
    workdir: pathlib.Path,
    bindings: Mapping[str, str],
    ranges: Mapping[str, tuple],
    oracle: "keras_tuner.Oracle",
    train: Callable[[pathlib.Path, dict[str, str]], float],
    default: Callable[[str], str | None] = lambda name: "None",
    may_change: tuple[str, ...] = (),
) -> list[Trial]:
    """Runs trials until the oracle stops.

    Args:
      workdir: work folder of this tuning. It gets results.md, best.gin, a folder trials/<number> for each trial, and KerasTuner's files.
      bindings, ranges: see make_oracle.
      oracle: the oracle from make_oracle.
      train: function (folder, bindings) that trains and returns the accuracy on the validation examples. It resumes an interrupted training
        in that folder.
      default: function that returns the default value of a binding, for trials whose configuration does not have it.
      may_change: patterns of bindings that may differ when the tuning is resumed, unless they are tuned; see Identity.

    Returns:
      All trials, in order.

    Raises:
      InputError: the bindings of a trial have a mistake, or the result of a trial is damaged.
    """
    check_local(workdir)
    ended, _ = read_results(workdir)  # raises for a damaged result before anything is written
    # A keras_tuner.Tuner would set the folder, but would also reload the oracle's state from it.
    oracle._set_project_dir(str(workdir), "keras_tuner")
    if ended:
        print(f"resuming: {len(ended)} trials have ended")
    trials: list[Trial] = []
    # The status IDLE ends the loop too: the oracle waits for other trials, but none are running.
    while (proposal := oracle.create_trial("tuner")).status == "RUNNING":
        changes = _changes(proposal.hyperparameters.values, ranges)
        identity = Identity(bindings | changes, may_change, default).keeping(changes)
        trial = _run(workdir, Trial(len(trials), changes, bindings | changes), train, identity)
        if trial.accuracy is None:
            proposal.status, proposal.message = "FAILED", trial.reason
        else:
            oracle.update_trial(proposal.trial_id, {"accuracy": trial.accuracy})
            proposal.status = "COMPLETED"
        oracle.end_trial(proposal)
        trials.append(trial)
        write_results(workdir, trials)
    if not trials:
        raise InputError("tune.oracle: stopped before its first trial; expected at least one")
    return trials


def _changes(values: dict, ranges: Mapping[str, tuple]) -> dict[str, str]:
    changes = {name: as_literal(values[name]) for name in ranges}
    if "tuner/epochs" in values:
        changes[EPOCHS] = as_literal(values["tuner/epochs"])
    return changes


def _run(workdir: pathlib.Path, trial: Trial, train: Callable[[pathlib.Path, dict[str, str]], float], identity: Identity) -> Trial:
    """Returns the trial with its result. A trial that has ended is read from its folder; any other is trained."""
    folder = workdir / "trials" / f"{trial.number:04d}"
    result = folder / _RESULT
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, identity)
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
                f"{path}: differs from what this tuning proposes ({difference}): it was written by another version or on a machine with "
                "other floating-point results; resume it there, or use another work folder"
            )
    replace_file(path, format_config(identity.values))
