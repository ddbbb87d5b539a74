"""Tests that the loss of a Ray cluster is reported soon and in one line."""

import contextlib
import os
import subprocess
import sys
import time

import psutil
import pytest

from nasnet_tf.nas.engines.engines_test import needs_ray, pid_of

# A program that starts a cluster, runs a sleeping child there and polls until the cluster is lost.
LOSER = """
import pathlib, sys
from nasnet_tf.base.errors import EngineLost
from nasnet_tf.nas.engines import engines_test
from nasnet_tf.nas.engines.ray_tasks import RayTasks
if __name__ == "__main__":
    engine = RayTasks(num_workers=1)
    engine.submit(0, engines_test.child, "sleeps", pathlib.Path(sys.argv[1]))
    try:
        while True:
            engine.poll(5.0)
            engine.free_slots
    except EngineLost as error:
        engine.close()
        print(error, flush=True)
"""


@needs_ray
@pytest.mark.several_processes
@pytest.mark.parametrize(
    ("daemon", "message"),
    [
        ("gcs_server", "RayTasks: the head of the cluster has ended"),
        ("raylet", "RayTasks: the part of the cluster that runs on this machine has ended"),
    ],
)
def test_a_lost_cluster_is_reported_in_one_line(tmp_path, daemon, message):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    (tmp_path / "loser.py").write_text(LOSER)
    command = [sys.executable, str(tmp_path / "loser.py"), str(tmp_path / "mark")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as loser:
        processes = [psutil.Process(loser.pid)]
        try:
            pid_of(tmp_path / "mark")
            processes += processes[0].children(recursive=True)
            next(process for process in processes if process.name() == daemon).kill()
            began = time.monotonic()
            assert loser.stdout.readline() == f"{message}\n"
            assert time.monotonic() - began < 15.0
            output, errors = loser.communicate(timeout=30.0)
            assert (output, errors, loser.returncode) == ("", "", 0)
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
