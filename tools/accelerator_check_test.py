import json
import re
import subprocess
import sys
import time
import types

import accelerator_check as tool
import accelerator_rows as rows
import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.testing import REPOSITORY
from nasnet_tf.training.distribution import make_strategy

# Stands in for the process of a row. The name of the row says what it does.
_PROCESS = """
import json, pathlib, sys, time
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
(folder / name).touch()
if name == "dies": sys.exit("out of memory")
if name == "is_not_traced": time.sleep(1000)
print("READY", flush=True)
sys.stdin.readline()
while name == "waits_for_next" and not (folder / "next").exists(): time.sleep(0.01)
if name == "is_slow off": time.sleep(1000)
print("RESULT", json.dumps({"failed": f"{name} is done"}), flush=True)
"""


@pytest.fixture
def no_gpu(monkeypatch):
    """Pretends that the machine has no accelerator, without starting TensorFlow to look for one."""
    machine = json.dumps({"kind": "CPU", "count": 0, "text": "none"})
    monkeypatch.setattr(tool, "COMMAND", (sys.executable, "-c", f"print('RESULT', {machine!r})"))


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Returns a function that measures rows with stand-ins for their processes."""
    monkeypatch.setattr(tool, "COMMAND", (sys.executable, "-c", _PROCESS))
    monkeypatch.setattr(tool, "ROW_SECONDS", {"off": 0.5, "waits_for_next": 20.0, "next": 20.0})

    def run(*names, seconds=60.0):
        found = tool.measured(names, str(tmp_path), 1, time.monotonic() + seconds, tmp_path)
        return {name: result["failed"] for name, result in found}

    return run


def test_the_next_row_is_prepared_while_one_is_timed(measure):
    assert measure("waits_for_next", "next") == {"waits_for_next": "waits_for_next is done", "next": "next is done"}


def test_rows_that_take_too_long_or_die_are_ended_and_the_others_are_measured(measure, monkeypatch):
    monkeypatch.setattr(tool, "TRACE_SECONDS", 2.0)
    found = measure("is_slow off", "dies", "is_not_traced", "next")
    assert found["is_slow off"] == "ended: it took too long on the device"
    assert found["dies"] == "failed: the process died: out of memory"
    assert found["is_not_traced"] == "ended: it was not traced in time"
    assert found["next"] == "next is done"


def test_no_row_is_started_after_the_time_limit(measure, tmp_path):
    assert measure("next", seconds=0.0) == {"next": "not begun: no time left"}
    assert not (tmp_path / "next").exists()


def test_rows_are_in_order_of_importance():
    names = tool.row_names(["mobile", "large"], ["ours", "peer"], on_cpu=False)
    assert len(names) == len(set(names)) == 33
    assert names[:2] == ["mobile training float32 ours off", "mobile training float32 peer off"]
    assert names[-1] == tool.COMPARISONS
    xla = [name.split() for name in names[:-1] if name.endswith("on")]
    assert [words[4] for words in map(str.split, names[:16])] == ["off"] * 16
    assert [words[2] for words in xla if words[0] == "mobile"] == ["mixed_bfloat16"] * 4 + ["float32"] * 4
    assert not any("bfloat16" in name for name in tool.row_names(["small"], ["ours"], on_cpu=True) if name.endswith("on"))


def test_small_rows_are_measured_and_printed_as_a_table():
    command = [sys.executable, "tools/accelerator_check.py", "--small", "--rows", "^small inference float32 .* off$"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    line = re.search(r"^\| small \| inference \| float32 \| off \|(.*)\|$", ended.stdout, re.MULTILINE)
    speed, peer, ratio, peak, its_peak, every = (cell.strip() for cell in line.group(1).split("|"))
    assert float(ratio) == pytest.approx(float(speed) / float(peer), rel=0.01, abs=0.006)
    assert float(peak) > 0.1
    assert float(its_peak) > 0.1
    assert every == ""
    assert [row in ended.stderr for row in ("inference float32 ours off |", "inference float32 peer off |")] == [True, True]


def test_wrong_rows_are_refused(no_gpu, capsys):
    with pytest.raises(SystemExit, match=r"--rows 'nothing': expected it to match at least one row, such as 'small training float32"):
        tool.main(["--rows", "nothing"])
    with pytest.raises(SystemExit):
        tool.main(["--rows", "("])
    assert "expected a regular expression, got '('" in capsys.readouterr().err
    assert tool.main(["--list", "--rows", "ours on"]) == 0
    assert capsys.readouterr().out.splitlines() == ["small training float32 ours on", "small inference float32 ours on"]


def test_a_comparison_that_does_not_hold_is_an_exit_code(no_gpu, monkeypatch, capsys):
    compared = {"comparisons": [(True, "a: holds"), (False, "b: DOES NOT HOLD")]}
    monkeypatch.setattr(tool, "measured", lambda *_: iter([(tool.COMPARISONS, compared)]))
    assert tool.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == ["- a: holds", "- b: DOES NOT HOLD"]


def test_after_ctrl_c_the_table_is_printed_and_the_exit_code_says_so(no_gpu, monkeypatch, capsys):
    def interrupted(*_):
        yield "small training float32 ours off", {"speed": 12.5, "compile_s": 1.0, "peak_gb": 0.5, "batch_size": 2}
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, "measured", interrupted)
    assert tool.main([]) == 130
    assert "| small | training | float32 | off | 12.5 |" in capsys.readouterr().out


def test_without_a_tpu_one_line_says_so(monkeypatch):
    monkeypatch.setattr(tool, "COMMAND", (sys.executable, "-c", "import sys; sys.exit(' '.join(sys.argv[1:]))"))
    with pytest.raises(SystemExit, match=r"^error: no TPU can be used here: failed: the process died: machine tpu$"):
        tool.main(["--strategy=tpu"])
    for name in ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="expected the address of a TPU, got ''"):
        rows.machine("tpu")


def test_the_machine_row_names_a_tpu_by_its_cores(monkeypatch):
    monkeypatch.setenv("TPU_NAME", "local")
    cores = {("tpu", "local"): types.SimpleNamespace(num_replicas_in_sync=8)}
    monkeypatch.setattr(rows, "make_strategy", lambda *asked: cores[asked])
    found = rows.measure("machine", "tpu", lambda: None)
    assert (found["kind"], found["count"]) == ("TPU", 8)
    assert found["text"].startswith(f"8 TPU cores, TensorFlow {rows.tf.__version__}, Keras ")


def test_compares_devices_and_precisions(monkeypatch):
    monkeypatch.setattr(rows, "STEPS", 2)
    found = list(rows.comparisons(make_strategy("one_device"), make_strategy("mirrored"), is_tpu=False))
    assert [holds for holds, _ in found] == [True] * 4, found
    whats = ["1 device and", "1 device and", "mixed_bfloat16 and float32", "mixed_float16 and float32"]
    assert all(text.startswith(what) and ": holds: losses differ by " in text for what, (_, text) in zip(whats, found, strict=True))


def test_a_comparison_can_fail():
    reference = np.array([2.0, 1.0])
    assert rows.compare(np.array([2.0, 1.01]), reference, 0.01)[0]
    assert not rows.compare(np.array([2.0, 1.03]), reference, 0.01)[0]
    assert rows.compare(np.array([np.nan, 1.0]), reference, 0.01)[1].startswith("DOES NOT HOLD")


def test_a_failure_is_one_line_of_a_table():
    error = rows.tf.errors.ResourceExhaustedError(None, None, "OOM when allocating | a tensor\nand more")
    assert rows.failure(error) == "failed: ResourceExhaustedError: OOM when allocating / a tensor"


def test_trains_and_infers_in_half_precision(monkeypatch):
    monkeypatch.setattr(rows, "build_network", lambda *_: rows.small_network(False, 32))
    monkeypatch.setattr(rows, "inference_model", lambda model: model)
    for kind in ("training", "inference"):
        assert rows.measure(f"small {kind} mixed_bfloat16 ours off", "auto", lambda: None)["speed"] > 0


def test_each_name_has_its_network():
    assert [rows.find_case(name).config.filters for name in ("mobile", "large", "small")] == [None, None, 8]
