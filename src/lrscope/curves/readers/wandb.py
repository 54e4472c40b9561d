"""W&B's local log (.wandb): records of protocol buffers in a LevelDB log.

The file begins with ":W&B", a magic number and a version (7 bytes); then come blocks of 32 KiB with fragments of
checksum (4), length (2), kind (1: full, first, middle, last) and data. A record holds history = 2, summary = 3,
config = 5 or run = 17.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lrscope.curves.readers import protobuf
from lrscope.curves.readers.jsonl import flattened, parse_json, table_from_rows
from lrscope.curves.readers.record import NotThisFormat, Reader, Record
from lrscope.curves.readers.table import records_from_table

_IDENT = b":W&B"
_FILE_HEADER, _BLOCK, _FRAGMENT = 7, 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def log_records(data: bytes, notes: list[str]) -> Iterator[bytes]:
    """The whole records of a LevelDB log whose checksums hold; the rest goes into the notes."""
    at, parts, damaged = _FILE_HEADER, list[bytes](), 0
    while at < len(data):
        left = _BLOCK - at % _BLOCK
        if left < _FRAGMENT:  # the end of a block too short for a fragment is padding
            at += left
            continue
        if at + _FRAGMENT > len(data):
            break
        checksum, length, kind = struct.unpack_from("<IHB", data, at)
        body = data[at + _FRAGMENT : at + _FRAGMENT + length]
        if kind == 0 and length == 0:
            at += left
            continue
        if len(body) < length:
            break
        at += _FRAGMENT + length
        if zlib.crc32(body, zlib.crc32(bytes([kind]))) != checksum:
            damaged, parts = damaged + 1, []
            continue
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(body)
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
            parts = []
    if at < len(data) or parts:
        notes.append("the last record is cut off and is left out")
    if damaged:
        notes.append(f"{damaged} records with a wrong checksum are left out")


def _items(record: dict[int, list[protobuf.Value]], number: int) -> dict[str, Any]:
    """Key → value of a record's items; a value that is no JSON is left out."""
    values: dict[str, Any] = {}
    for item in protobuf.submessages(record, number):
        key = "/".join(protobuf.texts(item, 2) or protobuf.texts(item, 1))
        for text in protobuf.texts(item, 16) or protobuf.texts(item, 8):
            try:
                values[key] = parse_json(text)
            except ValueError:
                continue
        for number_bytes in item.get(6, ()):
            if isinstance(number_bytes, bytes) and len(number_bytes) == 8:
                values[key] = struct.unpack("<d", number_bytes)[0]
        for whole in item.get(5, ()):
            if isinstance(whole, int):
                values[key] = protobuf.signed(whole)
    return values


def read_wandb(paths: Sequence[Path]) -> list[Record]:
    """The run in a .wandb file: its history, and its configuration as constant columns."""
    data = paths[0].read_bytes()
    if data[:4] != _IDENT:
        raise NotThisFormat("it does not begin with ':W&B'")
    notes: list[str] = []
    rows: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    bad = 0
    for raw in log_records(data, notes):
        try:
            record = protobuf.message(raw)
            for run in protobuf.submessages(record, 17):
                for part in protobuf.submessages(run, 4):
                    config |= _items(part, 1)
            for part in protobuf.submessages(record, 5):
                config |= _items(part, 1)
            for history in protobuf.submessages(record, 2):
                row = _items(history, 1)
                for step in protobuf.submessages(history, 2):
                    numbers = [v for v in step.get(1, [0]) if isinstance(v, int)]
                    row.setdefault("_step", numbers[0] if numbers else 0)
                rows.append(flattened(row))
        except ValueError:
            bad += 1
    if bad:
        notes.append(f"{bad} records are not W&B's and are left out")
    if not rows:
        raise NotThisFormat("no history")
    settings = {f"config/{k}": v for k, v in flattened(config).items() if not k.startswith("_wandb")}
    return records_from_table(table_from_rows([{**settings, **row} for row in rows]), notes)


READER = Reader(
    name="W&B",
    accepts="W&B's .wandb files",
    matches=lambda path, head: head[:4] == _IDENT,
    read=read_wandb,
)
