"""Tables with a column of losses for each run, as charts are exported and spreadsheets are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lrscope.curves.readers import names
from lrscope.curves.readers.column import Column, column
from lrscope.curves.readers.roles import assign_roles

_BY_RATE = re.compile(r"(?:(?:train[_ ])?loss[ _/-]*)?(?:lr|learning[_ ]rate)[ _=:]*(\d[\d.]*(?:e[+-]?\d+)?)", re.I)


def runs_side_by_side(table: Mapping[str, Column], file: str) -> dict[str, dict[str, Column]]:
    """Run -> its own table, for a table that has a column for each run; empty for any other.

    They are W&B's exported charts; columns called by the learning rate, as `lr=0.1`; and, in a file that is called
    a loss, columns of which none is called anything that is known.
    """
    return _exported_by_wandb(table) or _by_rate(table) or _in_a_file_of_losses(table, file)


def _exported_by_wandb(table: Mapping[str, Column]) -> dict[str, dict[str, Column]]:
    """Columns called `run - metric`, with `__MIN` and `__MAX` beside each."""
    runs: dict[str, dict[str, Column]] = {}
    shared = {name: c for name, c in table.items() if " - " not in name}
    for name, c in table.items():
        label, dash, metric = name.rpartition(" - ")
        if dash and not metric.endswith(("__MIN", "__MAX")):
            runs.setdefault(label, dict(shared))[metric] = c
    return {label: part for label, part in runs.items() if "loss" in assign_roles(dict.fromkeys(part, 1))[0]}


def _by_rate(table: Mapping[str, Column]) -> dict[str, dict[str, Column]]:
    steps, runs = _parted(table)
    rates = {name: _BY_RATE.fullmatch(name) for name in runs}
    return {
        name: {**steps, "loss": losses, "lr": column([float(rate[1])] * len(losses.number))}
        for name, losses in runs.items()
        if (rate := rates[name]) is not None and all(rates.values())
    }


def _in_a_file_of_losses(table: Mapping[str, Column], file: str) -> dict[str, dict[str, Column]]:
    steps, runs = _parted(table)
    unknown = not any(names.is_known(name) for name in runs)
    return (
        {name: {**steps, "loss": c} for name, c in runs.items()}
        if names.loss_rank(file) is not None and unknown
        else {}
    )


def _parted(table: Mapping[str, Column]) -> tuple[dict[str, Column], dict[str, Column]]:
    """The columns of steps, and the others where they are two or more, all of numbers."""
    steps = {name: c for name, c in table.items() if names.step_rank(name) is not None}
    others = {name: c for name, c in table.items() if name not in steps}
    return steps, others if len(others) > 1 and all(c.text is None for c in others.values()) else {}
