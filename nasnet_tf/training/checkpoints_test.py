"""Tests of checkpoints on disk: best and last, kills during a write, damage, a full disk."""

import json
import os
import pathlib
import resource
import shutil

import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity, flattened
from nasnet_tf.training import checkpoints
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.disk import writing
from nasnet_tf.training.loop_test import Stop, assert_same_weights, dense, rows_without_speed, stop, train


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns (work folder, model) of a whole training; tests must not change them."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    model, _ = train(folder, network=dense)
    return folder, model


def test_the_best_checkpoint_is_a_link(whole):
    best, *more = (whole[0] / "checkpoints").glob("best-*.data*")
    assert not more
    assert best.samefile(best.with_name(best.name.replace("best", "last")))


def test_the_later_of_two_equal_scores_is_the_best(tmp_path, monkeypatch):
    """As float32, 0.6 is more than 0.6."""
    monkeypatch.setattr(Classification, "score", lambda self, evaluation: 0.6)
    train(tmp_path, network=dense)
    assert [path.name for path in (tmp_path / "checkpoints").glob("best-*.index")] == ["best-10.index"]  # of steps 5 and 10


@pytest.mark.parametrize("killed", ["while it writes", "between the best and the last"])
def test_a_kill_of_the_background_writer_loses_nothing(whole, tmp_path, monkeypatch, killed):
    """An exception stands for the kill, and stops the writer thread halfway."""
    folder, model = whole

    def half(self, path):
        if path.endswith("-10"):
            pathlib.Path(f"{path}_temp").mkdir()
            stop()
        write(self, path)

    def half_linked(old, new):
        if old.name == "best-10.index":
            stop()
        link(old, new)

    write, link = tf.train.Checkpoint.write, os.link
    with monkeypatch.context() as patch:
        if killed == "while it writes":
            patch.setattr(tf.train.Checkpoint, "write", half)
        else:
            patch.setattr(os, "link", half_linked)
        patch.setattr(Classification, "score", lambda *_: 0.0)  # of equal scores, the later one is the best
        with pytest.raises(Stop):
            train(tmp_path, network=dense)
    left = {path.stem for path in (tmp_path / "checkpoints").glob("*.index")}
    assert "last-5" in left
    assert "last-10" not in left
    resumed, _ = train(tmp_path, network=dense)
    assert_same_weights(model, resumed)
    assert rows_without_speed(tmp_path) == rows_without_speed(folder)
    assert not list((tmp_path / "checkpoints").glob("*_temp"))


def test_a_damaged_checkpoint_is_replaced_by_the_previous_one(tmp_path):
    train(tmp_path, network=dense)
    newest = tmp_path / "checkpoints" / "last-10.data-00000-of-00001"
    content, model = newest.read_bytes(), dense(10, 8)
    for size in (1000, len(content) - 20):  # the requested values may be before the cut
        newest.write_bytes(content[:size])
        with pytest.raises(InputError, match="last-10: (cut short; expected .* bytes or more|cannot be read as a checkpoint)"):
            checkpoints.load_trained(tmp_path, model, "last")
    half_written = tmp_path / "checkpoints" / "last-7_temp"  # a kill leaves such a folder
    half_written.mkdir()
    train(tmp_path, network=dense)  # resumes from the previous checkpoint
    assert not half_written.exists()
    assert checkpoints.load_trained(tmp_path, model, "last") == 10
    for path in (tmp_path / "checkpoints").glob("last-*.index"):
        path.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="none of the checkpoints can be read: .*last-10.*; restore one of them"):
        train(tmp_path, network=dense)


def test_full_disk_costs_no_checkpoint(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path, network=dense, goes_on=stop)
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").glob("*-5.*")}
    assert before
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, hard))  # larger files fail as on a full disk
    try:
        with pytest.raises(OSError, match=r"of step 10.* cannot be written .*; everything written before is kept"):
            train(tmp_path, network=dense)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert all((tmp_path / "checkpoints" / name).read_bytes() == content for name, content in before.items())
    train(tmp_path, network=dense)
    assert (tmp_path / "checkpoints" / "last-10.index").is_file()


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_reported_for_a_plain_file():
    expected = r"the rows cannot be written \(.*No space left on device\); everything written before is kept"
    with pytest.raises(OSError, match=expected), writing("rows"), open("/dev/full", "w") as file:
        file.write("row")


@pytest.mark.parametrize("name", ["model.json", "data.json", "training.json"])
def test_a_description_that_is_not_an_object_is_refused(whole, tmp_path, name):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_text("[1]")
    with pytest.raises(InputError, match=rf"{name}: damaged; expected an object, got \[1\]"):
        train(tmp_path, network=dense)


def test_the_first_difference_is_named():
    def difference(old, new):
        return Identity(flattened(new)).difference(flattened(old))

    assert difference({"a": [1, {"b": 2}]}, json.loads('{"a": [1, {"b": 2}]}')) is None
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "a[1].b was 2, is 3"
    assert difference({"a": 1}, {"a": 1, "c": 5}) == "c was not bound, is 5"
