"""Tests of the command evaluate with --model: its files, and networks whose answers are NaN."""

import json
import pathlib

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.serving.hub import load
from nasnet_tf.testing import REPOSITORY, run_door

ARGUMENTS = (f"--model={REPOSITORY / 'testdata' / 'digits_network'}", "--data=digits", "--output=mine.v2.json")


def test_pictures_and_details_are_written_beside_the_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_door("evaluate", *ARGUMENTS)
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("details: mine.v2-details.json")
    assert "expected calibration error 0.0" in out
    assert {path.name for path in tmp_path.iterdir()} == {
        "mine.v2.json",
        *(f"mine.v2-{name}" for name in ("details.json", "confusion.svg", "reliability.svg", "mistakes.svg")),
    }
    row, details = (json.loads(pathlib.Path(name).read_text()) for name in ("mine.v2.json", "mine.v2-details.json"))
    assert row["expected_calibration_error"] == details["calibration"]["expected_calibration_error"]
    assert "details" not in row
    recalls = [each["recall"] * each["examples"] for each in details["by_class"]]
    assert sum(recalls) / row["examples"] == pytest.approx(row["accuracy"])
    assert all(f"{each['f1']:.4f}" in out for each in details["by_class"])


def test_answers_of_nan_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_named = load.load_named

    def with_nan(*arguments):
        model, description = load_named(*arguments)
        model.get_layer("logits").set_weights([np.full(weight.shape, np.nan) for weight in model.get_layer("logits").weights])
        return model, description

    monkeypatch.setattr(load, "load_named", with_nan)
    with pytest.raises(InputError, match="digits_network: expected finite answers of the network, got a loss of nan"):
        run_door("evaluate", *ARGUMENTS)
    assert list(tmp_path.iterdir()) == []
