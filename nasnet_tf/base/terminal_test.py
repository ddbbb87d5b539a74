"""Checks that known remarks of C libraries are removed from standard error, and that nothing else is."""

import subprocess
import sys

SCRIPT = """
import logging, os, subprocess, sys
from nasnet_tf.base.terminal import quiet, without_remarks
with without_remarks():
    os.write(2, b"Improper call to JPEG library in state 201\\nsomething else\\n")
    print("of Python", file=sys.stderr)
    with quiet():
        os.write(2, b"loading\\n")
        print("loading", file=sys.stderr)
        logging.getLogger("kept").addHandler(logging.StreamHandler())  # like TensorFlow's handler, it keeps the current standard error
    logging.getLogger("kept").error("of a log")
    left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # holds the pipe open; the script may not wait
    os.write(2, b"libpng warning: iCCP\\nthe last\\n")
os.write(2, b"afterwards\\n")
left.kill()
logging.getLogger("kept").error("a later log")
with quiet():
    os.write(2, b"shown with the failure\\n")
    raise RuntimeError
"""


def test_only_remarks_are_removed():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    lines = result.stderr.splitlines()
    assert sorted(lines[:4]) == ["of Python", "of a log", "something else", "the last"]
    assert lines[4:7] == ["afterwards", "a later log", "shown with the failure"]
    assert lines[-1] == "RuntimeError"
    assert "loading" not in result.stderr
