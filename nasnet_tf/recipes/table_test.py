"""Checks that a row that is added to the table works wherever the table is used."""

import os
import shutil
import subprocess
import sys

from nasnet_tf.testing import REPOSITORY

ADDED = '''"""What a user might add."""

import keras

from nasnet_tf.nas.children.objectives import Objective
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.strategies.random_search import RandomSearch


class HillClimbing(RandomSearch):
    """Climbs.

    Args:
      space: of the architectures.
      seed: of the draws.
      patience: rewards without an improvement before it starts anew.
    """

    def __init__(self, space, seed: int, patience: int = 7):
        super().__init__(space, seed)


def warm_restarts(period: float = 10.0):
    """Cosine decay that starts again.

    Args:
      period: epochs between two starts.
    """
    return lambda epoch, epochs, batch_size: 1.0


class SignDescent(keras.optimizers.SGD):
    """Takes the sign of each gradient."""


class Elsewhere(InProcess):
    """Children somewhere else.

    Args:
      queue: name of the queue.
    """

    def __init__(self, queue: str = "short", keep_processes: bool = True):
        super().__init__()


class Halved(Objective):
    """Half of the accuracy.

    Args:
      factor: what it is multiplied by.
    """

    def __init__(self, factor: float = 0.5):
        self.factor = factor

    def __call__(self, genotype, accuracy, metrics):
        return self.factor * accuracy
'''
ROWS = """
    Bindable("nasnet_tf.added.HillClimbing", Role.STRATEGY),
    Bindable("nasnet_tf.added.warm_restarts", Role.SCHEDULE),
    Bindable("nasnet_tf.added.SignDescent", Role.OPTIMIZER),
    Bindable("nasnet_tf.added.Elsewhere", Role.ENGINE, set_by_us=_SET_BY_SEARCH),
    Bindable("nasnet_tf.added.Halved", Role.OBJECTIVE),"""
SCRIPT = """
import json, pathlib, sys
import gin
from nasnet_tf.base.identity import Identity
from nasnet_tf.cli import explaining
from nasnet_tf.recipes import reading, table
from nasnet_tf.recipes.reading import parse_gin

names = {"HillClimbing": "patience", "warm_restarts": "period", "SignDescent": "momentum", "Elsewhere": "queue", "Halved": "factor"}
lines = ["search.strategy = @HillClimbing", "HillClimbing.seed = 0", "search.engine = @Elsewhere", "search.objective = @Halved()"]
lines += ["evaluate_genotype.learning_rate = @warm_restarts()", "evaluate_genotype.optimizer = @SignDescent"]
text = parse_gin(["quickstart_search.gin"], lines)  # registered, and of the right types
for name, parameter in names.items():
    assert f"{name}.{parameter}" in explaining.explain(name), name
identity = Identity({"HillClimbing.seed": "0", "Elsewhere.queue": "'a'", "Halved.factor": "1"}, table.may_change(True), table.default)
assert set(identity.lasting()) == {"HillClimbing.seed", "Halved.factor"}  # an engine says where, not what
assert set(identity.without(table.choices()).lasting()) == {"Halved.factor"}  # a strategy chooses; take_over compares the rest
assert identity.without(table.choices()).difference({"PPOSearch.seed": "3", "Halved.factor": "1"}) is None
assert type(table.bound("search")().objective).__name__ == "Halved"
for wrong, words in (("search.engine = @Halved", "@Elsewhere"), ("HillClimbing.patince = 3", "did you mean patience")):
    gin.clear_config()
    try:
        parse_gin(["quickstart_search.gin"], [*lines, wrong])
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(wrong)
"""


def test_one_row_works_everywhere(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", "*_test.py")
    shutil.copytree(REPOSITORY / "nasnet_tf", tmp_path / "nasnet_tf", ignore=ignored)
    shutil.copytree(REPOSITORY / "gin", tmp_path / "gin")
    (tmp_path / "nasnet_tf" / "added.py").write_text(ADDED)
    table = tmp_path / "nasnet_tf" / "recipes" / "bindables.py"
    table.write_text(table.read_text().replace("BINDABLES = (", f"BINDABLES = ({ROWS}"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def python(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)

    result = python("-c", SCRIPT)
    assert result.returncode == 0, result.stderr
    shown = python("-m", "nasnet_tf.search", "--explain").stdout
    for name in ("HillClimbing", "warm_restarts", "SignDescent", "Elsewhere", "Halved"):
        assert name in shown
