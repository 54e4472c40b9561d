"""Tables in the shapes that people keep them in: a column for each seed, batch size or rate; batches per device; units.

Each function takes columns and returns columns as the rest of the command reads them: one row per run, plain numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from lrscope.cli.scale_columns import LOSS, SCORE, Roles, normalized
from lrscope.cli.scale_formats import Cell, Columns

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_QUANTITY = re.compile(
    rf"(?:[a-z][a-z_ ]*[=:]\s*)?({_NUMBER})\s*(k|m|g|ki|mi|gi)?\s*"
    r"(%|examples?|samples?|sequences?|seqs?|tokens?|images?|nats?|bits?|steps?)?"
)
_PREFIX = {"k": 1e3, "m": 1e6, "g": 1e9, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30}
_SEED = re.compile(r"(.*?)_?(?:(seed|run|rep|replicate|trial)_?)?(\d+)")
_SIZE = re.compile(r"(?:bs|b|batch|batch[_ ]?size)?\s*[=:_ ]?\s*(\d+(?:k|m|ki)?)")
_RATE = re.compile(rf"(?:lr|eta|η|learning[_ ]rate)?\s*[=:_ ]?\s*({_NUMBER})")
_PER_DEVICE = re.compile(r"^(per_device|per_gpu|device|local|micro)(_|batch)")
_DEVICES = ("world_size", "num_devices", "n_devices", "devices", "num_gpus", "n_gpus", "gpus", "num_processes")
_ACCUMULATION = ("gradient_accumulation_steps", "accumulation_steps", "accumulate_grad_batches",
                 "grad_accumulation_steps", "gradient_accumulation", "grad_accum", "accumulation", "accum_steps",
                 "accum")  # fmt: skip


def quantity(text: str) -> float | None:
    """A number with its name or unit; None where the text is none. A percentage keeps its number.

    >>> [quantity(t) for t in ("16 examples", "0.25M", "lr=1e-3", "93.5%", "4k tokens", "diverged")]
    [16.0, 250000.0, 0.001, 93.5, 4000.0, None]
    """
    match = _QUANTITY.fullmatch(text.strip().lower())
    return None if match is None else float(match[1]) * _PREFIX.get(match[2], 1.0)


def without_units(columns: Columns, roles: Roles) -> Columns:
    """The columns, those of rates, batch sizes and losses with their quantities as plain numbers."""
    measured = {roles.lr, roles.batch, roles.loss, roles.initial, roles.to_target}

    def plain(value: Cell) -> Cell:
        number = quantity(value) if isinstance(value, str) else None
        return value if number is None else number

    return {name: [plain(v) for v in values] if name in measured else values for name, values in columns.items()}


def unfolded(columns: Columns, roles: Roles, notes: list[str]) -> Columns:
    """A table that has a column of losses for each seed, batch size or rate as one with a row for each run.

    >>> from lrscope.cli.scale_columns import find_roles
    >>> wide = {"lr": [0.1, 0.2], "bs=16": [2.0, 3.0], "bs=64": [1.0, 4.0]}
    >>> roles = find_roles(list(wide), "'t.csv'", lr=None, batch=None, loss=None, maximize=False)
    >>> unfolded(wide, roles, [])
    {'lr': [0.1, 0.1, 0.2, 0.2], 'batch_size': [16.0, 64.0, 16.0, 64.0], 'loss': [2.0, 1.0, 3.0, 4.0]}
    """
    if roles.loss is not None or roles.to_target is not None:
        return columns
    seeds = _by_seed(columns)
    for measure, found in seeds.items():
        if roles.lr is not None and len(found) > 1:
            notes.append(f"Each row is {len(found)} runs, one for each of the columns {', '.join(found)}.")
            return _melted(columns, found, "seed", measure)
    ways: tuple[tuple[bool, str, Callable[[str], float | None]], ...] = (
        (roles.lr is not None and roles.batch is None, "batch_size", _size),
        (roles.batch is not None and roles.lr is None, "lr", _rate),
    )
    for fits, role, number in ways:
        heads = {name: value for name in columns if (value := number(name)) is not None}
        if fits and len(heads) > 1:
            notes.append(f"Each row is {len(heads)} runs, one for each {role.replace('_', ' ')} in the head.")
            return _melted(columns, heads, role, "loss")
    return columns


def _by_seed(columns: Columns) -> dict[str, dict[str, float]]:
    """What was measured -> its columns by seed: loss_seed0, acc_1, or seed 0 alone."""
    found: dict[str, dict[str, float]] = {}
    for name in columns:
        match = _SEED.fullmatch(normalized(name))
        if match is None or all(value == "" for value in columns[name]):
            continue
        if match[1] in (*LOSS, *SCORE) or (not match[1] and match[2]):
            found.setdefault(match[1] or "loss", {})[name] = float(match[3])
    return found


def _size(name: str) -> float | None:
    match = _SIZE.fullmatch(name.strip().lower())
    return quantity(match[1]) if match else None


def _rate(name: str) -> float | None:
    match = _RATE.fullmatch(name.strip().lower())
    return float(match[1]) if match and float(match[1]) > 0 else None


def _melted(columns: Columns, heads: dict[str, float], role: str, measure: str) -> Columns:
    count = len(next(iter(columns.values())))
    kept: Columns = {
        name: [value for value in values for _ in heads] for name, values in columns.items() if name not in heads
    }
    kept[role] = [value for _ in range(count) for value in heads.values()]
    kept[measure] = [columns[name][row] for row in range(count) for name in heads]
    return kept


def whole_batches(columns: Columns, roles: Roles, notes: list[str]) -> Columns:
    """Batch sizes per device times devices and accumulation steps, where the table has columns of them."""
    if roles.batch is None or not _PER_DEVICE.match(normalized(roles.batch)):
        return columns
    factors = [
        next((name for word in words for name in columns if normalized(name) == word), None)
        for words in (_DEVICES, _ACCUMULATION)
    ]
    used = [name for name in factors if name is not None]
    parts = [columns[roles.batch], *(columns[name] for name in used)]
    if not used or not all(isinstance(value, float) for part in parts for value in part):
        return columns
    notes.append(f"Batch sizes are {' × '.join([roles.batch, *used])}: the examples of one update.")
    left = {name: values for name, values in columns.items() if name not in used}
    left[roles.batch] = _products(parts)
    return left


def _products(parts: Sequence[Sequence[Cell]]) -> list[Cell]:
    return list(np.prod(np.array(parts, dtype=np.float64), axis=0).tolist())
