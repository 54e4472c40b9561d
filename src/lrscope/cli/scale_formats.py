"""Runs as columns from a CSV, JSON or Parquet file, a study, or a folder of logs."""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lrscope.curves.readers.column import to_number, without_thousands
from lrscope.curves.readers.csv import decoded
from lrscope.curves.readers.sqlite import connect_to_read
from lrscope.errors import InvalidInput, MissingExtra
from lrscope.estimate import Estimate

Cell = float | str
Columns = dict[str, list[Cell]]

TAIL = 0.05  # the share of a curve's last steps whose mean is its final loss


def read_columns(path: Path) -> Columns:
    """The columns of a table, a study or a folder of logs. Raises InvalidInput where it is none of these."""
    if path.is_dir():
        if (path / "study.db").exists():
            return _from_study(path / "study.db")
        return _from_logs(path)
    suffix = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix == ".db":
        return _from_study(path)
    if suffix in (".parquet", ".pq"):
        return _from_parquet(path)
    if suffix in (".csv", ".tsv", ".txt"):
        return read_csv(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _from_json(path)
    raise InvalidInput(
        f"'{path}' is none of these: a .csv, .tsv, .json, .jsonl or .parquet table, a study.db, a folder of logs."
    )


def number_in(value: Cell) -> float:
    """A cell as a number; NaN where it is a text."""
    return value if isinstance(value, float) else math.nan


def _cell(value: Any) -> Cell:
    """A cell as a number or a text; one that is empty is an empty text."""
    if value is None:
        return ""
    if isinstance(value, (bool, int, float)):
        return float(value)
    text = str(value).strip()
    try:
        number = to_number(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text.lower(), text)
    return "" if number is None else number


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return decoded(gzip.decompress(data) if path.suffix.lower() == ".gz" else data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInput(f"'{path}' cannot be read as gzip: {error}.") from error
    except OSError as error:
        raise InvalidInput(f"'{path}' cannot be read: {error.strerror}.") from error


def read_csv(path: Path) -> Columns:
    """The columns of a delimited text by the names in its head; lines that begin with # are passed over."""
    text = _text(path)
    if "\0" in text:
        raise InvalidInput(f"'{path}' is no text: a table must be CSV, TSV or Parquet.")
    lines = [(at, line) for at, line in enumerate(text.splitlines(), start=1) if line.strip() and line[0] != "#"]
    if not lines:
        return {}
    delimiter = max(",;\t|", key=lines[0][1].count)
    if delimiter == "|":  # a table of Markdown: bars at both ends, a line of dashes below the head
        lines = [(at, line.strip().strip("|")) for at, line in lines if line.strip("|-: \t")]
    rows = [
        [without_thousands(cell) if delimiter == "," else cell for cell in row]
        for row in csv.reader([line for _, line in lines], delimiter=delimiter)
    ]
    names = [name.strip() for name in rows[0]]
    for (at, _), row in zip(lines[1:], rows[1:], strict=False):
        if len(row) != len(names):
            raise InvalidInput(f"Line {at} of '{path}' has {len(row)} fields where its head has {len(names)}.")
    return {name: [_cell(row[index]) for row in rows[1:]] for index, name in enumerate(names)}


def _from_json(path: Path) -> Columns:
    """One object per run: a list of them, or one a line."""
    text = _text(path)
    try:
        try:
            rows = json.loads(text)
        except ValueError:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise InvalidInput(f"'{path}' cannot be read as JSON: {error}.") from error
    rows = rows if isinstance(rows, list) else [rows]
    if not all(isinstance(row, dict) for row in rows):
        raise InvalidInput(f"'{path}' must hold a JSON list of runs, or one JSON object per line, each a run.")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_cell(row.get(name)) for row in rows] for name in names}


def _from_parquet(path: Path) -> Columns:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "tables") from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"'{path}' cannot be read as Parquet: {str(error).rstrip('.')}.") from error
    return {name: [_cell(value) for value in values] for name, values in table.to_pydict().items()}


def _from_study(path: Path) -> Columns:
    """The full runs of a study: at each batch size and schedule those of the most steps that were not cut short."""
    query = (
        "SELECT batch_size, peak_lr, schedule, seed, total_steps, status, initial_train_loss, initial_val_loss, "
        "train_loss, val_loss FROM trial WHERE stop_at >= total_steps"
    )
    try:
        connection = connect_to_read(path)
        rows = connection.execute(query).fetchall()
        connection.close()
    except sqlite3.Error as error:
        raise InvalidInput(f"'{path}' cannot be read as a study: {error}.") from error
    longest: dict[tuple[int, str], int] = {}
    for batch, _, schedule, _, steps, *_ in rows:
        longest[batch, schedule] = max(steps, longest.get((batch, schedule), 0))
    validated = any(row[9] is not None for row in rows)
    columns: Columns = {name: [] for name in ("batch_size", "lr", "schedule", "seed", "loss", "initial_loss")}
    for batch, lr, schedule, seed, steps, status, start_train, start_val, train, val in rows:
        if steps != longest[batch, schedule]:
            continue
        loss = (val if validated else train) if status != "diverged" else None
        values = (batch, lr, schedule, seed, loss, start_val if validated else start_train)
        for name, value in zip(columns, values, strict=True):
            columns[name].append(_cell(value))
    return columns


def study_optima(path: Path) -> dict[tuple[str, float], Estimate]:
    """What a study found, its short runs included, by schedule ("" for the only one) and batch size.

    Empty where the path is no study, or where PyTorch, which studies need, is not installed.
    """
    folder = path if path.is_dir() else path.parent
    if path.suffix.lower() != ".db" and not (path / "study.db").exists():
        return {}
    try:
        from lrscope.study.run import load_study
    except ImportError:
        return {}
    optima = [optimum for optimum in load_study(folder).optima if optimum.status == "found" and optimum.optimal_lr]
    alone = len({optimum.schedule for optimum in optima}) == 1
    return {
        ("" if alone else optimum.schedule, float(optimum.batch_size)): optimum.optimal_lr
        for optimum in optima
        if optimum.optimal_lr is not None
    }


def _from_logs(path: Path) -> Columns:
    """One run per log: its highest rate, its batch size, its final loss; from the log's name what it does not hold."""
    from lrscope.curves.readers import read_curves

    columns: Columns = {name: [] for name in ("name", "lr", "batch_size", "loss", "initial_loss")}
    for curve in read_curves(path):
        rate = float(np.nanmax(curve.lr)) if curve.lr is not None and np.isfinite(curve.lr).any() else None
        named = _numbers_in_name(curve.name)
        rate = rate if rate is not None else named.get("lr")
        if rate is None:
            raise InvalidInput(f"The log '{curve.name}' tells no learning rate, neither in a column nor in its name.")
        batch = curve.batch_size if curve.batch_size is not None else named.get("batch_size")
        tail = curve.loss[-max(1, round(TAIL * len(curve))) :]
        final = float(curve.val_loss[-1]) if curve.val_loss is not None and len(curve.val_loss) else float(tail.mean())
        for name, value in zip(columns, (curve.name, rate, batch, final, float(curve.loss[0])), strict=True):
            columns[name].append(_cell(value))
    del columns["name"]
    if "" in columns["batch_size"]:
        del columns["batch_size"]
    return columns


def _numbers_in_name(name: str) -> dict[str, float]:
    """Rate and batch size out of a name such as `lr=0.01_bs=64`."""
    found = {}
    number = r"[=_-]?(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    for key, words in (("lr", r"lr|eta|learning_rate"), ("batch_size", r"bs|batch(?:_?size)?")):
        match = re.search(rf"(?:^|[^a-z])(?:{words}){number}", name.lower())
        if match:
            found[key] = float(match.group(1))
    return found
