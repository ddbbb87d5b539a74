"""The report's sections about trainings, tunings and predictions."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import read_json_lines
from nasnet_tf.tuning.results import BEST_NAME, TUNED, best_trial, read_results, short, sort_trials
from nasnet_tf.viz.report import evaluation_details, page
from nasnet_tf.viz.report.statistics import kind_of
from nasnet_tf.viz.report.training_plots import curve_names, plot_curve, plot_tuned, plot_tuning

METRICS, PREDICTIONS, _DATA, _CONFIGS = "metrics.jsonl", "predictions.json", "data.json", ("config.gin", "operative_config.gin")
_EVALUATIONS = "evaluation-*.json"
CORRUPT = "corrupt_images.txt"  # the name in training/corruption.py, which is not imported because it imports TensorFlow
TRAINING_FILES = (METRICS, _EVALUATIONS, evaluation_details.FILES, "*.svg", CORRUPT, _DATA, *_CONFIGS)
_OF_DETECTORS = {"mean_average_precision": "mAP", "average_precision_50": "AP50"}
TUNING_FILES = (TUNED, "trials/*/config.gin", BEST_NAME)
PREDICTION_FILES = (PREDICTIONS,)


def read_training(folder: pathlib.Path) -> tuple[str, str]:
    """Returns the title and the section about the training in a work folder."""
    title = f"Training: {folder.resolve().name}"
    rows = read_json_lines(folder / METRICS, ("kind", "step", "epoch"))
    if not all(isinstance(row[name], (int, float)) for row in rows for name in ("step", "epoch")):
        raise InputError(f"{folder / METRICS}: damaged; expected numbers as step and epoch")
    # By their choice of a split and weights, such as "test" or "test-last".
    evaluations = {path.stem.removeprefix("evaluation-"): _evaluation(path) for path in sorted(folder.glob(_EVALUATIONS))}
    chance = _chance(folder / _DATA)
    parts = [page.heading(2, title), page.numbers(_training_numbers(folder, rows, evaluations, chance))]
    if evaluations:
        parts += [page.heading(3, "Evaluations"), _evaluations(list(evaluations.values()))]
    names = curve_names(rows)
    if names:
        curves = [(plot_curve(rows, name, chance if name == "accuracy" else None), name.replace("_", " ")) for name in names]
        parts += [page.heading(3, "Over time"), page.pictures([(figure, f"{name} over epochs") for figure, name in curves])]
    drawn = sorted(path for choice in evaluations for path in folder.glob(f"*-{choice}.svg"))
    parts.append(page.side_by_side([page.image(path.read_bytes(), path.stem.replace("-", " ")) for path in drawn]) if drawn else "")
    for choice in evaluations:
        if (folder / f"details-{choice}.json").is_file():
            parts.append(evaluation_details.read_details(folder / f"details-{choice}.json", choice))
    if (folder / CORRUPT).is_file():
        parts.append(
            page.fold(title, "Images that were left out because they cannot be decoded", page.settings((folder / CORRUPT).read_text()))
        )
    parts += [page.fold(title, name, page.settings((folder / name).read_text())) for name in _CONFIGS if (folder / name).is_file()]
    return title, "".join(parts)


def _training_numbers(folder: pathlib.Path, rows: Sequence[dict], evaluations: Mapping[str, dict], chance: float | None) -> dict[str, str]:
    """Returns the figures at the top; evaluations: {choice of split and weights: its row}."""
    numbers = {}
    for choice, row in evaluations.items():
        if "accuracy" in row:
            numbers[f"accuracy on {choice}, {row['examples']:,} examples"] = f"{row['accuracy']:.4f}"
        if "expected_calibration_error" in row:
            numbers[f"expected calibration error on {choice}"] = f"{row['expected_calibration_error']:.4f}"
    last = [(row["split"], row) for row in rows if row["kind"] == "evaluation"][-1:]
    for choice, row in (*last, *evaluations.items()):
        numbers |= {f"{text} on {choice}": f"{row[name]:.4f}" for name, text in _OF_DETECTORS.items() if name in row}
    watched = [row for row in rows if row["kind"] == "evaluation" and "accuracy" in row]
    if watched:
        best = max(watched, key=lambda row: row["accuracy"])
        numbers[f"last accuracy on {watched[-1]['split']}"] = f"{watched[-1]['accuracy']:.4f}"
        numbers[f"best of {len(watched)}, epoch {best['epoch']:.1f}"] = f"{best['accuracy']:.4f}"
    if chance is not None:
        numbers["chance level"] = f"{chance:.4g}"
    if rows:
        numbers |= {"epochs": f"{rows[-1]['epoch']:.1f}", "steps": f"{rows[-1]['step']:,}"}
    speeds = sorted(row["images_per_second"] for row in rows if "images_per_second" in row)
    if speeds:
        numbers["images per second, median"] = f"{speeds[len(speeds) // 2]:.3g}"
    if (folder / CORRUPT).is_file():
        numbers["images left out"] = f"{len((folder / CORRUPT).read_text().splitlines()):,}"
    return numbers


def _evaluations(rows: Sequence[dict]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    body = [[_cell(row.get(name)) for name in names] for row in rows]
    return page.table([name.replace("_", " ") for name in names], body)


def _cell(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(each)}" for name, each in value.items())
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def _chance(path: pathlib.Path) -> float | None:
    """Returns the accuracy of guessing among equally frequent classes; None if data.json does not describe a classification."""
    description = _json(path) if path.is_file() else {}
    names = description.get("class_names") if isinstance(description, dict) else None
    is_classification = isinstance(names, list) and names and description.get("task", "classification") == "classification"
    return 1 / len(names) if is_classification else None


def is_tuning(folder: pathlib.Path) -> bool:
    """Returns whether a tuning has begun trials in the folder."""
    return next(folder.glob("trials/*/config.gin"), None) is not None


def read_tuning(folder: pathlib.Path) -> tuple[str, str]:
    """Returns the title and the section about the tuning in a work folder."""
    title = f"Tuning: {folder.resolve().name}"
    trials, running = read_results(folder)
    best = best_trial(trials)
    failed = sum(trial.accuracy is None for trial in trials)
    numbers = {"trials ended": str(len(trials)), "failed": str(failed), "running or waiting": str(running)}
    if best is not None:
        numbers = {f"best validation accuracy, trial {best.number}": f"{best.accuracy:.4f}"} | numbers
    parts = [page.heading(2, title), page.numbers(numbers)]
    names = list(trials[0].changes) if trials else []
    if trials:
        ranking = sort_trials(trials)
        rows = [
            [str(trial.number), *(short(trial.changes[name]) for name in names), _cell(trial.accuracy), trial.reason or "finished"]
            for trial in ranking
        ]
        head, groups = ["trial", *names, "validation accuracy", "status"], _outcomes([trial.reason for trial in ranking])
        table = page.table(head, rows, text_columns=(len(names) + 2,), groups=groups)
        parts += [page.heading(3, "Trials, the best first"), table]
    finished = [trial for trial in trials if trial.accuracy is not None]
    if len(finished) > 1:
        captioned = [(plot_tuning([(trial.number, trial.accuracy) for trial in finished]), "Accuracy over trials")]
        for name in names:
            values = [_number(trial.changes[name]) for trial in finished]
            if None not in values and len(set(values)) > 1:
                figure = plot_tuned(name, values, [trial.accuracy for trial in finished])
                captioned.append((figure, f"Accuracy against {name}"))
        parts += [page.heading(3, "Tuned parameters"), page.pictures(captioned)]
    if (folder / BEST_NAME).is_file():
        parts.append(page.fold(title, f"{BEST_NAME}, the configuration of the best trial", page.settings((folder / BEST_NAME).read_text())))
    return title, "".join(parts)


def _outcomes(reasons: Sequence[str]) -> dict[str, list[int]]:
    """Returns {group: indices of its trials} for finished trials, failed trials and each kind of failure; finished ones have no reason."""
    groups: dict[str, list[int]] = {"finished": [], "failed": []}
    for place, reason in enumerate(reasons):
        groups["failed" if reason else "finished"].append(place)
        if reason:
            groups.setdefault(f"failed: {kind_of(reason)}", []).append(place)
    return groups


def _number(literal: str) -> float | None:
    try:
        return float(literal)
    except ValueError:
        return None


def read_predictions(folder: pathlib.Path) -> tuple[str, str]:
    """Returns the title and the section about the predictions in a folder."""
    title = f"Predictions: {folder.resolve().name}"
    rows = _prediction_rows(folder / PREDICTIONS)
    files = [pathlib.Path(row["file"]) for row in rows]
    shared = os.path.commonpath([file.parent for file in files]) if len({file.is_absolute() for file in files}) == 1 else ""
    classes = {top["class"] for row in rows for top in row.get("top", [])}
    cards = []
    for row, file in zip(rows, files, strict=True):
        # The folder of an image is its label if it is named like a class, as in training.
        label = file.parent.name if file.parent.name in classes else None
        top = row.get("top", [])
        lines = [f"{item['class']} {item['probability']:.1%}" for item in top]
        lines += [f"true class: {label}"] if label else []
        lines += [str(row["error"])] if "error" in row else []
        is_right = top[0]["class"] == label if label and top else None
        name = os.path.relpath(file, shared) if shared else str(file)
        cards.append(page.Card(str(row.get("image", "")), name, row["file"], lines, is_right))
    known = [card.is_right for card in cards if card.is_right is not None]
    right = page.paragraph(f"{sum(known)} of {len(known)} images whose class is known are classified correctly.") if known else ""
    return title, page.heading(2, title) + right + page.cards(cards)


def _prediction_rows(path: pathlib.Path) -> list[dict]:
    """Returns the rows that `predict` wrote, one for each image."""
    rows = read_json_lines(path)
    if not all(map(_is_prediction, rows)):
        raise InputError(f'{path}: damaged; expected lines such as {{"file": ..., "top": [{{"class": ..., "probability": ...}}]}}')
    return rows


def _is_prediction(row) -> bool:
    try:
        return isinstance(row["file"], str) and all(
            isinstance(top["class"], str) and 0 <= top["probability"] <= 1 for top in row.get("top", [])
        )
    except (TypeError, KeyError, AttributeError):
        return False


def _evaluation(path: pathlib.Path) -> dict:
    match _json(path):
        case {"split": str(), "accuracy": int() | float(), "examples": int()} as row:
            return row
        case {"split": str()} as row if "accuracy" not in row:  # from a detector
            return row
        case other:
            raise InputError(f"{path}: damaged; expected an object with split, accuracy, examples, got {other!r}")


def _json(path: pathlib.Path):
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: damaged; expected a JSON file ({error})") from error
