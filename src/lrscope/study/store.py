"""The study's database: one writer, finished trials never lost, curves as float32 chunks of 500 steps."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.readers.sqlite import connect_to_read
from lrscope.errors import InvalidInput, StudyMismatch, WorkFailed
from lrscope.study.trial import Trial, TrialResult

SCHEMA_VERSION = 3
CHUNK = 500

_CREATE = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trial (
    id INTEGER PRIMARY KEY,
    batch_size INTEGER NOT NULL, peak_lr REAL NOT NULL, schedule TEXT NOT NULL, seed INTEGER NOT NULL,
    total_steps INTEGER NOT NULL, stop_at INTEGER NOT NULL,
    status TEXT NOT NULL, diverged_at INTEGER,
    initial_train_loss REAL, initial_val_loss REAL, train_loss REAL, val_loss REAL,
    metrics TEXT NOT NULL, seconds REAL NOT NULL, eval_seconds REAL NOT NULL, examples INTEGER NOT NULL,
    engine TEXT NOT NULL,
    UNIQUE (batch_size, peak_lr, schedule, seed, total_steps, stop_at)
);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trial (id), series TEXT NOT NULL, start INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX chunk_of_trial ON chunk (trial, series, start);
"""

_MIGRATIONS = {
    # 1 had neither the engine nor the time that evaluation took.
    1: "ALTER TABLE trial ADD COLUMN engine TEXT NOT NULL DEFAULT 'loop';"
    "ALTER TABLE trial ADD COLUMN eval_seconds REAL NOT NULL DEFAULT 0;",
    # 2 wrote every loss that is not finite as NULL, which also stands for one that was not measured.
    2: "UPDATE trial SET train_loss = 9e999 WHERE train_loss IS NULL;"
    "UPDATE trial SET initial_train_loss = 9e999 WHERE initial_train_loss IS NULL;"
    "UPDATE trial SET val_loss = 9e999 WHERE val_loss IS NULL AND initial_val_loss IS NOT NULL;",
}

_KEY = ("batch_size", "peak_lr", "schedule", "seed", "total_steps", "stop_at")
_SCALARS = (
    *("status", "diverged_at", "initial_train_loss", "initial_val_loss", "train_loss", "val_loss"),
    *("seconds", "eval_seconds", "examples", "engine"),
)
_SERIES = ("loss", "lr", "grad_norm", "update_ratio", "eval_loss")
_STEPS = ("probe_step", "eval_step")  # float32 is exact to 2^24 only: these are int64
_METRIC = "eval_metrics/"


class Store:
    """The trials of one study. Open it through `open_store` (to write) or `read_store` (to look)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def facts(self) -> dict[str, Any]:
        """What the study was made from, as it was first written; empty for a new one."""
        return {name: json.loads(value) for name, value in self._db.execute("SELECT name, value FROM fact")}

    def put_fact(self, name: str, value: Any) -> None:
        """Write one fact."""
        with _writing(), self._db:
            self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    def trials(self) -> dict[Trial, TrialResult]:
        """Every finished trial, by key."""
        results = {}
        columns = ", ".join(("id", *_KEY, *_SCALARS, "metrics"))
        for row in self._db.execute(f"SELECT {columns} FROM trial"):
            values = dict(zip(("id", *_KEY, *_SCALARS, "metrics"), row, strict=True))
            trial = Trial(**{name: values[name] for name in _KEY})
            results[trial] = self._result(trial, values)
        return dict(sorted(results.items()))

    def add(self, result: TrialResult) -> None:
        """Write a finished trial in one transaction; a trial that is there already stays as it was."""
        row = {**asdict(result.trial), **{name: _to_sql(getattr(result, name)) for name in _SCALARS}}
        row["metrics"] = json.dumps(result.metrics)
        marks = ", ".join("?" * len(row))
        with _writing(), self._db:
            cursor = self._db.execute(
                f"INSERT OR IGNORE INTO trial ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
            )
            if cursor.rowcount:
                self._db.executemany(
                    "INSERT INTO chunk (trial, series, start, data) VALUES (?, ?, ?, ?)",
                    [(cursor.lastrowid, *chunk) for chunk in _chunks(result)],
                )

    def _result(self, trial: Trial, values: dict[str, Any]) -> TrialResult:
        arrays: dict[str, list[bytes]] = {}
        query = "SELECT series, data FROM chunk WHERE trial = ? ORDER BY series, start"
        for name, data in self._db.execute(query, (values["id"],)):
            arrays.setdefault(name, []).append(data)
        series: dict[str, Any] = {name: _floats(arrays.get(name, [])) for name in _SERIES}
        series |= {name: np.frombuffer(b"".join(arrays.get(name, [])), dtype=np.int64) for name in _STEPS}
        metrics = {name[len(_METRIC) :]: _floats(parts) for name, parts in arrays.items() if name.startswith(_METRIC)}
        scalars = {name: _from_sql(values[name]) for name in _SCALARS}
        known = {name: math.nan if value is None else value for name, value in json.loads(values["metrics"]).items()}
        return TrialResult(trial=trial, metrics=known, eval_metrics=metrics, **scalars, **series)


@contextmanager
def _writing() -> Iterator[None]:
    """Put what keeps a database from being written, as a full disk does, into a sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise WorkFailed(
            f"Cannot write study.db: {error}. What it holds is kept: with that put right, the same command goes on."
        ) from error


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """Open a folder's study for writing, new or old; migrates an older schema.

    Raises:
        InvalidInput: another process is writing to it, or the file is no study.
        StudyMismatch: it was written by a newer lrscope.
        WorkFailed: the disk is full, or the file cannot be written; so do the store's own methods.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"Cannot keep a study in '{folder}': {error.strerror}.") from None
    with _only_writer(folder), closing(sqlite3.connect(folder / "study.db", timeout=30)) as db:
        try:
            with _writing():
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; no trial waits for the disk
                _bring_up_to_date(db, folder)
        except sqlite3.DatabaseError as error:
            raise InvalidInput(f"'{folder / 'study.db'}' is not a study's database: {error}.") from None
        yield Store(db)


@contextmanager
def read_store(folder: Path) -> Iterator[Store]:
    """Open a folder's study to look at it, also while another process writes; an older schema is migrated in memory.

    Raises:
        InvalidInput: there is no study in the folder.
    """
    path = folder / "study.db"
    if not path.is_file():
        raise InvalidInput(f"There is no study in '{folder}': it has no study.db.")
    with closing(sqlite3.connect(":memory:")) as copy:
        try:
            with closing(connect_to_read(path)) as db:
                db.backup(copy)
            _bring_up_to_date(copy, folder)
        except sqlite3.DatabaseError as error:
            raise InvalidInput(f"'{path}' is not a study's database: {error}.") from None
        yield Store(copy)


def _bring_up_to_date(db: sqlite3.Connection, folder: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StudyMismatch(
            f"The study in '{folder}' was written by a newer lrscope: its schema is {version}, this one reads up to "
            f"{SCHEMA_VERSION}."
        )
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise InvalidInput(f"'{folder / 'study.db'}' is not a study's database: it holds other tables.")
    script = _CREATE if version == 0 else "".join(_MIGRATIONS[old] for old in range(version, SCHEMA_VERSION))
    if script:
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: an exclusive transaction on a file of its own, which dies with the process."""
    with closing(sqlite3.connect(folder / "study.lock", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise InvalidInput(f"Cannot keep a study in '{folder}': {error}.") from None
            raise InvalidInput(
                f"Another process is working on the study in '{folder}': wait for it, or give another folder (--out)."
            ) from None
        yield


def _chunks(result: TrialResult) -> Iterator[tuple[str, int, bytes]]:
    with np.errstate(over="ignore"):  # what is too large for float32 is kept as infinite
        series: dict[str, NDArray[Any]] = {name: getattr(result, name).astype(np.float32) for name in _SERIES}
        series |= {_METRIC + name: values.astype(np.float32) for name, values in result.eval_metrics.items()}
    series |= {name: getattr(result, name).astype(np.int64) for name in _STEPS}
    for name, values in series.items():
        for start in range(0, len(values), CHUNK):
            yield name, start, values[start : start + CHUNK].tobytes()


def _floats(parts: list[bytes]) -> NDArray[np.float64]:
    return np.frombuffer(b"".join(parts), dtype=np.float32).astype(np.float64)


def _to_sql(value: Any) -> Any:
    """SQLite keeps infinities, but would make a NaN NULL: it goes as a text."""
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def _from_sql(value: Any) -> Any:
    return math.nan if value == "nan" else value
