"""From a table, a study or a folder of logs to finished runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lrscope.cli.scale_columns import Roles, find_roles, may_group, normalized
from lrscope.cli.scale_formats import TAIL, Cell, Columns, number_in, read_columns, read_csv, study_optima
from lrscope.cli.scale_missing import settled
from lrscope.cli.scale_shapes import unfolded, whole_batches, without_units
from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.scaling.posterior import Floats
from lrscope.scaling.table import Runs

MOST_VALUES = 60  # a column with more values than this is no setting
LEAST_RATES = 3.0  # a curve of fewer rates shows no optimum
CLUSTER_GAP = 0.1  # in the logarithm: numbers nearer than this are of one setting


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Runs as columns, one row per finished run, with the roles of the columns and what was done to get there."""

    columns: Columns
    roles: Roles
    by: tuple[str, ...]
    notes: tuple[str, ...]
    known: Mapping[tuple[str, float], Estimate] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def numbers(self, name: str) -> Floats:
        """A column as float64; what is not a number becomes NaN."""
        return np.array([number_in(value) for value in self.columns[name]])

    def batch_sizes(self) -> Floats:
        """The column of batch sizes.

        Raises:
            InvalidInput: there is none, or not all are positive.
        """
        if self.roles.batch is None:
            names = ", ".join(self.columns)
            raise InvalidInput(
                f"No column is called like a batch size: name it with --batch-column. There are: {names}."
            )
        sizes = self.numbers(self.roles.batch)
        for row, size in enumerate(sizes, start=1):
            if not (math.isfinite(size) and size > 0):
                got = self.columns[self.roles.batch][row - 1]
                raise InvalidInput(
                    f"Column '{self.roles.batch}' must hold positive batch sizes. Got {got!r} in run {row}."
                )
        return sizes

    @property
    def groups(self) -> dict[str, list[Cell]]:
        """The columns that runs are grouped by."""
        return {name: self.columns[name] for name in self.by}

    def runs(self) -> Runs:
        """The runs as arrays, lower is better, those that diverged not finite."""
        roles = self.roles
        if roles.lr is None or roles.loss is None:
            raise InvalidInput("A table of runs needs a column of learning rates and one of losses.")
        loss, ceiling = self.numbers(roles.loss), None
        if roles.maximize:
            known = loss[np.isfinite(loss)]
            ceiling = 1.0 if known.size and known.min() >= 0 and known.max() <= 1 else 0.0
            loss = ceiling - loss
        if roles.diverged is not None:
            loss = np.where(self.numbers(roles.diverged) > 0, np.inf, loss)
        seeds = None if roles.seed is None else np.array([str(value) for value in self.columns[roles.seed]])
        return Runs(
            lr=self.numbers(roles.lr),
            loss=loss,
            batch_size=None if roles.batch is None else self.batch_sizes(),
            seed=seeds,
            initial_loss=None if roles.initial is None else self.numbers(roles.initial),
            by=self.groups,
            metric=roles.loss,
            ceiling=ceiling,
            known=self.known,
        )


def read_table(
    path: Path,
    *,
    lr: str | None = None,
    batch: str | None = None,
    loss: str | None = None,
    maximize: bool = False,
    by: Sequence[str] | None = None,
) -> Table:
    """Read runs from a CSV, JSON or Parquet file, a study (its folder or study.db), or a folder of logs.

    Raises:
        InvalidInput: the path cannot be read, a column is missing, or no column holds losses or rates.
    """
    if not path.exists():
        raise InvalidInput(f"There is no file or folder '{path}'.")
    columns = read_columns(path)
    if not columns or not next(iter(columns.values())):
        raise InvalidInput(f"'{path}' holds no run.")
    notes: list[str] = []
    find = _finder(path, lr, batch, loss, maximize)
    roles = find(columns)
    if roles.lr is None and roles.to_target is None and roles.run is not None:
        columns = _joined(path, columns, roles.run, notes)
        roles = find(columns)
    columns = unfolded(columns, roles, notes)
    roles = find(columns)
    columns = whole_batches(without_units(columns, roles), roles, notes)
    if roles.to_target is None:
        _require(path, columns, roles)
        columns, roles = _finished(columns, roles, notes)
    for name in by or ():
        if name not in columns:
            raise InvalidInput(f"'{path}' has no column '{name}' (--by). Its columns are: {', '.join(columns)}.")
    groups = tuple(by) if by is not None else _found_groups(columns, roles)
    if by is None and groups:
        tell = "tells" if len(groups) == 1 else "tell"
        notes.append(f"Grouped by {', '.join(groups)}, which {tell} runs apart; `--by` chooses other columns.")
    columns = settled(columns, roles, groups, notes)
    known = study_optima(path)
    if known:
        notes.append("The optima are the study's own, which has seen short runs as well.")
    return Table(columns=columns, roles=roles, by=groups, notes=tuple(notes), known=known)


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
        if isinstance(value, str) or not (value > 0 and math.isfinite(value)):
            raise InvalidInput(
                f"Column '{roles.lr}' of '{path}' must hold positive learning rates. Got {value!r} in run {row}."
            )
    losses = columns[roles.loss]
    if not any(losses):
        raise InvalidInput(f"Column '{roles.loss}' of '{path}' is empty: no run has a loss.")
    if all(isinstance(value, str) for value in losses):
        raise InvalidInput(f"Column '{roles.loss}' of '{path}' must hold numbers. Got {losses[0]!r} in run 1.")


def _joined(path: Path, columns: Columns, run: str, notes: list[str]) -> Columns:
    """The table with the settings of its runs, from a neighbouring CSV that has the same column of runs and rates."""
    for other in sorted(path.parent.glob("*.csv")):
        if other == path:
            continue
        settings = read_csv(other)
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
    step, loss, start = roles.step, roles.loss, "initial_loss"
    begun = roles.initial is None and all(
        min(number_in(columns[step][row]) for row in rows) == 0 for rows in runs.values()
    )
    if begun:
        finished[start] = []
    for rows in runs.values():
        ordered = sorted(rows, key=lambda row: number_in(columns[step][row]))
        given = [row for row in ordered if columns[loss][row] != ""] or ordered  # not every step has one
        tail = [number_in(columns[loss][row]) for row in given[-max(1, round(TAIL * len(given))) :]]
        for name, values in columns.items():
            finished[name].append(values[ordered[-1]])
        finished[loss][-1] = float(np.mean(tail))
        if begun:
            finished[start].append(columns[loss][ordered[0]])
        finished[roles.lr][-1] = max(number_in(columns[roles.lr][row]) for row in ordered)
    return finished, replace(roles, initial=start) if begun else roles


def _few(values: Sequence[Cell]) -> bool:
    return 1 < len(set(values)) <= MOST_VALUES and all(
        value != "" if isinstance(value, str) else math.isfinite(value) for value in values
    )


def _found_groups(columns: Columns, roles: Roles) -> tuple[str, ...]:
    """The settings without which runs of one rate and batch size would be taken for repeats of each other.

    Words come before numbers, few values before many. A number whose values differ by little from run to run (tokens
    of a run that was stopped by the clock) splits by its clusters; what would leave curves of fewer than three rates
    splits nothing.
    """
    count = len(next(iter(columns.values())))
    names = [name for name in columns if name not in roles.taken and may_group(name) and _few(columns[name])]
    names.sort(key=lambda name: (not isinstance(columns[name][0], str), len(set(columns[name]))))
    keys = [columns[name] for name in (roles.lr, roles.batch, roles.seed) if name is not None]
    rates = [] if roles.lr is None else columns[roles.lr]
    batches = [[]] if roles.batch is None else [columns[roles.batch]]
    chosen: list[str] = []
    for name in names:
        have = _distinct([*keys, *(columns[other] for other in chosen)], count)
        if have == count:
            break
        told = normalized(name) in ("n_params", "tokens", "model", "dataset") or isinstance(columns[name][0], str)
        split = [*batches, *(columns[other] for other in chosen)]
        before = _rates_per_curve(split, rates, count)
        for values in (columns[name], _clustered(columns[name])):
            gain = _distinct([*keys, *(columns[other] for other in chosen), values], count) - have
            after = _rates_per_curve([*split, values], rates, count)
            if gain >= (1 if told else max(1, round(0.02 * count))) and after >= min(before, LEAST_RATES):
                columns[name] = values
                chosen.append(name)
                break
    return tuple(name for name in columns if name in chosen)


def _distinct(columns: Sequence[Sequence[Cell]], count: int) -> int:
    return len({tuple(values[row] for values in columns) for row in range(count)})


def _rates_per_curve(split: Sequence[Sequence[Cell]], rates: Sequence[Cell], count: int) -> float:
    """The median number of rates of the curves that runs are split into."""
    curves: dict[tuple[Cell, ...], set[Cell]] = {}
    for row in range(count):
        key = tuple(values[row] for values in split if values)
        curves.setdefault(key, set()).add(rates[row] if rates else 0.0)
    return float(np.median([len(found) for found in curves.values()]))


def _clustered(values: Sequence[Cell]) -> list[Cell]:
    """Positive numbers less than a tenth apart from their neighbours as one: the median of the cluster."""
    numbers = [value for value in values if isinstance(value, float) and value > 0]
    if len(numbers) < len(values):
        return list(values)
    ordered = sorted(set(numbers))
    clusters = np.split(np.array(ordered), np.flatnonzero(np.diff(np.log(ordered)) > CLUSTER_GAP) + 1)
    middle = {float(value): float(np.sort(cluster)[cluster.size // 2]) for cluster in clusters for value in cluster}
    return [middle[value] for value in numbers]
