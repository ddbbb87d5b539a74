"""The figures that a network was evaluated with, for the manifest of its export."""

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
    """What `evaluate`, and the training itself, wrote down of the weights of a step; use_ema: of their averages, where it kept some."""
    rows = [work_folder.read_json(path) for path in sorted(workdir.glob("evaluation-*.json"))]
    rows = [row for row in rows if isinstance(row, dict) and row.get("step") == step and row.get("ema", True) == use_ema]
    if use_ema and (workdir / "metrics.jsonl").is_file():
        watched = [row for row in read_metrics(workdir) if row.get("kind") == "evaluation" and row.get("step") == step]
        rows += [{"split": "the one watched in training"} | {key: row[key] for key in row if key != "kind"} for row in watched[-1:]]
    return rows


def of_export(folder: pathlib.Path, model: keras.Model) -> list[dict]:
    """What the manifest of an export says of these weights; nothing where there is no export."""
    said = manifest.read(folder) or {}
    return said.get("evaluations", []) if said.get("weights_sha256") == weights_hash(model) else []


def of_files(paths: Iterable[str], model: keras.Model) -> list[dict]:
    """What `evaluate --model=... --output=FILE` wrote of this network.

    Raises:
      InputError: not such a file, or one of other weights.
    """
    rows, found = [], weights_hash(model)
    for path in map(pathlib.Path, paths):
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected what evaluate --model=... --output=FILE writes")
        row = work_folder.read_json(path)
        if not isinstance(row, dict) or "weights_sha256" not in row:
            raise InputError(f"{path}: expected what evaluate --model=... --output=FILE writes, with weights_sha256 in it")
        if row["weights_sha256"] != found:
            raise InputError(f"{path}: is of other weights than these: weights_sha256 {row['weights_sha256']}, found {found}")
        rows.append(row)
    return rows


def write(path: pathlib.Path, model: keras.Model, row: dict) -> None:
    """Writes a file that `of_files` reads."""
    with naming(path):
        path.write_text(json.dumps({**row, "weights_sha256": weights_hash(model)}, indent=1))
