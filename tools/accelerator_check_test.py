import accelerator_check as tool
import numpy as np

from nasnet_tf.training.distribution import make_strategy


def test_compares_devices_and_numbers(monkeypatch):
    monkeypatch.setattr(tool, "STEPS", 2)
    rows = list(tool.comparisons(make_strategy("one_device"), make_strategy("mirrored"), is_tpu=False))
    assert [holds for holds, _ in rows] == [True] * 4, rows
    assert [row[0] for _, row in rows] == [rows[0][1][0]] * 2 + ["half precision and full"] * 2
    assert [row[2] for _, row in rows] == ["float32", "float32", "mixed_bfloat16", "mixed_float16"]
    assert all(row[-1].startswith("holds: losses differ by ") for _, row in rows)


def test_a_comparison_can_fail():
    reference = np.array([2.0, 1.0])
    assert tool.compare(np.array([2.0, 1.01]), reference, 0.01)[0]
    assert not tool.compare(np.array([2.0, 1.03]), reference, 0.01)[0]
    assert tool.compare(np.array([np.nan, 1.0]), reference, 0.01)[1].startswith("DOES NOT HOLD")


def test_speeds_are_rows_and_so_are_failures(monkeypatch):
    case = tool.Case("tiny", None, None, 10, 8, 2, 1)
    monkeypatch.setattr(tool, "build_network", lambda *_: tool.small_network(batch_norm=False))

    def full(*_):
        raise tool.tf.errors.ResourceExhaustedError(None, None, "OOM when allocating | a tensor\nand more")

    monkeypatch.setattr(tool, "inference_speed", full)
    strategy = make_strategy("one_device")
    measured = tool.training_speed(case, "mixed_bfloat16", False, strategy)
    assert measured > 0
    monkeypatch.setattr(tool, "training_speed", lambda *_: 12.3456)
    rows = list(tool.speeds([case], ("float32",), strategy))
    assert [row[0] for row in rows] == ["training", "inference"] * 2
    assert [row[3:] for row in rows[:2]] == [
        ("off", "12.35 images/s"),
        ("off", "failed: ResourceExhaustedError: OOM when allocating / a tensor"),
    ]
    lines = tool.table(rows).splitlines()
    assert len(lines) == 6
    assert {line.count("|") for line in lines} == {6}


def test_infers(monkeypatch):
    monkeypatch.setattr(tool, "build_network", lambda *_: tool.small_network(batch_norm=False))
    monkeypatch.setattr(tool, "inference_model", lambda model: model)
    case = tool.Case("tiny", None, None, 10, 8, 2, 1)
    assert tool.inference_speed(case, "float32", False, make_strategy("one_device")) > 0


def test_both_networks_are_measured():
    assert [case.name for case in tool.cases(is_small=False)] == ["mobile", "large"]
    assert [case.config.filters for case in tool.cases(is_small=True)] == [8]  # fewer leave the ImageNet stem's first cell none


def test_on_a_cpu_xla_takes_float32_alone(monkeypatch):
    for kind in ("training_speed", "inference_speed"):
        monkeypatch.setattr(tool, kind, lambda *_: 1.0)
    rows = tool.speeds(tool.cases(is_small=True), ("float32", "mixed_bfloat16"), None, on_cpu=True)
    assert [row[2:4] for row in rows] == [("float32", "off")] * 2 + [("float32", "on")] * 2 + [("mixed_bfloat16", "off")] * 2
