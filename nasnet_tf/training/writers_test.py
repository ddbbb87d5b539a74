"""Tests that a training's folder has only one writer, whether a command or a script trains."""

import subprocess
import sys

import pytest

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import FolderInUse
from nasnet_tf.testing import TIMEOUT_SECONDS
from nasnet_tf.training.loop_test import Stop, dense, stop, train

HOLDER = """
import pathlib, sys
from nasnet_tf.base.work_folders import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_while_the_first_one_is_alive(tmp_path, monkeypatch):
    """Library calls and retrainings have no command that locks the folder, and retrainings may outlive their search for a moment."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(folder / "checkpoints")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "holds\n"
        monkeypatch.setattr(work_folders, "_PATIENCE_SECONDS", 0.0)
        with pytest.raises(FolderInUse, match=rf"checkpoints: process {holder.pid} of .* writes there; wait until it ends"):
            train(folder, network=dense)
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["lock"]
        monkeypatch.setattr(work_folders, "_PATIENCE_SECONDS", TIMEOUT_SECONDS)
        holder.kill()
        train(folder, network=dense)
    monkeypatch.setattr(work_folders, "_PATIENCE_SECONDS", 0.0)
    with pytest.raises(Stop):
        train(tmp_path / "failed", network=dense, goes_on=stop)
    train(tmp_path / "failed", network=dense)  # the lock ended with the call
