"""Tests that processes of calls do not run the caller's script, that none is left, and that Ctrl-C pauses a search."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from nasnet_tf.testing import TIMEOUT_SECONDS, until

# A beginner's script, without `if __name__ == "__main__"`.
SCRIPT = """
import sys

import numpy as np
import psutil
import nasnet_tf

print("the script begins", flush=True)
images = np.random.default_rng(0).integers(0, 256, [24, 8, 8, 3]).astype(np.uint8)
quick = {
    "search.evaluator": "@ZeroCost()",
    "ZeroCost.network": "@NetworkConfig()",
    "ZeroCost.data": "@ImageData()",
    "ZeroCost.batch_size": 8,
    "SearchSpace.num_blocks": 1,
    "NetworkConfig.filters": 4,
}
found = nasnet_tf.search((images, np.arange(24) % 2), 0.25, workdir="run", max_trainings=int(sys.argv[1]), workers=1, bindings=quick)
print(found, __file__, [process.pid for process in psutil.Process().children(recursive=True)])
"""


def members(group):
    """Returns the running processes of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.fixture
def interruptible():
    """Lets the processes of a test receive SIGINT, which a shell's background jobs and their children ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.several_processes
def test_a_script_without_guard_is_paused_by_an_interrupt_and_resumed(tmp_path, interruptible):
    """The interrupt goes to all processes of the group, as from a terminal or from Jupyter."""
    (tmp_path / "script.py").write_text(SCRIPT)
    journal = tmp_path / "run" / "journal.jsonl"
    begin = {"cwd": tmp_path, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    more_than_it_can = "10000"
    with subprocess.Popen([sys.executable, "script.py", more_than_it_can], **begin, start_new_session=True) as script:
        until(lambda: script.poll() is not None or (journal.is_file() and "proposed" in journal.read_text()))
        os.killpg(script.pid, signal.SIGINT)
        output, errors = script.communicate(timeout=TIMEOUT_SECONDS)
        assert members(script.pid) == []
    assert "the search is paused; repeat the call to resume it" in errors
    assert script.returncode == -signal.SIGINT
    assert output.splitlines() == ["the script begins"]
    count = journal.read_text().count('"proposed"') + 1
    result = subprocess.run([sys.executable, "script.py", str(count)], **begin, timeout=TIMEOUT_SECONDS, check=False)
    assert result.returncode == 0, result.stderr
    first, *_, last = result.stdout.splitlines()
    assert first == "the script begins"
    assert last.startswith(f"{count} trials, {count} rewarded")
    assert last.endswith("script.py []")
    assert result.stdout.count("the script begins") == 1
