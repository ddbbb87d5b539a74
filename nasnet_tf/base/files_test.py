"""Checks that files are replaced as a whole, and that places where nothing can be written are refused."""

import pathlib

import pytest

from nasnet_tf.base import files
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file


def test_a_path_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    files.check_place(tmp_path / "a" / "b", "--workdir")
    files.check_place(tmp_path / "file", "--output")
    with pytest.raises(InputError, match=r"^--workdir: .*file/x/y cannot be written: expected a folder, but .*file is a file$"):
        files.check_place(tmp_path / "file" / "x" / "y", "--workdir")
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=f"^--output: .*b cannot be written: no permission for {tmp_path}$"):
        files.check_place(tmp_path / "a" / "b", "--output")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_text_and_bytes_replace_the_old_content(tmp_path):
    path = tmp_path / "file.txt"
    replace_file(path, "Ärger\n")
    assert path.read_bytes() == b"\xc3\x84rger\n"
    replace_file(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    (tmp_path / "file.txt.tmp").symlink_to("/dev/full")  # every write to it fails
    with pytest.raises(OSError, match=r"file.txt cannot be written \(No space left on device\); its old content is kept"):
        replace_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=r"missing/file.txt cannot be written \(No such file or directory\)"):
        replace_file(tmp_path / "missing" / "file.txt", "text")


@pytest.mark.parametrize("path", ["gs://bucket/run", "s3://bucket/a.json", "hdfs://host:1/x", "file:///tmp/x"])
def test_addresses_are_refused_in_one_line(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    writers = (files.check_local, files.make_folder, lambda path: replace_file(path, ""), lambda path: files.check_place(path, "--workdir"))
    for write in writers:
        with pytest.raises(
            InputError, match=r"://.* cannot be written: expected a path on a disk of this machine; write there and copy it"
        ):
            write(pathlib.Path(path))
    with pytest.raises(InputError, match=f"^--output: {path} cannot be written"):
        files.check_local(path, "--output")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["a:b", "runs/a", "/a:/b", "C:/x", "10:30/x", "~/x"])
def test_paths_with_colons_are_no_addresses(path):
    files.check_local(path)
