import concurrent.futures
import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import records
from nasnet_tf.data.order import Order
from nasnet_tf.data.records import ArrayRecords, TFRecords

PAYLOADS = [bytes([number]) * (1000 + number) for number in range(50)]


@pytest.fixture(name="files")
def two_files(tmp_path) -> list[tuple[str, int]]:
    files = [(str(tmp_path / "a"), 30), (str(tmp_path / "b"), 20)]
    for (path, count), start in zip(files, (0, 30), strict=True):
        with tf.io.TFRecordWriter(path) as writer:
            for payload in PAYLOADS[start : start + count]:
                writer.write(payload)
    return files


class CountedFile(io.FileIO):
    """A file like that of `records._open`, which counts the bytes that are read."""

    bytes_read = 0

    def read(self, size):
        content = super().read(size)
        CountedFile.bytes_read += len(content)
        return content


def test_records_in_any_order_from_several_threads(files):
    numbers = np.random.default_rng(0).permutation(50)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(TFRecords(files).read, [numbers] * 4):
            assert found == [PAYLOADS[number] for number in numbers]


def test_only_what_is_asked_for_is_read(files, monkeypatch):
    monkeypatch.setattr(records, "_open", CountedFile)
    monkeypatch.setattr(CountedFile, "bytes_read", 0)
    reader = TFRecords(files)
    assert reader.read(np.array([29, 3])) == [PAYLOADS[29], PAYLOADS[3]]
    lengths = 30 * 12  # of the first file; the second is not read
    assert CountedFile.bytes_read == lengths + 1029 + 1003 + 2 * 4
    reader.read(np.array([29]))
    assert CountedFile.bytes_read == lengths + 1029 + 1003 + 1029 + 3 * 4


def test_files_of_other_file_systems(files):
    remote = []
    for path, count in files:
        tf.io.gfile.copy(path, f"ram://{path}")
        remote.append((f"ram://{path}", count))
    assert TFRecords(remote).read(np.array([49, 0])) == [PAYLOADS[49], PAYLOADS[0]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-500], "a: expected 30 records to end at byte .*, got an end at byte .*: the file is damaged"),
        (lambda content: content[:5000], "a: expected 30 records, got 5: the file is cut short"),
        (lambda content: content + b"more", "the file is damaged"),
        (None, "a cannot be read: No such file"),
    ],
)
def test_damaged_files_are_refused_and_others_are_read(files, damage, message):
    path = pathlib.Path(files[0][0])
    content = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(content))
    reader = TFRecords(files)
    with pytest.raises(InputError, match=message):
        reader.read(np.array([0]))
    assert reader.read(np.array([30])) == [PAYLOADS[30]]


@pytest.mark.parametrize(
    ("place", "number", "message"),
    [
        (1016 + 12 + 7, 1, "a: record 1, at byte 1,016, is damaged: its checksum is not that of its content"),  # in the payload
        (1016 + 12 + 1001, 1, "a: record 1, at byte 1,016, is damaged"),  # in its checksum
        (1016, 0, "a: record 1, at byte 1,016, is damaged"),  # in its length: no record can be found then
    ],
)
def test_a_changed_bit_is_found(files, place, number, message):
    path = pathlib.Path(files[0][0])
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    reader = TFRecords(files)
    with pytest.raises(InputError, match=message):
        reader.read(np.array([number]))
    assert reader.read(np.array([30])) == [PAYLOADS[30]]
    if number:
        assert reader.read(np.array([0, 2])) == [PAYLOADS[0], PAYLOADS[2]]


def test_array_records_are_read_by_number(tmp_path):
    module = pytest.importorskip("array_record.python.array_record_module")
    files = [(str(tmp_path / "a"), 30), (str(tmp_path / "b"), 20)]
    for (path, count), start in zip(files, (0, 30), strict=True):
        writer = module.ArrayRecordWriter(path, "group_size:1")
        for payload in PAYLOADS[start : start + count]:
            writer.write(payload)
        writer.close()
    assert ArrayRecords(files).read(np.array([49, 0, 29])) == [PAYLOADS[49], PAYLOADS[0], PAYLOADS[29]]


def test_order_is_a_permutation_for_each_epoch_at_any_place():
    order = Order(100, seed=3)
    epochs = order(np.arange(300)).reshape(3, 100)
    assert (np.sort(epochs) == np.arange(100)).all()
    assert not (epochs[0] == epochs[1]).all()
    np.testing.assert_array_equal(Order(100, seed=3)(np.array([250, 17])), [epochs[2][50], epochs[0][17]])
    assert not (Order(100, seed=4)(np.arange(100)) == epochs[0]).all()


def test_order_never_changes():
    assert Order(8, seed=0)(np.arange(16)).tolist() == [6, 3, 5, 0, 7, 2, 1, 4, 3, 1, 0, 4, 5, 6, 7, 2]
