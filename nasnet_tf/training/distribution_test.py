"""Tests that several devices or processes give the results of one device, and of what happens when a process is lost."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import ImageData
from nasnet_tf.data.testing import PngPreprocessing
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import TIMEOUT_SECONDS, hold_ports, smallest_genotype, until
from nasnet_tf.training import distribution, loop
from nasnet_tf.training.distribution import distribute, is_chief, make_strategy
from nasnet_tf.training.metrics_log import read_metrics
from nasnet_tf.training.optimizers import Momentum
from nasnet_tf.training.schedules import cosine_decay

STEPS, RATE, SEED = 20, 0.005, 0
SCRIPT = """
import os, pathlib, sys, threading
threading.Thread(target=lambda: sys.stdin.read() or os._exit(1), daemon=True).start()  # ends the process if the test is killed
from nasnet_tf.training.distribution import make_strategy
strategy = make_strategy("multi_worker")
from nasnet_tf.cli import command
from nasnet_tf.testing import terminated_at
from nasnet_tf.training import loop
from nasnet_tf.training.distribution_test import train

def main(arguments):
    steps, workdir, terminated = arguments
    if terminated != "None":
        loop.TrainStep = terminated_at(int(terminated))
    train(strategy, int(steps), pathlib.Path(workdir))

command.run(main, arguments="steps, work folder, step at which SIGTERM comes")
"""


def train(strategy, steps, workdir, goes_on=None):
    """Trains a small network with a row of metrics for each step; returns its weights and evaluation by name."""
    data = ImageData("digits", PngPreprocessing(image_size=8, flip=False), train_split="train[:101]", validation_examples=21)
    network = NetworkConfig(1, "cifar", 2.0, filters=4, auxiliary_head=True, batch_norm_momentum=0.8, synchronized_batch_norm=True)
    config = loop.TrainingConfig(
        epochs=steps / 5,
        batch_size=16,
        weight_decay=1e-3,
        gradient_clip_norm=5.0,
        ema_decay=0.9,
        log_every_steps=1,
        evaluate_every_epochs=1,
        checkpoint_every_seconds=300.0 if steps == STEPS else 0.0,
        seed=SEED,
    )

    def build(num_classes, image_size):
        return build_network(smallest_genotype(), network, num_classes, image_size)

    model, final = loop.train_and_evaluate(build, data, Momentum, cosine_decay(RATE), config, workdir, strategy, False, goes_on)
    return {weight.path: weight.numpy() for weight in model.weights} | dataclasses.asdict(final)


class Job:
    """Two processes that train together and always end with the test.

    Args:
      folder: folder for the work folder and the logs of the processes.
      steps: number of steps to train.
      kinds: kinds of the two processes in TF_CONFIG.
      terminated: step at which the second process receives SIGTERM; None for none.
    """

    def __init__(self, folder, steps, kinds=("worker", "worker"), terminated=None):
        self.folder, self.processes = folder, []
        self.sockets = hold_ports(2)
        cluster, tasks = {}, []
        for kind, one in zip(kinds, self.sockets, strict=True):
            tasks.append({"type": kind, "index": len(cluster.setdefault(kind, []))})
            cluster[kind].append(f"127.0.0.1:{one.getsockname()[1]}")
        for index, (task, end) in enumerate(zip(tasks, (None, terminated), strict=True)):
            config = json.dumps({"cluster": cluster, "task": task})
            environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CONFIG": config}
            command = [sys.executable, "-c", SCRIPT, str(steps), str(folder / "run"), str(end)]
            log = (folder / f"log_{index}.txt").open("w")
            self.processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT))
            log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for one in self.sockets:
            one.close()

    def wait(self):
        """Waits until both processes have ended; returns their exit codes."""
        return [process.wait(timeout=TIMEOUT_SECONDS) for process in self.processes]

    def log(self, index):
        return (self.folder / f"log_{index}.txt").read_text()


def has_checkpoint(folder):
    return any((folder / "checkpoints").glob("last-*.index"))


def assert_same(one, two):
    assert set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Returns (folder, weights and evaluation) of a training on one device."""
    folder = tmp_path_factory.mktemp("alone")
    result = train(make_strategy("one_device"), STEPS, folder / "run")
    assert result["examples"] == 21
    assert len(losses(folder)) == STEPS
    return folder, result


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Returns the folder of a training that two devices have begun, up to the first evaluation."""
    folder = tmp_path_factory.mktemp("begun")
    train(make_strategy("mirrored"), STEPS, folder / "run", goes_on=lambda epoch, evaluation: False)
    assert 0 < len(losses(folder)) <= STEPS / 3
    return folder


def losses(folder):
    return [row["loss"] for row in read_metrics(folder / "run") if row["kind"] == "train"]


def assert_resumes_alone(folder, alone):
    """Resumes the training on one device, and checks that the results are those of a training on one device from the start."""
    assert_same(alone[1], train(make_strategy("one_device"), STEPS, folder / "run"))
    np.testing.assert_allclose(losses(folder), losses(alone[0]), rtol=1e-4)


def test_two_devices_equal_one_and_one_device_can_resume(alone, begun, tmp_path):
    np.testing.assert_allclose(losses(begun), losses(alone[0])[: len(losses(begun))], rtol=1e-5)
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    assert_resumes_alone(tmp_path, alone)


@pytest.mark.several_processes
def test_two_processes_resume_and_stop_together_and_one_device_can_resume(alone, begun, tmp_path):
    """A chief and a worker train together. SIGTERM to one of them makes both save and stop with exit code 0."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    with Job(tmp_path, STEPS, kinds=("chief", "worker"), terminated=11) as job:
        assert job.wait() == [0, 0], job.log(0) + job.log(1)
        for index in range(2):
            assert "stopped as requested at step 14 of 20" in job.log(index)
            assert not re.search("Traceback|Logging error|AutoGraph", job.log(index)), job.log(index)
    assert len(losses(tmp_path)) == 14
    assert_resumes_alone(tmp_path, alone)


@pytest.mark.several_processes
def test_a_lost_worker_ends_the_job_with_a_message(tmp_path):
    with Job(tmp_path, 100_000) as job:

        def has_begun():
            assert all(process.poll() is None for process in job.processes), job.log(0)
            return has_checkpoint(tmp_path / "run")

        until(has_begun)
        job.processes[1].kill()
        codes = job.wait()
        assert codes[0] == 1, job.log(0)
        assert "error: a worker was lost" in job.log(0)
        assert "repeat the command on all workers to resume" in job.log(0)
    assert has_checkpoint(tmp_path / "run")


def test_invalid_strategies_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"make_strategy.name: expected one of auto, one_device, .*, got 'gpu'"):
        make_strategy("gpu")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match="TF_CONFIG is not set; expected"):
        make_strategy("multi_worker")
    assert is_chief()
    for text in ("{", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}'):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(InputError, match="TF_CONFIG: expected"):
            make_strategy("auto")
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')
    assert not is_chief()


def test_the_chief_of_tf_config_comes_first(monkeypatch):
    cluster = {"chief": ["c:1"], "worker": ["a:1", "b:1"]}
    for kind, index, expected in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
        assert distribution._workers_and_index() == (["c:1", "a:1", "b:1"], expected)
        assert is_chief() == (kind == "chief")
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster | {"ps": ["d:1"]}, "task": {"type": "worker", "index": 0}}))
    with pytest.raises(InputError, match="TF_CONFIG: expected"):
        make_strategy("auto")


def test_batches_must_be_shared_out_evenly():
    with pytest.raises(InputError, match="expected a multiple of the 2 replicas that share it, got 5"):
        distribute(make_strategy("mirrored"), 5, None)
