"""CSV: any table with a column of losses, Lightning's metrics.csv and Keras's CSVLogger among them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lrscope.curves.curve import STEPS_ARE_EPOCHS
from lrscope.curves.readers import names
from lrscope.curves.readers.column import Column, column, to_number, without_thousands
from lrscope.curves.readers.record import Facts, NotThisFormat, Reader, Record
from lrscope.curves.readers.side_by_side import runs_side_by_side
from lrscope.curves.readers.table import records_from_table


def decoded(data: bytes) -> str:
    """A text file's bytes as text: UTF-8 or UTF-16, by its mark or its zeros; what cannot be decoded is replaced."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    head = data[:512]
    for zeros, encoding in ((head[1::2], "utf-16-le"), (head[::2], "utf-16-be")):
        if len(head) >= 8 and 2 * zeros.count(0) > len(zeros) and 4 * head.count(0) < 3 * len(head):
            return data.decode(encoding, errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def read_csv(paths: Sequence[Path]) -> list[Record]:
    """The runs of a CSV file; facts of the runs are joined from a `runs.csv` beside it."""
    table, notes = parse_table(decoded(paths[0].read_bytes()))
    side_by_side = runs_side_by_side(table, paths[0].stem)
    if side_by_side:
        return [r for label, part in side_by_side.items() for r in _labelled(records_from_table(part, notes), label)]
    records = records_from_table(table, notes)
    beside = paths[0].with_name("runs.csv")
    if len(records) > 1 and beside.is_file() and paths[0].name != "runs.csv":
        records = _joined(records, beside, table)
    return records


def parse_table(text: str) -> tuple[dict[str, Column], list[str]]:
    """The columns of a delimited text by name, and remarks on rows that were left out."""
    if not text.strip():
        raise NotThisFormat("the file is empty")
    if "\n" not in text and "\r" not in text:
        raise NotThisFormat("a single line")
    notes: list[str] = []
    lines = text.splitlines()
    start = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    if start == len(lines):
        raise NotThisFormat("empty")
    delimiter = max(",;\t|", key=lines[start].count)
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines[start:])), delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise NotThisFormat(str(error)) from None
    header, rows = rows[0], [row for row in rows[1:] if row]
    if all(map(_is_number, header)):
        raise NotThisFormat("its first line has numbers in place of the columns' names")
    if delimiter == ",":
        rows = [[without_thousands(cell) for cell in row] for row in rows] if '"' in text else rows
    if not text.endswith(("\n", "\r")) and rows and _is_torn(rows, len(header)):
        rows.pop()
        notes.append("the last line is cut off and is left out")
    width = len(header)
    whole = [row for row in rows if len(row) == width and row != header]
    repeated = sum(row == header for row in rows)
    if len(whole) + repeated < len(rows):
        notes.append(f"{len(rows) - len(whole) - repeated} rows do not have {width} cells and are left out")
    if repeated:
        notes.append(f"the header comes {repeated + 1} times")
    if not whole:
        raise NotThisFormat("no rows")
    named: dict[str, Column] = {}
    for name, cells in zip(header, zip(*whole, strict=True), strict=True):
        named.setdefault(name.strip(), column(cells))
    return named, notes


def _is_number(cell: str) -> bool:
    try:
        return to_number(cell) is not None
    except ValueError:
        return False


def _is_torn(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the last line, which has no line end, was cut: cells are missing, or its last number is too short."""
    last = rows[-1]
    if len(last) != width or last[-1] == "":
        return True
    cell = last[-1]
    if re.search(r"[.eE+-]$|[eE][+-]?\d$", cell):
        return True
    lengths = [len(row[-1]) for row in rows[:-1] if len(row) == width and row[-1]]
    return bool(lengths) and "." in cell + rows[-2][-1] and len(cell) < min(lengths)


def _labelled(records: list[Record], label: str) -> list[Record]:
    label = label.replace("/", "-")
    return [replace(r, label=f"{label},{r.label}" if r.label else label) for r in records]


def _joined(records: list[Record], beside: Path, table: dict[str, Column]) -> list[Record]:
    """Records with the facts that a `runs.csv` gives for their run."""
    try:
        facts, _ = parse_table(decoded(beside.read_bytes()))
    except (NotThisFormat, OSError):
        return records
    key = next((n for n in table if names.is_run(n) and n in facts), None)
    if key is None:
        return records
    keys = facts[key]
    spelled = keys.text or [f"{v:.12g}" for v in keys.number]
    rows = {label: k for k, label in enumerate(spelled)}
    return [
        r
        if r.label not in rows
        else replace(
            r, facts=r.facts.filled_from(_facts_at(facts, rows[r.label], updates=STEPS_ARE_EPOCHS not in r.notes))
        )
        for r in records
    ]


def _facts_at(table: dict[str, Column], row: int, *, updates: bool) -> Facts:
    def number(matches: Sequence[str]) -> float | None:
        value = next((float(table[n].number[row]) for n in matches), float("nan"))
        return value if np.isfinite(value) else None

    batch_size = number([n for n in table if names.is_batch_size(n)])
    total = number([n for n in table if names.is_total_steps(n)]) if updates else None
    rates = sorted((rank, n) for n in table if (rank := names.lr_rank(n)) is not None)
    optimizer = next((c.text[row] for n, c in table.items() if names.is_optimizer(n) and c.text), None)
    return Facts(
        lr=number([n for _, n in rates]),
        batch_size=None if batch_size is None else int(batch_size),
        total_steps=None if total is None else int(total),
        optimizer=optimizer,
    )


READER = Reader(
    name="CSV",
    accepts="CSV with a column of losses (or one for each run, called lr=0.1)",
    matches=lambda path, head: path.suffix.lower() in (".csv", ".tsv"),
    read=read_csv,
)
