"""Single records of prepared data, read by their numbers: a worker reads the examples that it needs, in any order, and no others."""

import struct
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nasnet_tf.errors import InputError

# A record is its length (8 bytes), a checksum of that (4), the payload, and a checksum of that (4).
_LENGTH = struct.Struct("<Q")
_HEADER, _FOOTER = 12, 4


class TFRecords:
    """Records of TFRecord files, which have no index: where each record begins is found out when a file is first needed.

    That takes a read of 8 bytes for each record of the file, 4 microseconds of CPU each, and no payload.
    Payloads are not compared with their checksums.

    Args:
      files: path and number of records of each, in order. Records are numbered through all of them, from 0.
    """

    def __init__(self, files: Sequence[tuple[str, int]]):
        self._files = list(files)
        self._ends = np.cumsum([count for _, count in files])
        self._borders: dict[int, np.ndarray] = {}
        self._locks = [threading.Lock() for _ in files]

    def read(self, numbers: np.ndarray) -> list[bytes]:
        """The payloads of these records (int64 [n]), in this order.

        Raises:
          InputError: a file that is gone, cut short, or has other records than expected.
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
                payload = content.read(size)
        except (OSError, tf.errors.OpError) as error:
            raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error.message}") from error
        if len(payload) != size:
            raise InputError(f"{path}: record {number} is cut short")
        return payload


class ArrayRecords:
    """Records of ArrayRecord files, which have an index; otherwise as TFRecords."""

    def __init__(self, files: Sequence[tuple[str, int]]):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        self._records = ArrayRecordDataSource([path for path, _ in files])

    def read(self, numbers: np.ndarray) -> list[bytes]:
        """As TFRecords.read."""
        return self._records.__getitems__(numbers.tolist())


def _find_borders(path: str, count: int) -> np.ndarray:
    """int64 [count + 1]: where each record of a TFRecord file begins, and the size of the file."""
    place, borders = 0, np.empty(count + 1, np.int64)
    with _open(path) as content:
        for number in range(count):
            borders[number] = place
            content.seek(place)
            header = content.read(_LENGTH.size)
            if len(header) < _LENGTH.size:
                raise InputError(f"{path}: expected {count} records, got {number}: the file is cut short")
            place += _LENGTH.unpack(header)[0] + _HEADER + _FOOTER
        size = content.seek(0, 2) if hasattr(content, "fileno") else content.size()
    if place != size:
        raise InputError(f"{path}: expected {size:,} bytes to hold {count} records, these end after {place:,}: the file is damaged")
    borders[count] = size
    return borders


def _open(path: str):
    """Without buffers where that is possible: what is not asked for is not read."""
    return tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb", buffering=0)
