"""Checks recipes that include others from any folder, messages about mistakes in recipes, and the flags of commands."""

import logging
import shutil
import types

import gin
import pytest

from nasnet_tf import convert
from nasnet_tf.base import identity
from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import flags, work
from nasnet_tf.recipes import reading  # noqa: F401  registers what may be configured
from nasnet_tf.serving.hub import load
from nasnet_tf.testing import REPOSITORY, run_door


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.fixture
def parsed():
    """Returns a function from values of --gin_file and --gin_param to the bindings."""

    def parse(files, params=()):
        return identity.bindings(reading.parse_gin(files, params))

    return parse


@pytest.mark.parametrize("installed", [False, True])
def test_shipped_recipe_includes_shipped_recipes(installed, parsed, tmp_path, monkeypatch, caplog, capfd):
    (tmp_path / "here" / "cifar10.gin").write_text("NetworkConfig.stem = 'of the current folder'")
    if installed:  # the layout of a wheel
        shutil.copytree(REPOSITORY / "gin", tmp_path / "nasnet_tf" / "recipes" / "shipped")
        monkeypatch.setattr(reading, "_HERE", tmp_path / "nasnet_tf" / "recipes")
    with caplog.at_level(logging.INFO):
        values = parsed(["cifar10_nasnet_a_7@2304_cutout.gin"], ["TrainingConfig.seed = 5"])
    assert values["NetworkConfig.stem"] == "'cifar'"  # cifar10.gin
    assert values["train.genotype"] == "'nasnet_a'"  # cifar10_nasnet_a.gin
    assert values["NetworkConfig.penultimate_filters"] == "2304"  # cifar10_nasnet_a_7@2304.gin
    assert values["CifarPreprocessing.cutout_size"] == "16"  # cifar10_nasnet_a_7@2304_cutout.gin
    assert values["TrainingConfig.seed"] == "5"
    assert caplog.text == ""
    assert capfd.readouterr().err == ""


def test_own_recipe_includes_neighboring_and_shipped_ones(parsed, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "base.gin").write_text("TrainingConfig.seed = 1\nTrainingConfig.epochs = 3\n")
    (folder / "mine.gin").write_text(
        "TrainingConfig.epochs = 1\n"
        'include "imagenet_large.gin"  # 312 epochs\n'
        "TrainingConfig.batch_size = 64\n"
        "include 'base.gin'\n"
        "TrainingConfig.seed = 2\n"
    )
    values = parsed(["../mine/mine.gin"])
    found = {name: values[f"TrainingConfig.{name}"] for name in ("epochs", "batch_size", "seed", "weight_decay")}
    assert found == {"epochs": "3", "batch_size": "64", "seed": "2", "weight_decay": "5e-05"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\nTrainingConfig.epoch = 3\n", ["epoch", "base.gin", "line 3"]),
        ("include 'nowhere.gin'\n", ["nowhere.gin: no such file", "imagenet_large.gin"]),
        ("include 'mine.gin'\n", ["mine.gin: includes itself, through", "base.gin"]),
        ("include 'cifar10.gin'\n\nTrainingConfig.epochs = \n", ["base.gin, line 3"]),
        ("include 'cifar10.gin'\n\n\nTrainingConfig.epoch = 3\n", ["base.gin, line 4", "did you mean epochs?"]),
    ],
)
def test_a_mistake_in_an_included_file_is_located(text, words, parsed, tmp_path):
    (tmp_path / "here" / "mine.gin").write_text('include "base.gin"\n')
    (tmp_path / "here" / "base.gin").write_text(text)
    with pytest.raises(InputError) as caught:
        parsed(["mine.gin"])
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "^folder: is a folder; expected a gin file, or one of the shipped recipes .*imagenet_large.gin"),
        ("quickstart_serch.gin", "no such file; did you mean quickstart_search.gin"),
        ("binary.gin", "^binary.gin: expected a gin file, but it is not text"),
        ("of_binary.gin", "^binary.gin: expected a gin file, but it is not text"),
        ("of_nothing.gin", "^nothing.gin: no such file"),
    ],
)
def test_files_are_read_before_tensorflow_is_loaded(name, words, parsed, tmp_path, monkeypatch):
    here = tmp_path / "here"
    (here / "folder").mkdir()
    (here / "binary.gin").write_bytes(b"\xff\xfe\x00")
    for included in ("binary", "nothing"):
        (here / f"of_{included}.gin").write_text(f"include '{included}.gin'\n")
    monkeypatch.setattr(reading, "import_tensorflow", lambda: pytest.fail("TensorFlow was loaded"))
    with pytest.raises(InputError, match=words):
        parsed([name])


def test_a_work_folder_below_a_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(work, "FLAGS", types.SimpleNamespace(workdir=str(tmp_path / "file" / "x"), gin_file=["digits.gin"], gin_param=[]))
    monkeypatch.setattr(work, "parse_gin", lambda *_: pytest.fail("the recipe was read"))
    with pytest.raises(InputError, match=r"--workdir: .*file/x cannot be written: expected a folder, but .*file is a file"):
        work.configuration()


def test_an_output_folder_is_checked_and_not_created(tmp_path, monkeypatch):
    (tmp_path / "file").touch()

    def folder(path):
        monkeypatch.setattr(flags, "FLAGS", {"output": types.SimpleNamespace(value=path and str(tmp_path / path))})
        return flags.new_folder()

    assert folder(None) is None
    assert folder("new") == tmp_path / "new"
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="--output: expected a folder, but .*file is a file"):
        folder("file")
    with pytest.raises(InputError, match="--output: .*file/x cannot be written: expected a folder"):
        folder("file/x")


def test_weights_are_found_before_a_network_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "load_nasnet", lambda *_, **__: pytest.fail("a network was built"))
    given = types.SimpleNamespace(num_classes=None, include_top=True, model="mobile", ema=True)
    monkeypatch.setattr(flags, "FLAGS", given)
    monkeypatch.setattr(flags, "new_output", lambda: tmp_path / "x.h5")
    with pytest.raises(InputError, match="none.h5: no such file; expected a TF-slim checkpoint"):
        convert.main(["none.h5"])


def test_a_macro_that_nothing_binds_is_named(parsed):
    with pytest.raises(InputError, match="^%nothing: this macro has no value; expected a line such as nothing = 3$"):
        parsed(["digits.gin"], ["NetworkConfig.filters=%nothing"])
    assert parsed(["digits.gin"], ["width=3", "NetworkConfig.filters=%width"])["NetworkConfig.filters"] == "%width"


def test_results_never_overwrite_an_image(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"image")
    with pytest.raises(InputError, match="--output: expected a file for the results, but a.png is one of the images"):
        run_door("predict", tmp_path, "--model=x", "--output=a.png")
    assert (tmp_path / "a.png").read_bytes() == b"image"


@pytest.mark.parametrize(
    ("given", "stray"), [("--workdir=run", "--resize=tf1"), ("--workdir=run", "--weights=none"), ("--model=mobile", "--noema")]
)
def test_flags_for_the_other_kind_of_network_are_refused(given, stray):
    missing = "model" if given == "--workdir=run" else "workdir"
    with pytest.raises(InputError, match=rf"^--(resize|weights|ema): can only be used with --{missing}, which is not given$"):
        run_door("export", given, stray, "--output=out")
