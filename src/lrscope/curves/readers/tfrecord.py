"""TFRecord: the frames of TensorBoard's event files, as length, checksum, data, checksum."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.readers.crc32c import crc32c, masked

_HEADER, _FOOTER = 12, 4
_LARGEST_CHECKED = 1024  # bytes: scalars are far smaller, and images or graphs are not read


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """Where the whole records of a file lie: `start`, `end` (records,) int64; and remarks on the rest."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    notes: tuple[str, ...]


def frames(data: bytes) -> Frames:
    """The records of a file that are whole and whose checksums hold."""
    starts: list[int] = []
    ends: list[int] = []
    unpack = struct.Struct("<Q").unpack_from
    at, size = 0, len(data)
    while at + _HEADER <= size:
        body = at + _HEADER
        behind = body + unpack(data, at)[0]
        if behind + _FOOTER > size:
            break
        starts.append(body)
        ends.append(behind)
        at = behind + _FOOTER
    start = np.array(starts, dtype=np.int64)
    end = np.array(ends, dtype=np.int64)
    notes: list[str] = []
    octets = np.frombuffer(data, dtype=np.uint8)
    broken = np.flatnonzero(~_headers_hold(octets, start))
    if len(broken):  # from a wrong length on, the frames are lost
        start, end = start[: broken[0]], end[: broken[0]]
        notes.append("the file is damaged: what comes after its first wrong checksum is left out")
    elif at < size:
        notes.append("the last record is cut off and is left out")
    good = _data_hold(octets, start, end)
    if not good.all():
        notes.append(f"{np.count_nonzero(~good)} records with a wrong checksum are left out")
    return Frames(start=start[good], end=end[good], notes=tuple(notes))


def _stored(octets: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint32]:
    values: NDArray[np.uint32] = octets[at[:, None] + np.arange(4)].view("<u4")[:, 0]
    return values


def _headers_hold(octets: NDArray[np.uint8], start: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(start):
        return np.ones(0, dtype=np.bool_)
    length = octets[(start - _HEADER)[:, None] + np.arange(8)]
    held: NDArray[np.bool_] = masked(crc32c(length)) == _stored(octets, start - 4)
    return held


def _data_hold(octets: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    good = np.ones(len(start), dtype=np.bool_)
    length = end - start
    for size in np.unique(length[length <= _LARGEST_CHECKED]):
        rows = np.flatnonzero(length == size)
        body = octets[start[rows][:, None] + np.arange(size)]
        good[rows] = masked(crc32c(body)) == _stored(octets, end[rows])
    return good
