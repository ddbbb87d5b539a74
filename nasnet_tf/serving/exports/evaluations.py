"""Finds the evaluation results of a network for the manifest of its export."""

import json
import pathlib
from collections.abc import Iterable

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import naming
from nasnet_tf.serving.exports import manifest
from nasnet_tf.serving.exports.describing import weights_hash
from nasnet_tf.training import work_folder
from nasnet_tf.training.metrics_log import read_metrics


def of_workdir(workdir: pathlib.Path, step: int, use_ema: bool) -> list[dict]:
    """Returns the results that `evaluate` and the training wrote for the weights of a step. `use_ema` is the flag --ema of `evaluate`."""
    rows = [work_folder.read_json(path) for path in sorted(workdir.glob("evaluation-*.json"))]
    rows = [row for row in rows if isinstance(row, dict) and row.get("step") == step and row.get("ema", True) == use_ema]
    if use_ema and (workdir / "metrics.jsonl").is_file():
        watched = [row for row in read_metrics(workdir) if row.get("kind") == "evaluation" and row.get("step") == step]
        rows += [{"split": "the one watched in training"} | {key: row[key] for key in row if key != "kind"} for row in watched[-1:]]
    return rows


def of_export(folder: pathlib.Path, model: keras.Model) -> list[dict]:
    """Returns the evaluations in the manifest of an export of these weights; none if the folder is no such export."""
    said = manifest.read(folder) or {}
    return said.get("evaluations", []) if said.get("weights_sha256") == weights_hash(model) else []


def of_files(paths: Iterable[str], model: keras.Model) -> list[dict]:
    """Returns the results that `evaluate --model=... --output=FILE` wrote for this network.

    Raises:
      InputError: a file is missing or of another kind, or its results are for other weights.
    """
    rows, found = [], weights_hash(model)
    for path in map(pathlib.Path, paths):
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected a file that evaluate --model=... --output=FILE wrote")
        row = work_folder.read_json(path)
        if not isinstance(row, dict) or "weights_sha256" not in row:
            raise InputError(f"{path}: expected a file with weights_sha256, as evaluate --model=... --output=FILE writes it")
        if row["weights_sha256"] != found:
            raise InputError(f"{path}: has results for other weights: expected weights_sha256 {found}, got {row['weights_sha256']}")
        rows.append(row)
    return rows


def write(path: pathlib.Path, model: keras.Model, row: dict) -> None:
    """Writes a file that `of_files` reads."""
    with naming(path):
        path.write_text(json.dumps({**row, "weights_sha256": weights_hash(model)}, indent=1))
