"""Tests of a disk that fills up: errors name what could not be written, and other writes under way are finished."""

import dataclasses
import pathlib
import threading

import pytest

from nasnet_tf.base.files import naming
from nasnet_tf.training.checkpoints import Checkpoints
from nasnet_tf.training.loop_test import CONFIG, dense, train
from nasnet_tf.training.metrics_log import MetricsLog

FULL = "/dev/full"  # every write there fails as on a full disk
SHORT = dataclasses.replace(CONFIG, log_every_steps=1)
ROWS = r"the rows of .*run/metrics.jsonl cannot be written \(.*No space left on device\); everything written before is kept"


def test_the_checkpoint_under_way_is_finished_when_a_row_cannot_be_written(tmp_path, monkeypatch):
    closing, write, close = threading.Event(), Checkpoints._write, MetricsLog.close

    def write_late(self, step, is_best):
        assert closing.wait(60.0)
        write(self, step, is_best)

    def write_rows(self, kind, step, *arguments, **values):
        if kind == "train" and step == 6:  # after the first checkpoint, at step 5
            self._file = pathlib.Path(FULL).open("a")  # noqa: SIM115
        return original(self, kind, step, *arguments, **values)

    def close_late(self):
        closing.set()
        close(self)

    original = MetricsLog.write
    for name, function in (("write", write_rows), ("close", close_late)):
        monkeypatch.setattr(MetricsLog, name, function)
    monkeypatch.setattr(Checkpoints, "_write", write_late)
    with pytest.raises(OSError, match=ROWS):
        train(tmp_path / "run", network=dense, config=SHORT)
    assert (tmp_path / "run" / "checkpoints" / "last-5.index").exists()


def test_errors_that_need_no_path_are_raised_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), naming(tmp_path):
        (tmp_path / "none").read_text()
    with pytest.raises(BrokenPipeError), naming(tmp_path):
        raise BrokenPipeError(32, "Broken pipe")
    with pytest.raises(OSError, match="already said"), naming(tmp_path):
        raise OSError("already said")
