"""One JSON document: Transformers' trainer_state.json, exported histories (rows or columns), W&B's summary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lrscope.curves.readers.column import to_number
from lrscope.curves.readers.csv import decoded
from lrscope.curves.readers.jsonl import flattened, parse_json, table_from_rows
from lrscope.curves.readers.record import Facts, NotThisFormat, Reader, Record
from lrscope.curves.readers.table import records_from_table

_CUT = "the file is cut off: its last record is left out"


def read_document(paths: Sequence[Path]) -> list[Record]:
    """The runs in a JSON document."""
    text = decoded(paths[0].read_bytes())
    notes: list[str] = []
    facts = Facts()
    try:
        document = parse_json(text)
    except ValueError:
        rows = list(_whole_objects(text))
        facts = _facts(_cut_settings(text))
        notes.append(_CUT)
    else:
        if isinstance(document, dict) and str(document.get("schema")).startswith("lrscope/"):
            raise NotThisFormat("an answer of lrscope's own, which holds no log")
        if isinstance(document, dict) and isinstance(document.get("log_history"), list):
            rows, facts = [row for row in document["log_history"] if isinstance(row, dict)], _facts(document)
        else:
            rows = list(_rows(document))
    if not rows:
        raise NotThisFormat("no rows of numbers")
    records = records_from_table(table_from_rows([flattened(row) for row in rows]), notes)
    return [replace(record, facts=record.facts.filled_from(facts)) for record in records]


def _rows(document: Any) -> Iterator[dict[str, Any]]:
    """The rows of an exported history: a list of objects, an object of lists, an object of objects, or one row."""
    if isinstance(document, list):
        yield from (row for row in document if isinstance(row, dict))
        return
    if not isinstance(document, dict):
        return
    for key in ("history", "logs", "data", "rows", "records"):
        if isinstance(document.get(key), list | dict):
            yield from _rows(document[key])
            return
    lists = {name: values for name, values in document.items() if isinstance(values, list)}
    if lists:
        length = max(map(len, lists.values()))
        for k in range(length):
            yield {name: values[k] for name, values in lists.items() if k < len(values)}
        return
    indexed = {name: values for name, values in document.items() if isinstance(values, dict) and _is_indexed(values)}
    if indexed:
        for key in dict.fromkeys(key for values in indexed.values() for key in values):
            yield {name: values[key] for name, values in indexed.items() if key in values}
        return
    yield document


def _is_indexed(values: dict[str, Any]) -> bool:
    return bool(values) and all(key.isdigit() for key in values)


def _whole_objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects that are whole in the first list of a document that is cut off."""
    start = re.search(r'"log_history"\s*:\s*\[', text) or re.search(r"\[", text)
    at = start.end() if start else len(text)
    decoder = json.JSONDecoder()
    while at < len(text):
        at = re.compile(r"[\s,]*").match(text, at).end()  # type: ignore[union-attr]
        try:
            row, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(row, dict):
            yield row


def _cut_settings(text: str) -> dict[str, Any]:
    """The settings that come before the list in a trainer's state that is cut off."""
    pairs = re.findall(r'"(max_steps|train_batch_size)"\s*:\s*(\d+)', text)
    return {name: int(value) for name, value in pairs}


def _facts(state: dict[str, Any]) -> Facts:
    """What a trainer's state says of the run; its batch size is that of one device."""

    def whole(name: str) -> int | None:
        try:
            value = to_number(state.get(name))
        except ValueError:
            return None
        return int(value) if value is not None and 1 <= value < 2**62 else None

    return Facts(batch_size=whole("train_batch_size"), total_steps=whole("max_steps"))


READER = Reader(
    name="JSON",
    accepts="a JSON document (Transformers' trainer_state.json, an exported history, W&B's summary)",
    matches=lambda path, head: path.suffix.lower() == ".json",
    read=read_document,
)
