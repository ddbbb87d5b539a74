"""Reads single records of prepared data by number, so that a worker reads only the examples that it needs, in any order."""

import struct
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.extras import OnDemand

google_crc32c = OnDemand("google_crc32c")

# A record is its length (8 bytes), a checksum of the length (4), the payload, and a checksum of the payload (4).
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_HEADER, _FOOTER = _LENGTH.size + _CHECKSUM.size, _CHECKSUM.size


class TFRecords:
    """Records of TFRecord files. The files have no index, so the offsets of a file's records are found when the file is first needed.

    That reads 12 bytes for each record of the file, which takes 5 microseconds of CPU, and no payloads. Lengths and payloads are compared
    with their checksums.

    Args:
      files: (path, number of records) of each file, in order. Records are numbered through all files, from 0.
    """

    def __init__(self, files: Sequence[tuple[str, int]]):
        self._files = list(files)
        self._ends = np.cumsum([count for _, count in files])
        self._borders: dict[int, np.ndarray] = {}
        self._locks = [threading.Lock() for _ in files]

    def read(self, numbers: np.ndarray) -> list[bytes]:
        """Returns the payloads of the records with these numbers, int64 [n], in this order.

        Raises:
          InputError: a file is missing, cut short or damaged, or has another number of records than expected. The message names the file
            and, if known, the place in it.
        """
        return [
            self._read(int(file), int(number)) for file, number in zip(np.searchsorted(self._ends, numbers, "right"), numbers, strict=True)
        ]

    def _read(self, file: int, number: int) -> bytes:
        path, count = self._files[file]
        try:
            with self._locks[file]:
                if file not in self._borders:
                    self._borders[file] = _find_borders(path, count)
            begin, end = self._borders[file][number - self._ends[file] + count :][:2]
            size = int(end - begin) - _HEADER - _FOOTER
            with _open(path) as content:
                content.seek(int(begin) + _HEADER)
                payload, checksum = content.read(size), content.read(_FOOTER)
        except (OSError, tf.errors.OpError) as error:
            raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error.message}") from error
        if len(checksum) != _FOOTER:
            raise InputError(f"{path}: record {number} is cut short")
        _check(path, number, int(begin), payload, checksum)
        return payload


class ArrayRecords:
    """Records of ArrayRecord files, which have an index; the interface is that of TFRecords."""

    def __init__(self, files: Sequence[tuple[str, int]]):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._records = ArrayRecordDataSource([path for path, _ in files])

    def read(self, numbers: np.ndarray) -> list[bytes]:
        """Returns the payloads of the records with these numbers, int64 [n], in this order."""
        return self._records.__getitems__(numbers.tolist())


def _find_borders(path: str, count: int) -> np.ndarray:
    """Returns the offsets of the records of a TFRecord file, and the size of the file, int64 [count + 1]."""
    place, borders = 0, np.empty(count + 1, np.int64)
    with _open(path) as content:
        for number in range(count):
            borders[number] = place
            content.seek(place)
            header = content.read(_HEADER)
            if len(header) < _HEADER:
                raise InputError(f"{path}: expected {count} records, got {number}: the file is cut short")
            length = header[: _LENGTH.size]
            _check(path, number, place, length, header[_LENGTH.size :])
            place += _LENGTH.unpack(length)[0] + _HEADER + _FOOTER
        size = content.seek(0, 2) if hasattr(content, "fileno") else content.size()
    if place != size:
        raise InputError(f"{path}: expected {count} records to end at byte {size:,}, got an end at byte {place:,}: the file is damaged")
    borders[count] = size
    return borders


def _check(path: str, number: int, place: int, content: bytes, checksum: bytes) -> None:
    """Raises InputError if a part of the record that begins at `place` does not match its checksum."""
    crc = google_crc32c.value(content)
    if _CHECKSUM.unpack(checksum)[0] != ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32:  # TFRecord stores CRC-32C in this masked form
        raise InputError(f"{path}: record {number}, at byte {place:,}, is damaged: its checksum is not that of its content")


def _open(path: str):
    """Opens a file to read, a local one without a buffer, so that only the requested bytes are read."""
    return tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb", buffering=0)
