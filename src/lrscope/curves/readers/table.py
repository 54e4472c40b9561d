"""A table of logged rows as runs: what tells runs apart, which rows are of validation, what the steps are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import STEPS_ARE_EPOCHS
from lrscope.curves.readers import names
from lrscope.curves.readers.column import Column
from lrscope.curves.readers.record import Facts, NotThisFormat, Record, Series
from lrscope.curves.readers.roles import assign_roles

Rows = NDArray[np.intp]
Table = Mapping[str, Column]


def records_from_table(table: Table, notes: Sequence[str] = ()) -> list[Record]:
    """The runs that a table holds, one record each, labelled by the columns that tell them apart.

    Raises NotThisFormat where the table has no column of losses.
    """
    table = _split_by_data(table)
    counts = {name: int(np.count_nonzero(c.given)) for name, c in table.items() if c.text is None}
    if set(map(names.normalized, table)) >= {"wall_time", "step", "value"}:  # what TensorBoard's page exports
        table = {("loss" if names.normalized(name) == "value" else name): c for name, c in table.items()}
        counts = {("loss" if names.normalized(name) == "value" else name): n for name, n in counts.items()}
    roles, remarks = assign_roles(counts)
    if "loss" not in roles:
        raise NotThisFormat(f"no column of losses among {', '.join(repr(n) for n in list(table)[:8])}")
    for role in ("loss", "val_loss"):
        if role in roles and names.is_perplexity(roles[role]):
            table = {**table, roles[role]: _logarithm(table[roles[role]])}
            remarks = (*remarks, f"the {role.replace('_', ' ')} is the logarithm of '{roles[role]}'")
    keys = [name for name in table if names.is_run(name) and names.step_rank(name) is None]
    step = _step(table, roles, keys)
    keys = _keys_that_part(table, roles, step, keys)
    groups = _groups(table, keys)
    if step.name is None and len(groups) > 1 and len(groups) * 2 > len(next(iter(table.values())).number):
        raise NotThisFormat("one row per run, which is a table of finished runs and no curve")
    in_epochs = step.name is not None and "epoch" in names.normalized(step.name)
    all_notes = (*notes, *remarks, *step.notes, *([STEPS_ARE_EPOCHS] if in_epochs else []))
    return [_record(table, roles, step, rows, label, all_notes) for label, rows in groups]


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The steps of a table's rows, (rows,), and the column they come from (None: rows are counted)."""

    name: str | None
    number: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def _step(table: Table, roles: Mapping[str, str], keys: Sequence[str]) -> _Step:
    """The column of steps: the best-named one that is filled where losses are; else the row's number."""
    loss = table[roles["loss"]].given
    taken = {*roles.values(), *keys}
    ranked = sorted((rank, n) for n in table if n not in taken and (rank := names.step_rank(n)) is not None)
    candidates = [n for _, n in ranked if table[n].text is None]
    for name in candidates:
        number = table[name].number
        if np.count_nonzero(np.isfinite(number[loss])) >= 0.9 * np.count_nonzero(loss):
            break
    else:
        rows = np.arange(len(loss), dtype=np.float64)
        return _Step(name=None, number=rows, notes=("no column of steps: rows are counted instead",))
    finite = number[np.isfinite(number)]
    if np.any(finite != np.floor(finite)):
        ranks = np.full(len(number), np.nan)
        ranks[np.isfinite(number)] = np.unique(finite, return_inverse=True)[1]
        return _Step(name=name, number=ranks, notes=(f"'{name}' has fractions: its values are counted instead",))
    epoch = next((n for n in candidates if names.normalized(n) in ("epoch", "epochs")), None)
    if epoch is not None and epoch != name and not keys:
        counted = _within_epochs(number, table[epoch].number)
        if counted is not None:
            return _Step(name=name, number=counted, notes=(f"'{name}' begins anew in every epoch: counted through",))
    return _Step(name=name, number=number)


def _within_epochs(step: NDArray[np.float64], epoch: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Steps that begin anew in every epoch, counted through; None where they do not."""
    if not (np.all(np.isfinite(step)) and np.all(np.isfinite(epoch))) or len(step) < 2:
        return None
    back, next_epoch = np.diff(step) < 0, np.diff(epoch) > 0
    if not np.any(back) or np.any(back & ~next_epoch) or np.any(np.diff(epoch) < 0):
        return None
    length = step.max() + (1 if step.min() == 0 else 0)
    index = np.concatenate([[0], np.cumsum(next_epoch)])
    return np.asarray(step + index * length)


def _split_by_data(table: Table) -> Table:
    """Where a column says of each row whether it is of training or validation, set the two losses apart."""
    for name, column in table.items():
        if column.text is None or not names.is_split_of_data(name):
            continue
        validation = np.array([names.is_validation_word(cell) for cell in column.text], dtype=np.bool_)
        if not validation.any() or not any(names.is_training_word(cell) for cell in column.text):
            continue
        parted: dict[str, Column] = {}
        for other, c in table.items():
            if other == name:
                continue
            if c.text is None and names.loss_rank(other) is not None:
                parted[other] = _masked(c, ~validation)
                parted[f"val {other}"] = _masked(c, validation)
            else:
                parted[other] = c
        return parted
    return table


def _logarithm(column: Column) -> Column:
    with np.errstate(divide="ignore", invalid="ignore"):
        return replace(column, number=np.log(column.number))


def _masked(column: Column, keep: NDArray[np.bool_]) -> Column:
    return replace(
        column,
        number=np.where(keep, column.number, np.nan),
        given=column.given & keep,
        unreadable=column.unreadable & keep,
    )


def _keys_that_part(table: Table, roles: Mapping[str, str], step: _Step, keys: Sequence[str]) -> list[str]:
    """The columns that tell runs apart: those named for it, and settings by which colliding steps come apart."""
    keys = list(keys)
    if step.name is None:
        return keys
    here = table[roles["loss"]].given & np.isfinite(step.number)

    def settings(name: str) -> bool:
        other = name not in {*roles.values(), *keys, step.name} and names.step_rank(name) is None
        return other and (table[name].text is not None or names.is_setting(name))

    candidates = sorted(filter(settings, table), key=lambda n: table[n].text is None)
    if "lr" in roles:
        candidates.append(roles["lr"])
    collisions = _collisions(table, keys, step, here)
    for name in candidates:
        if not collisions:
            break
        groups = len(_groups(table, [*keys, name]))
        fewer = _collisions(table, [*keys, name], step, here)
        long_enough = groups * 3 <= np.count_nonzero(here)
        if fewer < collisions and long_enough and (name != roles.get("lr") or fewer == 0):
            keys.append(name)
            collisions = fewer
    return keys


def _collisions(table: Table, keys: Sequence[str], step: _Step, here: NDArray[np.bool_]) -> int:
    """How many rows repeat a step of their own run."""
    total = 0
    for _, rows in _groups(table, keys):
        steps = step.number[rows[here[rows]]]
        total += len(steps) - len(np.unique(steps))
    return total


def _groups(table: Table, keys: Sequence[str]) -> list[tuple[str, Rows]]:
    """(label, rows) of each run, in order of first appearance."""
    rows = len(next(iter(table.values())).number)
    if not keys:
        return [("", np.arange(rows))]
    keys = [name for name in table if name in keys]
    cells = [_spelled(table[name]) for name in keys]
    ids: dict[tuple[str, ...], int] = {}
    which = np.array([ids.setdefault(key, len(ids)) for key in zip(*cells, strict=True)], dtype=np.intp)
    if len(ids) == 1:
        return [("", np.arange(rows))]
    order = np.argsort(which, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(which[order])) + 1)
    varying = [k for k in range(len(keys)) if len(set(cells[k])) > 1]
    return [(_label(keys, key, varying), part) for key, part in zip(ids, parts, strict=True)]


def _spelled(column: Column) -> list[str]:
    if column.text is not None:
        return list(column.text)
    return [f"{value:.12g}" if given else "" for value, given in zip(column.number, column.given, strict=True)]


def _label(keys: Sequence[str], values: Sequence[str], varying: Sequence[int]) -> str:
    """`3` for a run column, `cosine_24000` for text, `batch_size=64` for a setting; joined by commas."""
    parts = []
    for k in varying:
        bare = names.is_run(keys[k]) or not _is_number(values[k])
        parts.append(values[k] if bare else f"{keys[k]}={values[k]}")
    return ",".join(part.replace("/", "-") for part in parts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True


def _record(
    table: Table, roles: Mapping[str, str], step: _Step, rows: Rows, label: str, notes: tuple[str, ...]
) -> Record:
    """One run's rows as series: cells that hold a value, and empty losses that stand for NaN."""
    series: dict[str, Series] = {}
    extra: list[str] = []
    steps = step.number[rows]
    for role, name in roles.items():
        column = table[name]
        number, given, unreadable = column.number[rows], column.given[rows], column.unreadable[rows]
        if unreadable.any():
            extra.append(f"{np.count_nonzero(unreadable)} cells of '{name}' are no numbers and are left out")
        keep = given & ~unreadable
        if role == "loss":
            keep = _losses(table, roles, rows, keep)
            empty = np.count_nonzero(keep & ~given)
            if empty:
                extra.append(f"{empty} empty cells of '{name}' are read as NaN")
        elif role == "val_loss":
            keep &= _validations(number)
        else:
            keep &= ~np.isnan(number)
        lost = np.count_nonzero(keep & ~np.isfinite(steps))
        if lost:
            extra.append(f"{lost} values of '{name}' have no step and are left out")
        keep &= np.isfinite(steps)
        if keep.any():
            series[role] = Series(step=steps[keep], value=number[keep])
    return Record(label=label, series=series, facts=_facts(table, rows), notes=(*notes, *extra))


def _losses(table: Table, roles: Mapping[str, str], rows: Rows, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows are of the training loss: finite ones, and NaN or empty ones that are not rows of another kind.

    A row is of another kind where it fills a column that no row with a finite loss fills, such as validation rows
    of a mixed log.
    """
    loss = table[roles["loss"]]
    finite = keep & ~np.isnan(loss.number[rows])
    if not finite.any():
        return keep
    if finite.all():
        return finite
    other_kind = np.zeros(len(rows), dtype=np.bool_)
    for name, column in table.items():
        given = column.given[rows]
        if name != roles["loss"] and given.any() and not (given & finite).any():
            other_kind |= given
    return finite | (~other_kind & ~loss.unreadable[rows])


def _validations(number: NDArray[np.float64]) -> NDArray[np.bool_]:
    """NaN among validation losses is a diverged value only where nothing finite follows; else it is an empty cell."""
    finite = np.flatnonzero(~np.isnan(number))
    keep = ~np.isnan(number)
    if not len(finite):
        return np.ones(len(number), dtype=np.bool_)
    dense = len(finite) == finite[-1] + 1 - finite[0]
    if dense and len(finite) > 1:
        keep[finite[-1] + 1 :] = True
    return keep


def _facts(table: Table, rows: Rows) -> Facts:
    """What the table says of the run in columns that hold one value throughout."""
    batch_size = optimizer = total_steps = None
    for name, column in table.items():
        if not (names.is_batch_size(name) or names.is_optimizer(name) or names.is_total_steps(name)):
            continue
        if column.text is not None:
            words = {column.text[k] for k in rows} - {""}
            if names.is_optimizer(name) and len(words) == 1:
                optimizer = words.pop()
            continue
        values = np.unique(column.number[rows][column.given[rows]])
        if len(values) == 1 and np.isfinite(values[0]) and values[0] >= 1:
            if names.is_batch_size(name):
                batch_size = int(values[0])
            elif names.is_total_steps(name):
                total_steps = int(values[0])
    return Facts(batch_size=batch_size, optimizer=optimizer, total_steps=total_steps)
