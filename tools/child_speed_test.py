import importlib.util
import math
import subprocess
import sys

from nasnet_tf.genotype import load_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.testing import REPOSITORY

TOOL = REPOSITORY / "tools" / "child_speed.py"


def test_both_children_have_the_same_weights():
    spec = importlib.util.spec_from_file_location("child_speed", TOOL)
    tool = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tool  # dataclasses look themselves up there
    spec.loader.exec_module(tool)
    genotype, config = load_genotype("nasnet_a"), NetworkConfig(1, "cifar", 3.0, filters=2)
    shapes = [
        sorted(sorted(variable.shape) for variable in model.trainable_variables)
        for model in (build_network(genotype, config, 10, 8), tool.keras_network(genotype, config, 10, 8))
    ]
    assert shapes[0] == shapes[1]
    assert sum(map(math.prod, shapes[0])) > 1000


def test_reports_the_phases_of_a_child():
    flags = ["--ours_only", "--cells_per_stack=1", "--filters=2", "--image_size=8", "--batch_size=8", "--steps=3", "--rounds=1"]
    command = [sys.executable, TOOL, "--genotype=nasnet_a", *flags]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout.splitlines()
    assert lines[1] == "medians"
    assert lines[0] == lines[2]
    for phase in ("start", "build", "first step", "rest", "to first step", "all"):
        assert f"{phase} " in lines[0]
