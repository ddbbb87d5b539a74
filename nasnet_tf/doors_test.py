"""The doors as a person uses them: other processes, exit codes, and the one line that says what is wrong."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

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
    result = door("export", "--workdir=train", "--output=export", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    digits = sorted((REPOSITORY / "testdata" / "digits").glob("*.png"))[:3]
    result = door("predict", *digits, "--model=export", "--top=2", "--output=predictions.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
    assert [len(row["top"]) for row in json.loads((tmp_path / "predictions.json").read_text())] == [2, 2, 2]
    bad = tmp_path / "bad.png"
    bad.write_bytes(digits[0].read_bytes()[:40])
    check_refused(door("predict", digits[0], bad, "--model=export", cwd=tmp_path), "bad.png: cannot be decoded as an image")
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
    check_refused(door("report", f"--workdir={tmp_path}"), str(tmp_path))


def test_installed_package_finds_its_recipes(tmp_path):
    """As a wheel lays the files out: recipes inside the package, no gin folder beside it."""
    shutil.copytree(REPOSITORY / "nasnet_tf", tmp_path / "nasnet_tf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "gin", tmp_path / "nasnet_tf" / "recipes")
    script = "from nasnet_tf import cli; print(cli.find_recipe('imagenet_large.gin'))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert pathlib.Path(result.stdout.strip()) == tmp_path / "nasnet_tf" / "recipes" / "imagenet_large.gin"
