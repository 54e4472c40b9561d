"""SQLite files opened to be read only, damaged ones as far as they go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lrscope.curves.readers.record import NotThisFormat

MAGIC = b"SQLite format 3\0"
_DAMAGE = (sqlite3.Error, UnicodeDecodeError)
"""What a damaged database raises; the second where SQLite's own message quotes bytes that are no text."""


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that leaves no trace, for a folder that cannot be written to as well."""
    wal = path.with_name(path.name + "-wal")
    live = wal.is_file() and wal.stat().st_size > 0  # written to at this moment: the log must be read as well
    return sqlite3.connect(f"{path.resolve().as_uri()}?{'mode=ro' if live else 'immutable=1'}", timeout=30, uri=True)


@contextmanager
def opened(path: Path, tables: set[str]) -> Iterator[sqlite3.Connection]:
    """A database that has these tables, without leaving a trace beside it.

    Raises NotThisFormat where it has not, or is no database.
    """
    try:
        with closing(connect_to_read(path)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            db.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
            found = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables <= found:
                raise NotThisFormat(f"it has no tables {', '.join(sorted(tables - found))}")
            yield db
    except (*_DAMAGE, OverflowError) as error:
        raise NotThisFormat(str(error)) from None


def rows(db: sqlite3.Connection, query: str, notes: list[str]) -> Iterator[tuple[Any, ...]]:
    """A query's rows, as far as the file goes; damage is told in the notes."""
    try:
        yield from db.execute(query)
    except _DAMAGE as error:
        notes.append(f"the database is damaged ({error}): what could be read is kept")


def columns(db: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table."""
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
