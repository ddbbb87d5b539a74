"""The doors as a person uses them: other processes, exit codes, and the one line that says what is wrong."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

from nasnet_tf.models.costs import count_costs
from nasnet_tf.serving.convert_weights import save_weights
from nasnet_tf.serving.hub import load_nasnet
from nasnet_tf.serving.weight_names import slim_names
from nasnet_tf.testing import REPOSITORY

TINY = [
    "NetworkConfig.cells_per_stack=1",
    "NetworkConfig.filters=4",
    "TrainingConfig.epochs=1",
    "TrainingConfig.evaluate_every_epochs=1",
    "ImageData.train_split='train[:160]'",
    "ImageData.validation_examples=32",
]


def door(name, *arguments, cwd=None):
    command = [sys.executable, "-m", f"nasnet_tf.{name}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, check=False)


def params(*bindings):
    return [f"--gin_param={binding}" for binding in bindings]


def check_refused(result, *words):
    """Exit code 1, one line, no traceback."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0], errors[0]


def test_the_whole_way(tmp_path):
    """search, train, evaluate, export, predict, report; from a folder that is not the repository's."""
    space = ["SearchSpace.num_blocks=2", "search.num_trials=2"]
    result = door("search", "--gin_file=quickstart_search.gin", "--workdir=search", *params(*TINY, *space), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 trials, 2 rewarded" in result.stdout
    remarks = [line for line in result.stderr.splitlines() if not line.startswith(("search: ", "training: "))]
    assert remarks == []  # of TensorFlow, which the children load once more
    bindings = [*TINY, "train.genotype='search/best.textproto'"]
    train = ("train", "--gin_file=quickstart_train.gin", "--workdir=train", *params(*bindings))
    result = door(*train, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    check_refused(door(*train, "--gin_param=TrainingConfig.seed=7", cwd=tmp_path), "TrainingConfig.seed was not bound, is 7")
    result = door("evaluate", "--workdir=train", "--split=test", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    evaluation = json.loads((tmp_path / "train" / "evaluation-test.json").read_text())
    assert evaluation["examples"] == 360
    assert f"accuracy {evaluation['accuracy']:.4f}" in result.stdout
    assert (tmp_path / "train" / "confusion-test.svg").read_text().startswith("<?xml")
    result = door("export", "--workdir=train", "--output=export", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    digits = sorted((REPOSITORY / "testdata" / "digits").glob("*.png"))[:3]
    result = door("predict", *digits, "--model=export", "--top=2", "--output=predictions.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
    rows = [json.loads(line) for line in (tmp_path / "predictions.json").read_text().splitlines()]
    assert [(row["file"], len(row["top"]), "image" in row) for row in rows] == [(str(digit), 2, False) for digit in digits]
    bad = tmp_path / "bad.png"
    bad.write_bytes(digits[0].read_bytes()[:40])
    # Folders and patterns; a work folder as well as an export; a bad file costs no good one its answer.
    (tmp_path / "more").mkdir()
    shutil.copy(digits[1], tmp_path / "more" / "a.PNG")
    result = door("predict", "bad.png", "more", f"{digits[0].parent}/digit_[01].png", "--model=train", "--batch_size=2", cwd=tmp_path)
    check_refused(result, "1 of 4 files cannot be decoded as images: bad.png")
    assert [line.split(":")[0].rsplit("/", 1)[-1] for line in result.stdout.splitlines()] == ["a.PNG", "digit_0.png", "digit_1.png"]
    result = door("report", "--workdir=.", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
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
        (["--gin_file=short.gin"], ["lacks a binding", "genotype"]),
    ],
)
def test_mistakes(tmp_path, arguments, words):
    (tmp_path / "short.gin").write_text(
        "train.data = @ImageData()\nImageData.source = 'digits'\nImageData.preprocessing = @CifarPreprocessing()\n"
    )
    result = door("train", "--workdir=run", *arguments, cwd=tmp_path)
    check_refused(result, *words)


def test_predict_and_report_need_something(tmp_path):
    check_refused(door("predict", "--model=x"), "expected image files")
    check_refused(door("predict", tmp_path / "none.jpg", "--model=x"), "none.jpg: no such file")
    check_refused(door("predict", tmp_path / "*.jpg", "--model=x"), "*.jpg: no file fits this pattern")
    check_refused(door("predict", tmp_path, "--model=x"), "no images in this folder")
    check_refused(door("report", f"--workdir={tmp_path}"), str(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "x.png").mkdir()
    check_refused(door("predict", tmp_path / "file", "--model=x", f"--output={tmp_path}/file/x.json"), "x.json cannot be written")
    check_refused(door("predict", tmp_path / "x.png", "--model=x"), "x.png: no images in this folder")
    check_refused(door("predict", tmp_path / "file", "--model=./mobile"), "mobile: no such folder; expected an export")


def test_costs_draw_and_convert(tmp_path):
    result = door("costs", "1 @ 96", "--image_size=16", "--figure=figure.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    model = load_nasnet("1 @ 96", weights=None, image_size=16)
    costs = count_costs(model)
    assert f"{costs.trainable_parameters:,}" in result.stdout
    assert f"{costs.mult_adds:,}" in result.stdout
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    result = door("draw", "nasnet_b", "--output=cells.svg", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "layer-norm add" in (tmp_path / "cells.svg").read_text()
    check_refused(door("draw", "nasnet_q", "--output=cells.svg", cwd=tmp_path), "nasnet_q", "nasnet_a")

    model = load_nasnet("1 @ 192", weights=None)
    save_weights(model, tmp_path / "model.ckpt", ema_names=True)
    result = door("convert", tmp_path, "--model=1 @ 192", "--output=plain/model.ckpt", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    names = {name for name, _ in tf.train.list_variables(str(tmp_path / "plain" / "model.ckpt"))}
    assert names == {*slim_names(model).values(), "global_step"}
    check_refused(door("convert", "none.h5", "--model=1 @ 192", "--output=x.h5", cwd=tmp_path), "none.h5: no such file")
    check_refused(
        door("convert", tmp_path, "--model=1 @ 192", "--output=plain", cwd=tmp_path), "--output: expected a file, but plain is a folder"
    )


def test_installed_package_finds_its_recipes(tmp_path):
    """As a wheel lays the files out: recipes inside the package, no gin folder beside it."""
    shutil.copytree(REPOSITORY / "nasnet_tf", tmp_path / "nasnet_tf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "gin", tmp_path / "nasnet_tf" / "recipes")
    script = "from nasnet_tf import cli; print(cli.find_recipe('imagenet_large.gin'))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert pathlib.Path(result.stdout.strip()) == tmp_path / "nasnet_tf" / "recipes" / "imagenet_large.gin"
