"""Checks that the files in the repository are those that its tools write."""

import subprocess
import sys

import pytest

from nasnet_tf.testing import REPOSITORY


def made(tool, folder):
    """Runs a tool and returns {name: content} of the files that it wrote."""
    subprocess.run([sys.executable, REPOSITORY / "tools" / tool, "--folder", folder], check=True, capture_output=True)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_make_digits_writes_the_shipped_digits(tmp_path):
    pytest.importorskip("sklearn")
    shipped = REPOSITORY / "nasnet_tf" / "data" / "digits"
    assert made("make_digits.py", tmp_path) == {file.name: file.read_bytes() for file in shipped.iterdir()}


def test_make_pictures_writes_the_pictures_of_the_docs(tmp_path):
    found = made("make_pictures.py", tmp_path)
    shown = REPOSITORY / "docs" / "pictures"
    # Drawn by strategy_benchmark.py and compare_searches.py, from tables and journals that are not in the repository or take too long.
    drawn_elsewhere = {"strategies.svg", "ppo.svg", "comparison.svg"}
    assert sorted({*found, *drawn_elsewhere}) == sorted(file.name for kind in ("svg", "jpg") for file in shown.glob(f"*.{kind}"))
    for name, content in found.items():
        assert not name.endswith(".svg") or content.count(b"<text") > 5
        assert len(content) < 100_000
