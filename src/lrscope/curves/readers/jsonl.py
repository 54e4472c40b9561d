"""JSON lines: one JSON object per logged row; Ray's result.json and lrscope's own monitor write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lrscope.curves.readers.column import Column, column
from lrscope.curves.readers.csv import decoded
from lrscope.curves.readers.record import NotThisFormat, Reader, Record
from lrscope.curves.readers.table import records_from_table

_BARE = re.compile(r"(?<=[:\[,\s])([+-]?)(nan|inf|infinity|1\.#inf0*|1\.#ind|1\.#qnan)(?=\s*[,}\]])", re.IGNORECASE)


def parse_json(text: str) -> Any:
    """JSON in which NaN and Infinity may be spelled as C, Python or JavaScript do. Raises ValueError.

    >>> parse_json('{"loss": nan, "lr": -inf}')
    {'loss': nan, 'lr': -inf}
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        repaired = _BARE.sub(lambda m: _spelling(m.group(1), m.group(2).lower()), text)
        if repaired == text:
            raise
        return json.loads(repaired)


def _spelling(sign: str, word: str) -> str:
    return ("-" if sign == "-" else "") + "Infinity" if "inf" in word else "NaN"


def flattened(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested object with its keys joined by slashes; lists are left out.

    >>> flattened({"train": {"loss": 2.0}, "step": 1})
    {'train/loss': 2.0, 'step': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{key}/"))
        elif not isinstance(value, list):
            flat[prefix + key] = value
    return flat


def table_from_rows(rows: Sequence[dict[str, Any]]) -> dict[str, Column]:
    """Objects as columns: a key that a row does not have is an empty cell."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return {key: column([row.get(key, "") for row in rows]) for key in keys}


def parse_lines(lines: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects of JSON lines, and remarks on the lines that are none."""
    rows: list[dict[str, Any]] = []
    bad: list[int] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError:
            bad.append(number)
            continue
        if isinstance(row, dict):
            rows.append(flattened(row))
        else:
            bad.append(number)
    notes = []
    if bad and bad[-1] == number:
        bad.pop()
        notes.append("the last line is cut off and is left out")
    if bad:
        first = ", ".join(map(str, bad[:3])) + (", …" if len(bad) > 3 else "")
        notes.append(f"{len(bad)} lines are no JSON objects and are left out (line {first})")
    return rows, notes


def read_jsonl(paths: Sequence[Path]) -> list[Record]:
    """The runs of a file of JSON lines."""
    rows, notes = parse_lines(decoded(paths[0].read_bytes()).removesuffix("\n").split("\n"))
    if not rows:
        raise NotThisFormat("no line is a JSON object")
    return records_from_table(table_from_rows(rows), notes)


def _begins_with_an_object(head: bytes) -> bool:
    """Whether the first line is a JSON object by itself."""
    first, line_end, _ = head.lstrip().partition(b"\n")
    try:
        return bool(line_end) and isinstance(parse_json(decoded(first)), dict)
    except ValueError:
        return False


READER = Reader(
    name="JSON lines",
    accepts="JSON lines with a loss",
    matches=lambda path, head: (
        path.suffix.lower() in (".jsonl", ".ndjson")
        or (path.suffix.lower() in (".json", ".log", ".txt") and _begins_with_an_object(head))
    ),
    read=read_jsonl,
)
