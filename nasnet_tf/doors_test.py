"""Tests of the commands as a person uses them: in other processes, with exit codes and errors of one line."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf import predict
from nasnet_tf.base.errors import InputError
from nasnet_tf.models.costs import count_costs
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.weights.convert import save_weights
from nasnet_tf.serving.weights.names import slim_names
from nasnet_tf.testing import REPOSITORY, fork_door, run_door

TINY = [
    "NetworkConfig.cells_per_stack=1",
    "NetworkConfig.filters=4",
    "TrainingConfig.epochs=1",
    "TrainingConfig.evaluate_every_epochs=1",
    "ImageData.train_split='train[:160]'",
    "ImageData.validation_examples=32",
]


def door(name, *arguments, cwd=None):
    """Runs a command in a new process, with its imports. Tests that do not need this use fork_door or run_door, which save seconds."""
    command = [sys.executable, "-m", f"nasnet_tf.{name}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


def params(*bindings):
    return [f"--gin_param={binding}" for binding in bindings]


def check_refused(result, *words):
    """Checks that a command failed with exit code 1 and one error line that contains these words, without a traceback."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0], errors[0]


def test_commands_use_what_the_commands_before_them_wrote(tmp_path, monkeypatch, capsys):
    """Runs search, train, evaluate, export, predict and report from a folder outside the repository."""
    monkeypatch.chdir(tmp_path)
    space = ["SearchSpace.num_blocks=1", "search.num_trials=2", "LocalPool.num_workers=1"]
    command = ("search", "--gin_file=quickstart_search.gin", "--workdir=search", *params(*TINY, *space))
    result = fork_door(*command, "--dry_run", cwd=tmp_path)
    assert "at most 2 architectures, scored by SpaceChildren" in result.stdout
    assert not (tmp_path / "search").exists()
    result = door(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 trials, 2 rewarded" in result.stdout
    remarks = [line for line in result.stderr.splitlines() if not line.startswith(("search: ", "training: "))]
    assert remarks == []  # TensorFlow, which the children load again, prints no remarks
    bindings = [*TINY, "train.genotype='search/best.textproto'"]
    train = ("train", "--gin_file=quickstart_train.gin", "--workdir=train", *params(*bindings))
    result = door(*train, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    check_refused(fork_door(*train, "--gin_param=TrainingConfig.seed=7", cwd=tmp_path), "TrainingConfig.seed was not bound, is 7")
    run_door("evaluate", "--workdir=train", "--split=test", "--batch_size=100000000000")  # the last batch is not padded to this size
    evaluation = json.loads((tmp_path / "train" / "evaluation-test.json").read_text())
    assert evaluation["examples"] == 360
    out = capsys.readouterr().out
    assert f"accuracy {evaluation['accuracy']:.4f}" in out
    assert f"expected calibration error {evaluation['expected_calibration_error']:.4f}" in out
    details = json.loads((tmp_path / "train" / "details-test.json").read_text())
    assert sum(row["examples"] for row in details["by_class"]) == 360
    assert details["mistakes"][0]["name"].startswith("test example ")
    for name in ("confusion", "reliability", "mistakes"):
        assert (tmp_path / "train" / f"{name}-test.svg").read_text().startswith("<?xml")
    run_door("export", "--workdir=train", "--output=export")
    digits = sorted((REPOSITORY / "testdata" / "digits").glob("*.png"))[:3]
    capsys.readouterr()
    is_eager, answer = [], predict._predict
    monkeypatch.setattr(predict, "_predict", lambda *arguments: is_eager.append(tf.config.functions_run_eagerly()) or answer(*arguments))
    run_door("predict", *digits, "--model=export", "--top=2", "--output=predictions.json")
    assert len(capsys.readouterr().out.splitlines()) == 3
    rows = [json.loads(line) for line in (tmp_path / "predictions.json").read_text().splitlines()]
    assert [(row["file"], len(row["top"]), "image" in row) for row in rows] == [(str(digit), 2, False) for digit in digits]
    # Several batches run in a graph and give the same answers as one batch, which runs op by op.
    run_door("predict", *digits, "--model=export", "--top=2", "--output=again.json", "--batch_size=2")
    again = [json.loads(line) for line in (tmp_path / "again.json").read_text().splitlines()]
    for row, other in zip(rows, again, strict=True):
        assert [each["class"] for each in row["top"]] == [each["class"] for each in other["top"]]
        np.testing.assert_allclose([each["probability"] for each in row["top"]], [each["probability"] for each in other["top"]], atol=2e-6)
    assert is_eager == [True, False]
    assert not tf.config.functions_run_eagerly()
    bad = tmp_path / "bad.png"
    bad.write_bytes(digits[0].read_bytes()[:40])
    # Predict also takes folders, patterns and a work folder. A bad file does not stop the answers for the good files.
    (tmp_path / "more").mkdir()
    shutil.copy(digits[1], tmp_path / "more" / "a.PNG")
    result = fork_door("predict", "bad.png", "more", f"{digits[0].parent}/digit_[01].png", "--model=train", "--batch_size=2", cwd=tmp_path)
    check_refused(result, "1 of 4 files cannot be decoded as images: bad.png")
    assert [line.split(":")[0].rsplit("/", 1)[-1] for line in result.stdout.splitlines()] == ["a.PNG", "digit_0.png", "digit_1.png"]
    run_door("report", "--workdir=.")
    assert "digit_0.png" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gin_file=nowhere.gin"], ["nowhere.gin: no such file", "imagenet_large.gin"]),
        ([], ["--gin_file is missing"]),
        (["--gin_file=quickstart_train.gin", "--gin_param=TrainingConfig.epoch=3"], ["epoch", "TrainingConfig"]),
        (["--gin_file=quickstart_train.gin", "--gin_param=ImageData.source='digitz'"], ["unknown data set 'digitz'", "digits"]),
        (["--gin_file=quickstart_train.gin", "--gin_param=train.genotype='nasnet_d'"], ["genotype 'nasnet_d'", "nasnet_a"]),
        (
            ["--gin_file=quickstart_train.gin", "--gin_param=TrainingConfig.epochs=-1"],
            ["TrainingConfig.epochs: expected a positive number"],
        ),
        (["--gin_file=short.gin"], ["lacks a binding", "learning_rate"]),
    ],
)
def test_mistakes_in_recipes_are_refused(tmp_path, arguments, words):
    (tmp_path / "short.gin").write_text(
        "train.data = @ImageData()\nImageData.source = 'digits'\nImageData.preprocessing = @CifarPreprocessing()\n"
    )
    result = fork_door("train", "--workdir=run", *arguments, cwd=tmp_path)
    check_refused(result, *words)


def test_missing_inputs_and_wrong_paths_are_refused(tmp_path):
    check_refused(fork_door("predict", "--model=x"), "expected image files")
    check_refused(fork_door("predict", tmp_path / "none.jpg", "--model=x"), "none.jpg: no such file")
    check_refused(fork_door("predict", tmp_path / "*.jpg", "--model=x"), "*.jpg: no file matches this pattern")
    check_refused(fork_door("predict", tmp_path, "--model=x"), "no images in this folder")
    check_refused(fork_door("report", f"--workdir={tmp_path}"), str(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "x.png").mkdir()
    check_refused(fork_door("predict", tmp_path / "file", "--model=x", f"--output={tmp_path}/file/x.json"), "x.json cannot be written")
    check_refused(fork_door("predict", tmp_path / "x.png", "--model=x"), "x.png: no images in this folder")
    check_refused(fork_door("predict", tmp_path / "file", "--model=./mobile"), "mobile: no such folder; expected an export")


def test_the_commands_costs_draw_and_convert_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = fork_door("costs", "1 @ 96", "--image_size=16", "--figure=figure.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    model = load_nasnet("1 @ 96", weights=None, image_size=16)
    costs = count_costs(model)
    assert f"{costs.trainable_parameters:,}" in result.stdout
    assert f"{costs.mult_adds:,}" in result.stdout
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    run_door("draw", "nasnet_b", "--output=cells.svg")
    assert "layer-norm add" in (tmp_path / "cells.svg").read_text()
    with pytest.raises(InputError, match=r"nasnet_q.*nasnet_a"):
        run_door("draw", "nasnet_q", "--output=cells.svg")

    model = load_nasnet("1 @ 192", weights=None)
    save_weights(model, tmp_path / "model.ckpt", ema_names=True)
    result = fork_door("convert", tmp_path, "--model=1 @ 192", "--output=plain/model.ckpt", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    names = {name for name, _ in tf.train.list_variables(str(tmp_path / "plain" / "model.ckpt"))}
    assert names == {*slim_names(model).values(), "global_step"}
    with pytest.raises(InputError, match="none.h5: no such file"):
        run_door("convert", "none.h5", "--model=1 @ 192", "--output=x.h5")
    with pytest.raises(InputError, match="--output: expected a file, but plain is a folder"):
        run_door("convert", tmp_path, "--model=1 @ 192", "--output=plain")


def test_installed_package_finds_its_recipes(tmp_path):
    """In a wheel, the recipes are inside the package, and there is no gin folder beside it."""
    shutil.copytree(REPOSITORY / "nasnet_tf", tmp_path / "nasnet_tf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "gin", tmp_path / "nasnet_tf" / "recipes" / "shipped")
    script = "from nasnet_tf.recipes.reading import find_recipe; print(find_recipe('imagenet_large.gin'))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert pathlib.Path(result.stdout.strip()) == tmp_path / "nasnet_tf" / "recipes" / "shipped" / "imagenet_large.gin"
