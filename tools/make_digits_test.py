import subprocess
import sys

import pytest

from nasnet_tf.testing import REPOSITORY


def test_writes_what_is_shipped(tmp_path):
    pytest.importorskip("sklearn")
    subprocess.run([sys.executable, REPOSITORY / "tools" / "make_digits.py", "--folder", tmp_path], check=True, capture_output=True)
    shipped = REPOSITORY / "nasnet_tf" / "data" / "digits"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {file.name: file.read_bytes() for file in shipped.iterdir()}
