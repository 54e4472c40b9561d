"""Runs without a loss: which of them diverged, and which are only missing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from lrscope.cli.scale_columns import Roles, normalized
from lrscope.cli.scale_formats import Cell, Columns, number_in

FAR = 1e6
"""A loss so many times the lower quartile of all is no loss but a mark, such as 1e9, of a run that diverged."""
_DIVERGED = re.compile(r"diverg|explod|blew|blow|unstable|overflow|nan|inf", re.IGNORECASE)
_STATE = ("state", "status", "run_state")
_UNFINISHED = re.compile(r"running|pending|queued|waiting|pruned|killed|cancel|abort|preempt|stopped", re.IGNORECASE)


def settled(columns: Columns, roles: Roles, by: Sequence[str], notes: list[str]) -> Columns:
    """The runs that finished or diverged; a loss that stands for divergence is infinite afterwards.

    Words such as "diverged", and numbers beyond all others, are marks of divergence. A run whose loss is empty has
    diverged where no higher rate of its curve has a loss, as people leave such cells empty; below one that has, the run
    is missing and left out, as is one whose state says that it has not finished.
    """
    if roles.lr is None or roles.loss is None:
        return columns
    columns = _finished_only(dict(columns), roles.loss, notes)
    losses = columns[roles.loss] = _marked(columns[roles.loss], roles.maximize, notes)
    curves: dict[tuple[Cell, ...], list[int]] = {}
    keys = [columns[name] for name in (*by, roles.batch) if name is not None]
    for row in range(len(losses)):
        curves.setdefault(tuple(values[row] for values in keys), []).append(row)
    missing: set[int] = set()
    for rows in curves.values():
        empty = [row for row in rows if isinstance(losses[row], str)]
        highest = max((number_in(columns[roles.lr][row]) for row in rows if _finite(losses[row])), default=0.0)
        missing |= {row for row in empty if number_in(columns[roles.lr][row]) < highest}
        if len(empty) == len(rows):
            where = "" if roles.batch is None else f" at batch size {number_in(columns[roles.batch][rows[0]]):g}"
            notes.append(f"None of the {len(rows)} runs{where} has a loss: they are taken as diverged.")
    if missing:
        runs = "run" if len(missing) == 1 else "runs"
        notes.append(f"{len(missing)} {runs} without a loss, below rates that have one: left out.")
    return _without(columns, missing)


def _finished_only(columns: Columns, loss: str, notes: list[str]) -> Columns:
    state = next((name for name in columns if normalized(name) in _STATE), None)
    if state is None:
        return columns
    words = [str(value) for value in columns[state]]
    columns[loss] = [
        math.inf if _DIVERGED.search(word) else value for word, value in zip(words, columns[loss], strict=True)
    ]
    unfinished = {row for row, word in enumerate(words) if _UNFINISHED.search(word)}
    if unfinished and len(unfinished) < len(words):
        runs = "run has" if len(unfinished) == 1 else "runs have"
        notes.append(f"{len(unfinished)} {runs} not finished by column '{state}': left out.")
        return _without(columns, unfinished)
    return columns


def _marked(losses: Sequence[Cell], maximize: bool, notes: list[str]) -> list[Cell]:
    marked: list[Cell] = [math.inf if isinstance(v, str) and _DIVERGED.search(v) else v for v in losses]
    known = np.array([abs(value) for value in marked if isinstance(value, float) and math.isfinite(value)])
    if maximize or not known.size:
        return marked
    limit = FAR * max(float(np.quantile(known, 0.25)), float(np.finfo(float).tiny))
    far = {value for value in marked if isinstance(value, float) and math.isfinite(value) and value > limit}
    if far:
        notes.append(f"Losses of {min(far):.3g} or more are far beyond all others: these runs are taken as diverged.")
    return [math.inf if value in far else value for value in marked]


def _without(columns: Columns, rows: set[int]) -> Columns:
    return {name: [v for row, v in enumerate(values) if row not in rows] for name, values in columns.items()}


def _finite(value: Cell) -> bool:
    return isinstance(value, float) and math.isfinite(value)
