"""Files as a whole."""

import pytest

from nasnet_tf.files import replace_file


def test_text_and_bytes_replace_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    replace_file(path, "Ärger\n")
    assert path.read_bytes() == b"\xc3\x84rger\n"
    replace_file(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    (tmp_path / "file.txt.tmp").symlink_to("/dev/full")  # takes no byte
    with pytest.raises(OSError, match=r"file.txt cannot be written \(No space left on device\); what was there before stays"):
        replace_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=r"missing/file.txt cannot be written \(No such file or directory\)"):
        replace_file(tmp_path / "missing" / "file.txt", "text")
