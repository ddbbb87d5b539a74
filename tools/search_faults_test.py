import random
import subprocess
import sys

import broken_search
import search_faults

from nasnet_tf.testing import REPOSITORY


class Failing(search_faults.Faults):
    def row_that_fails(self):
        broken_search.check(False, "so it is")


def test_a_row_that_fails_is_told(capsys):
    assert not search_faults.run_rows(Failing(None, None, random.Random(0)), only="row_that_fails")
    assert capsys.readouterr().out == "FAILED row that fails (0 s): AssertionError: so it is\n"


def test_a_row_that_holds():
    command = [sys.executable, REPOSITORY / "tools" / "search_faults.py", "--engine=local", "--only=late"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    assert output.startswith("ok     late duplicate (")
    assert output.count("\n") == 1
