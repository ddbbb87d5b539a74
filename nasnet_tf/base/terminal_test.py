"""Standard error without what C libraries write there past all log levels."""

import subprocess
import sys

SCRIPT = """
import os, subprocess, sys
from nasnet_tf.base.terminal import quiet, without_remarks
with without_remarks():
    os.write(2, b"Improper call to JPEG library in state 201\\nsomething else\\n")
    print("of Python", file=sys.stderr)
    with quiet():
        os.write(2, b"loading\\n")
        print("loading", file=sys.stderr)
    left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # holds the pipe open, and must not be waited for
    os.write(2, b"libpng warning: iCCP\\nthe last\\n")
os.write(2, b"afterwards\\n")
left.kill()
with quiet():
    os.write(2, b"told with the failure\\n")
    raise RuntimeError
"""


def test_remarks_are_left_out_and_nothing_else():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    lines = result.stderr.splitlines()
    assert sorted(lines[:3]) == ["of Python", "something else", "the last"]
    assert lines[3:5] == ["afterwards", "told with the failure"]
    assert lines[-1] == "RuntimeError"
    assert "loading" not in result.stderr
