"""From a table, a study or a folder of logs to finished runs."""

from __future__ import annotations

import csv
import math
import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrscope.cli.scale_columns import Roles, find_roles, may_group, normalized
from lrscope.errors import InvalidInput, MissingExtra

Cell = float | str
Columns = dict[str, list[Cell]]

TAIL = 0.05  # the share of a curve's last steps whose mean is its final loss
MOST_VALUES = 60  # a column with more values than this is no setting


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Runs as columns, one row per finished run, with the roles of the columns and what was done to get there."""

    columns: Columns
    roles: Roles
    by: tuple[str, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64; what is not a number becomes NaN."""
        return np.array([value if isinstance(value, float) else math.nan for value in self.columns[name]])


def read_table(
    path: Path,
    *,
    lr: str | None = None,
    batch: str | None = None,
    loss: str | None = None,
    maximize: bool = False,
    by: Sequence[str] | None = None,
) -> Table:
    """Read runs from a CSV or Parquet file, a study (its folder or study.db), or a folder of logs.

    Raises:
        InvalidInput: the path cannot be read, a column is missing, or no column holds losses or rates.
    """
    if not path.exists():
        raise InvalidInput(f"There is no file or folder '{path}'.")
    columns = _columns(path)
    if not columns or not next(iter(columns.values())):
        raise InvalidInput(f"'{path}' holds no run.")
    notes: list[str] = []
    find = _finder(path, lr, batch, loss, maximize)
    roles = find(columns)
    if roles.lr is None and roles.to_target is None and roles.run is not None:
        columns = _joined(path, columns, roles.run, notes)
        roles = find(columns)
    if roles.to_target is None:
        _require(path, columns, roles)
        columns, roles = _finished(columns, roles, notes)
    for name in by or ():
        if name not in columns:
            raise InvalidInput(f"'{path}' has no column '{name}' (--by). Its columns are: {', '.join(columns)}.")
    groups = tuple(by) if by is not None else _found_groups(columns, roles)
    if by is None and groups:
        notes.append(f"Grouped by {', '.join(groups)}, which tell runs apart; `--by` chooses other columns.")
    return Table(columns=columns, roles=roles, by=groups, notes=tuple(notes))


def _finder(
    path: Path, lr: str | None, batch: str | None, loss: str | None, maximize: bool
) -> Callable[[Columns], Roles]:
    def find(columns: Columns) -> Roles:
        return find_roles(list(columns), f"'{path.name}'", lr=lr, batch=batch, loss=loss, maximize=maximize)

    return find


def _require(path: Path, columns: Columns, roles: Roles) -> None:
    names = ", ".join(columns)
    if roles.lr is None:
        raise InvalidInput(
            f"No column of '{path}' is called like a learning rate: name it with --lr-column. It has: {names}."
        )
    if roles.loss is None:
        raise InvalidInput(f"No column of '{path}' is called like a loss: name it with --loss-column. It has: {names}.")
    for row, value in enumerate(columns[roles.lr], start=1):
        if isinstance(value, str) or value <= 0 or math.isinf(value):
            raise InvalidInput(
                f"Column '{roles.lr}' of '{path}' must hold positive learning rates. Got {value!r} in run {row}."
            )


def _columns(path: Path) -> Columns:
    if path.is_dir():
        if (path / "study.db").exists():
            return _from_study(path / "study.db")
        return _from_logs(path)
    suffix = path.suffix.lower()
    if suffix == ".db":
        return _from_study(path)
    if suffix in (".parquet", ".pq"):
        return _from_parquet(path)
    if suffix in (".csv", ".tsv", ".txt"):
        return _from_csv(path)
    raise InvalidInput(f"'{path}' is none of these: a .csv, .tsv or .parquet table, a study.db, a folder of logs.")


def _cell(value: Any) -> Cell:
    if value is None:
        return math.nan
    if isinstance(value, (bool, int, float)):
        return float(value)
    text = str(value).strip()
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text.lower(), text)


def _from_csv(path: Path) -> Columns:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"'{path}' cannot be read as UTF-8 text: {error}.") from error
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
    if not rows:
        return {}
    names = [name.strip() for name in rows[0]]
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise InvalidInput(f"Line {line} of '{path}' has {len(row)} fields where its head has {len(names)}.")
    return {name: [_cell(row[index]) for row in rows[1:]] for index, name in enumerate(names)}


def _from_parquet(path: Path) -> Columns:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "tables") from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"'{path}' cannot be read as Parquet: {error}.") from error
    return {name: [_cell(value) for value in values] for name, values in table.to_pydict().items()}


def _from_study(path: Path) -> Columns:
    """The full runs of a study: at each batch size and schedule those of the most steps that were not cut short."""
    query = (
        "SELECT batch_size, peak_lr, schedule, seed, total_steps, status, initial_train_loss, initial_val_loss, "
        "train_loss, val_loss FROM trial WHERE stop_at >= total_steps"
    )
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
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
    if any(math.isnan(value) for value in columns["batch_size"] if isinstance(value, float)):
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


def _joined(path: Path, columns: Columns, run: str, notes: list[str]) -> Columns:
    """The table with the settings of its runs, from a neighbouring CSV that has the same column of runs and rates."""
    for other in sorted(path.parent.glob("*.csv")):
        if other == path:
            continue
        settings = _from_csv(other)
        roles = find_roles(list(settings), f"'{other.name}'", lr=None, batch=None, loss=None, maximize=False)
        if run not in settings or roles.lr is None or len(set(settings[run])) != len(settings[run]):
            continue
        row_of = {key: row for row, key in enumerate(settings[run])}
        rows = [row_of.get(key) for key in columns[run]]
        known = [index for index, row in enumerate(rows) if row is not None]
        notes.append(f"The settings of the runs are from '{other.name}', by its column '{run}'.")
        joined = {name: [values[index] for index in known] for name, values in columns.items()}
        extra = [name for name in settings if name not in columns and (may_group(name) or name == roles.lr)]
        for name in extra:
            joined[name] = [settings[name][row] for row in rows if row is not None]
        return joined
    return columns


def _finished(columns: Columns, roles: Roles, notes: list[str]) -> tuple[Columns, Roles]:
    """One row per run: whole curves (several steps a run) become their final loss, the mean of the last 5 %."""
    if roles.lr is None or roles.loss is None or roles.step is None or len(set(columns[roles.step])) < 2:
        return columns, roles
    settings = [name for name in columns if name not in roles.taken and may_group(name) and _few(columns[name])]
    base = [name for name in (roles.batch, roles.seed, *settings) if name is not None]
    count = len(columns[roles.step])
    if roles.run is not None:
        keys = [roles.run]
    elif len({tuple(columns[name][row] for name in (*base, roles.step)) for row in range(count)}) == count:
        keys = base  # the rate is what was logged at each step
    else:
        keys = [*base, roles.lr]
    runs: dict[tuple[Cell, ...], list[int]] = {}
    for row in range(count):
        runs.setdefault(tuple(columns[name][row] for name in keys), []).append(row)
    if len(runs) == count:
        return columns, roles
    notes.append(
        f"{count} logged steps are {len(runs)} runs: their final loss is the mean of the last 5 % of the steps."
    )
    finished: Columns = {name: [] for name in columns}
    step, loss = roles.step, roles.loss
    for rows in runs.values():
        ordered = sorted(rows, key=lambda row: _number(columns[step][row]))
        tail = [_number(columns[loss][row]) for row in ordered[-max(1, round(TAIL * len(ordered))) :]]
        for name, values in columns.items():
            finished[name].append(values[ordered[-1]])
        finished[loss][-1] = float(np.mean(tail))
        finished[roles.lr][-1] = max(_number(columns[roles.lr][row]) for row in ordered)
    return finished, roles


def _number(value: Cell) -> float:
    return value if isinstance(value, float) else math.nan


def _few(values: Sequence[Cell]) -> bool:
    return 1 < len(set(values)) <= MOST_VALUES and all(
        isinstance(value, str) or math.isfinite(value) for value in values
    )


def _found_groups(columns: Columns, roles: Roles) -> tuple[str, ...]:
    """The settings without which runs of one rate and batch size would be taken for repeats of each other."""
    count = len(next(iter(columns.values())))
    names = [name for name in columns if name not in roles.taken and may_group(name) and _few(columns[name])]
    names.sort(key=lambda name: (not isinstance(columns[name][0], str), len(set(columns[name]))))
    keys = [name for name in (roles.lr, roles.batch, roles.seed) if name is not None]
    chosen: list[str] = []

    def distinct(with_names: Sequence[str]) -> int:
        return len({tuple(columns[name][row] for name in with_names) for row in range(count)})

    have = distinct(keys)
    for name in names:
        if have == count:
            break
        if normalized(name) in ("n_params", "tokens", "model", "dataset") or isinstance(columns[name][0], str):
            gain = 1
        else:
            gain = max(1, round(0.02 * count))
        more = distinct([*keys, *chosen, name])
        if more >= have + gain:
            chosen.append(name)
            have = more
    return tuple(name for name in columns if name in chosen)
