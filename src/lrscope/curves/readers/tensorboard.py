"""TensorBoard event files: scalars, from the wire format itself.

Each record is an `Event` (step = 2, summary = 5); a summary holds values (tag = 1, simple_value = 2, tensor = 8).
Records that differ only in time, step and value are recognised by the bytes they share, so that each kind is parsed
once; the values are then taken out together.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lrscope.curves.readers import names, protobuf
from lrscope.curves.readers.record import NotThisFormat, Reader, Record, Series
from lrscope.curves.readers.roles import assign_roles
from lrscope.curves.readers.tfrecord import frames

_DOUBLE, _INTEGERS, _HALF = 2, {3, 4, 5, 6, 9, 17, 22, 23}, 19
_Number = tuple[float, bytes]
"""A scalar, and its four bytes where it is a 32-bit float."""

_TENSOR_FLOATS = {5: "<f4", 6: "<f8"}


@dataclass(eq=False)
class _Tag:
    """What one tag has so far: steps and values in order, or where the values lie as 32-bit floats."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # byte offset, or -1 - k for values[k]

    def add(self, step: int, value: float) -> None:
        self.steps.append(step)
        self.places.append(-1 - len(self.values))
        self.values.append(value)

    def series(self, data: bytes) -> Series:
        places = np.array(self.places, dtype=np.int64)
        value = np.empty(len(places))
        parsed = places < 0
        value[parsed] = np.array(self.values, dtype=np.float64)[-1 - places[parsed]]
        octets = np.frombuffer(data, dtype=np.uint8)
        packed = octets[places[~parsed][:, None] + np.arange(4)]
        value[~parsed] = packed.view("<f4")[:, 0] if len(packed) else []
        return Series(step=np.array(self.steps, dtype=np.float64), value=value)


def read_scalars(data: bytes) -> tuple[dict[str, Series], tuple[str, ...]]:
    """The scalars of an event file by tag, in order of writing, and remarks on what could not be read."""
    whole = frames(data)
    tags: dict[str, _Tag] = {}
    layouts: dict[int, list[tuple[int, int]]] = {}  # length behind the step -> where the value may lie
    known: dict[tuple[bytes, bytes], _Tag] = {}  # the bytes around the value -> its tag
    bad = 0
    for start, end in zip(whole.start.tolist(), whole.end.tolist(), strict=True):
        at = start + 10
        # time (9 bytes), then the step: the order in which every writer puts them
        if end - start > 12 and data[start] == 0x09 and data[start + 9] == 0x10:
            step = data[at]
            at += 1
            if step > 0x7F:
                step, at = protobuf.varint(data, at - 1)
            rest = data[at:end]
        else:
            step, rest = 0, data[start:end]
        for low, high in layouts.get(len(rest), ()):
            tag = known.get((rest[:low], rest[high:]))
            if tag is not None:
                tag.steps.append(step)
                tag.places.append(at + low)
                break
        else:
            try:
                _parse(data[start:end], rest, tags, layouts, known)
            except (ValueError, struct.error):
                bad += 1
    notes = (*whole.notes, f"{bad} records are no events and are left out") if bad else whole.notes
    return {name: tag.series(data) for name, tag in tags.items()}, notes


def _parse(
    event: bytes,
    rest: bytes,
    tags: dict[str, _Tag],
    layouts: dict[int, list[tuple[int, int]]],
    known: dict[tuple[bytes, bytes], _Tag],
) -> None:
    """Parse one event in full; where it holds a single 32-bit float, remember its layout for those that follow."""
    step = 0
    summaries: list[bytes] = []
    for number, wire, value, _ in protobuf.fields(event):
        if number == 2 and wire == protobuf.VARINT and isinstance(value, int):
            step = protobuf.signed(value)
        elif number == 5 and isinstance(value, bytes) and wire == protobuf.BYTES:
            summaries.append(value)
    found = [
        (name, value)
        for summary in summaries
        for number, wire, part, _ in protobuf.fields(summary)
        if number == 1 and wire == protobuf.BYTES and isinstance(part, bytes)
        for name, value in _scalar(part)
    ]
    for name, (scalar, packed) in found:
        tag = tags.setdefault(name, _Tag())
        tag.add(step, scalar)
        if len(found) == 1 and packed and len(rest) < len(event) and rest.count(packed) == 1:
            low = rest.index(packed)
            places = layouts.setdefault(len(rest), [])
            if (low, low + 4) not in places:
                places.append((low, low + 4))
            known[(rest[:low], rest[low + 4 :])] = tag


def _scalar(value: bytes) -> list[tuple[str, _Number]]:
    """(tag, (number, its four bytes if it is a 32-bit float)) of a summary's value; empty where it is no scalar."""
    tag = ""
    number: _Number | None = None
    for field_number, wire, part, _ in protobuf.fields(value):
        if field_number == 1 and isinstance(part, bytes):
            tag = part.decode("utf-8", errors="replace")
        elif field_number == 2 and wire == protobuf.FIXED32 and isinstance(part, bytes):
            number = (float(struct.unpack("<f", part)[0]), part)
        elif field_number == 8 and isinstance(part, bytes):
            number = _tensor(part)
    return [] if number is None else [(tag, number)]


def _tensor(data: bytes) -> _Number | None:
    """The number in a tensor of one element; None for any other tensor."""
    kind = 1
    for number, wire, part, _ in protobuf.fields(data):
        if number == 1 and isinstance(part, int):
            kind = part
        elif number in _TENSOR_FLOATS and isinstance(part, bytes):
            return _single(part, _TENSOR_FLOATS[number])
        elif number == 4 and isinstance(part, bytes):
            widths = {_DOUBLE: "<f8", _HALF: "<f2", 3: "<i4", 9: "<i8", 1: "<f4"}
            return _single(part, widths[kind]) if kind in widths else None
        elif number in (7, 10) and kind in _INTEGERS:
            if isinstance(part, bytes):
                return float(protobuf.signed(protobuf.varint(part, 0)[0])), b""
            if wire == protobuf.VARINT:
                return float(protobuf.signed(part)), b""
    return None


def _single(data: bytes, dtype: str) -> _Number | None:
    if len(data) != np.dtype(dtype).itemsize:
        return None
    return float(np.frombuffer(data, dtype=dtype)[0]), data if dtype == "<f4" else b""


def read_tensorboard(paths: Sequence[Path]) -> list[Record]:
    """The one run that the event files of a folder hold; those of a validation folder beside it are its validation."""
    collected: dict[str, list[Series]] = {}
    notes: list[str] = []
    folders = {path.parent.name for path in paths}
    for path in paths:
        scalars, remarks = read_scalars(path.read_bytes())
        notes += remarks
        validation = len(folders) > 1 and names.is_validation_word(path.parent.name)
        for tag, series in scalars.items():
            collected.setdefault(f"val {tag}" if validation else tag, []).append(series)
    joined = {tag: joined_series(parts) for tag, parts in collected.items()}
    roles, remarks = assign_roles({tag: len(series.step) for tag, series in joined.items()})
    if "loss" not in roles:
        raise NotThisFormat("no scalar is a loss" if joined else "no scalars")
    return [Record(series={role: joined[tag] for role, tag in roles.items()}, notes=(*notes, *remarks))]


def joined_series(parts: Sequence[Series]) -> Series:
    """Series one after the other."""
    return Series(
        step=np.concatenate([part.step for part in parts]), value=np.concatenate([part.value for part in parts])
    )


READER = Reader(
    name="TensorBoard",
    accepts="TensorBoard event files",
    matches=lambda path, head: ".tfevents." in path.name or b"brain.Event:" in head[:64],
    read=read_tensorboard,
    joins_siblings=True,
)
