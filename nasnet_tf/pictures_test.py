"""Tests of the pictures that commands write about images: each has its own path, and none overwrites an image."""

import json
import pathlib
import shutil

import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import flags
from nasnet_tf.serving.hub.detector import Detector
from nasnet_tf.testing import REPOSITORY, run_door

DIGITS = REPOSITORY / "testdata" / "digits"
NETWORK = REPOSITORY / "testdata" / "digits_network"


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        pathlib.Path(folder).mkdir()
        shutil.copy(DIGITS / f"digit_{'ab'.index(folder)}.png", pathlib.Path(folder, "digit.png"))


def test_predict_explains_each_picture():
    pathlib.Path("bad.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="1 of 3 files cannot be decoded as images: bad.png"):
        run_door("predict", "bad.png", "a", "b", f"--model={NETWORK}", "--explain=why/here", "--output=predictions.json")
    rows = [json.loads(line) for line in pathlib.Path("predictions.json").read_text().splitlines()]
    assert [row.get("explanation") for row in rows] == [None, "why/here/digit.png", "why/here/digit-2.png"]
    for row in rows[1:]:
        assert tf.io.decode_png(pathlib.Path(row["explanation"]).read_bytes()).shape == (8, 8, 3)


@pytest.mark.parametrize("command", [("predict", "explain"), ("detect", "output")])
def test_no_picture_is_written_over_an_image(command):
    name, flag = command
    before = pathlib.Path("a/digit.png").read_bytes()
    message = f"--{flag}: expected a folder other than that of the images, but a/digit.png is one of the images"
    with pytest.raises(InputError, match=f"^{message}$"):
        run_door(name, "b", "a", "--model=any", f"--{flag}=a")
    with pytest.raises(InputError, match=f"--{flag}: expected a folder, but a/digit.png is a file"):
        run_door(name, "a", "--model=any", f"--{flag}=a/digit.png")
    assert pathlib.Path("a/digit.png").read_bytes() == before
    with pytest.raises(InputError, match="network 'any': "):
        run_door(name, "a", "--model=any", f"--{flag}=new")
    assert not pathlib.Path("new").exists()


def test_pictures_with_equal_names_get_numbers():
    files = [pathlib.Path(name) for name in ("x/one.jpg", "y/one.png", "x/one.jpg", "one.bmp")]
    places = flags.pictures_in(pathlib.Path("out"), files, "output")
    assert {str(file): place.name for file, place in places.items()} == {
        "x/one.jpg": "one.png",
        "y/one.png": "one-2.png",
        "one.bmp": "one-3.png",
    }


def test_detectors_do_not_explain():
    with pytest.raises(InputError, match="explain: expected a classifier, got a detector; to draw what it finds, use detect --output"):
        Detector(None, [], [], 8).explain(b"")
