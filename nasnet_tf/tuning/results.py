"""The results of a tuning: its trials, a table of them, and the best configuration."""

import dataclasses
import json
import pathlib

from nasnet_tf.base import identity
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file

TABLE_NAME = "results.md"
BEST_NAME = "best.gin"
TUNED = "trials/*/result.json"


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial of a tuning.

    Attributes:
      number: number of the trial, from 0.
      changes: {name of a binding: literal}, the values of the tuned bindings.
      bindings: {name: literal}, the whole configuration of the trial.
      accuracy: accuracy on the validation examples, in [0, 1]; None if the trial failed.
      reason: why the trial failed; empty if it did not fail.
    """

    number: int
    changes: dict[str, str]
    bindings: dict[str, str]
    accuracy: float | None = None
    reason: str = ""


def best_trial(trials: list[Trial]) -> Trial | None:
    """Returns the trial with the highest accuracy, the first one if several have it; None if all failed."""
    finished = [trial for trial in trials if trial.accuracy is not None]
    return max(finished, key=lambda trial: (trial.accuracy, -trial.number), default=None)


def sort_trials(trials: list[Trial]) -> list[Trial]:
    """Returns the trials sorted by accuracy, best first and failed ones last."""
    return sorted(trials, key=lambda trial: (trial.accuracy is None, -(trial.accuracy or 0.0), trial.number))


def format_table(trials: list[Trial]) -> str:
    """Returns a Markdown table of the trials, best first and failed ones last: number, tuned bindings, accuracy, status."""
    names = list(trials[0].changes)
    rows = [["trial", *names, "accuracy", "status"]]
    for trial in sort_trials(trials):
        accuracy, status = ("", f"failed: {trial.reason}") if trial.accuracy is None else (f"{trial.accuracy:.4f}", "finished")
        rows.append([str(trial.number), *(short(trial.changes[name]) for name in names), accuracy, status.replace("|", "\\|")])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |\n" for row in rows)


def short(literal: str) -> str:
    """Returns a number rounded to four digits, and any other literal unchanged, escaped for a Markdown table."""
    try:
        return f"{float(literal):.4g}"
    except ValueError:
        return literal.replace("|", "\\|")


def format_config(bindings: dict[str, str]) -> str:
    """Returns bindings as the text of a gin file."""
    return "".join(f"{name} = {literal}\n" for name, literal in bindings.items())


def write_results(workdir: pathlib.Path, trials: list[Trial]) -> None:
    """Writes results.md and, if a trial succeeded, best.gin, a recipe for the command `train`."""
    replace_file(workdir / TABLE_NAME, format_table(trials))
    best = best_trial(trials)
    if best is not None:
        comment = f"# Trial {best.number} of {len(trials)}: accuracy {best.accuracy:.4f} on the validation examples.\n"
        replace_file(workdir / BEST_NAME, comment + format_config(best.bindings))


def read_trial(result: pathlib.Path, number: int, changes: dict[str, str], bindings: dict[str, str]) -> Trial:
    """Returns a trial with the accuracy or the failure that its result file holds; raises InputError if the file is damaged."""
    try:
        match json.loads(result.read_bytes()):
            case {"accuracy": int() | float() as accuracy, **rest} if not rest:
                return Trial(number, changes, bindings, accuracy=accuracy)
            case {"reason": str() as reason, **rest} if not rest:
                return Trial(number, changes, bindings, reason=reason)
            case other:
                came = repr(other)
    except ValueError as error:
        came = str(error)
    raise InputError(f'{result}: damaged; expected {{"accuracy": number}} or {{"reason": text}}, got {came}')


def read_results(workdir: pathlib.Path) -> tuple[list[Trial], int]:
    """Returns the ended trials of a work folder, and the number of trials that have not ended.

    The `changes` of the trials are the bindings in which they differ.

    Raises:
      InputError: a result or a configuration is damaged.
    """
    ended, running = [], 0
    configs = [config for config in workdir.glob("trials/*/config.gin") if config.parent.name.isdecimal()]  # not copies such as 0001-old
    for config in sorted(configs, key=lambda config: int(config.parent.name)):
        result = config.with_name("result.json")
        if not result.is_file():
            running += 1
            continue
        ended.append(read_trial(result, int(config.parent.name), {}, identity.read_bindings(config)))
    names = [name for name in (ended[0].bindings if ended else []) if len({trial.bindings.get(name) for trial in ended}) > 1]
    return [dataclasses.replace(trial, changes={name: trial.bindings.get(name, "") for name in names}) for trial in ended], running
