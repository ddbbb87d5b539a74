"""Runs the code of every benchmark row at tiny sizes in this process, and checks that rows normally run in separate processes."""

import json
import math

import pytest

from nasnet_tf.models.network import build_network
from tools.bench import __main__ as bench
from tools.bench import networks, timing
from tools.bench.keras_network import keras_network


def here(function, *arguments):
    """Replaces `timing.alone`: calls the function in this process, with a result as read from JSON."""
    return json.loads(json.dumps(function(*arguments)))


@pytest.mark.parametrize("group", [group for group in bench.GROUPS if group not in ("loading", "start")])
def test_each_group_has_rows(group, monkeypatch, tmp_path, capsys):
    module = pytest.importorskip(f"tools.bench.{group}_rows")
    monkeypatch.setattr(module, "alone", here, raising=False)
    monkeypatch.setattr(timing, "alone", here)
    monkeypatch.delenv("NASNET_SHARED", raising=False)
    bench.main(["--rows", group, "--quick", "--rounds=1", f"--output={tmp_path / 'bench.json'}"])
    printed = capsys.readouterr().out
    for row in json.loads((tmp_path / "bench.json").read_text()):
        assert f"| {row['what']} | " in printed
        assert all(value > 0 for values in row["values"].values() for value in values)
        assert all(bool(ratios) == (len(row["samples"]) == 2) for ratios in row["ratios"])


def test_alone_runs_in_another_process():
    assert timing.alone(math.hypot, 3, 4) == 5


def test_ratios_compare_samples_of_one_round():
    row = timing.Row("decoding", "images/s", {"ours": [[1.0, 2.0], [2.0, 2.0]], "peer": [[3.0, 1.0], [4.0, 1.0]]}, amount=6)
    assert row.value("ours") == 4.0
    assert row.ratios() == [2.5, 2.0, 3.0]
    assert row.ratios(clock=1) == [0.5, 0.5, 0.5]


def test_both_implementations_have_equal_weights():
    case = networks.find_case("child", quick=True)
    shapes = [
        sorted(sorted(variable.shape) for variable in make(case.genotype, case.config, 10, 8).trainable_variables)
        for make in (build_network, keras_network)
    ]
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) > 50
