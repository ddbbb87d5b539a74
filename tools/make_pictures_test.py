import subprocess
import sys

from nasnet_tf.testing import REPOSITORY


def test_draws_what_is_shown(tmp_path):
    subprocess.run([sys.executable, REPOSITORY / "tools" / "make_pictures.py", "--folder", tmp_path], check=True, capture_output=True)
    shown = REPOSITORY / "docs" / "pictures"
    expected = [file.name for kind in ("svg", "jpg") for file in shown.glob(f"*.{kind}")]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(expected)
    for file in tmp_path.iterdir():
        assert file.suffix != ".svg" or file.read_text().count("<text") > 5
        assert file.stat().st_size < 100_000
