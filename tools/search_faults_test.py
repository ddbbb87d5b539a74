"""Checks that the tool reports a fault that fails, and that one real fault is ok."""

import random
import subprocess
import sys

import broken_search
import search_faults

from nasnet_tf.testing import REPOSITORY


class Failing(search_faults.Faults):
    def row_that_fails(self):
        broken_search.check(False, "it fails")


def test_a_failing_fault_is_reported(capsys):
    assert not search_faults.run_rows(Failing(None, None, random.Random(0)), only="row_that_fails")
    assert capsys.readouterr().out == "FAILED row that fails (0 s): AssertionError: it fails\n"


def test_a_fault_that_is_ok_is_reported():
    command = [sys.executable, REPOSITORY / "tools" / "search_faults.py", "--engine=local", "--only=late"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    assert output.startswith("ok     late duplicate (")
    assert output.count("\n") == 1
