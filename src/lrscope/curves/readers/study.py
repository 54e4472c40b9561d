"""lrscope's own studies (study.db): every trial's curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.readers import sqlite
from lrscope.curves.readers.record import Facts, FloatArray, NotThisFormat, Reader, Record, Series

_KEY = ("batch_size", "peak_lr", "schedule", "seed", "total_steps", "stop_at")
_TOTAL, _STOP = 5, 6  # the places of the last two in a row, which begins with the trial's number
_WHOLE_NUMBERS = {"probe_step", "eval_step"}
_LABELS = {"batch_size": "batch_size={}", "peak_lr": "lr={:.4g}", "schedule": "{}", "seed": "seed={}"}


def read_study(paths: Sequence[Path]) -> list[Record]:
    """The trials of a study, labelled by what tells them apart."""
    notes: list[str] = []
    with sqlite.opened(paths[0], {"fact", "trial", "chunk"}) as db:
        trials = list(sqlite.rows(db, f"SELECT id, {', '.join(_KEY)}, initial_val_loss FROM trial", notes))
        chunks: dict[int, dict[str, list[tuple[int, bytes]]]] = {}
        for trial, series, start, data in sqlite.rows(db, "SELECT trial, series, start, data FROM chunk", notes):
            if isinstance(data, bytes):
                chunks.setdefault(trial, {}).setdefault(series, []).append((start, data))
    records = []
    varying = [name for k, name in enumerate(_KEY, start=1) if len({row[k] for row in trials}) > 1]
    if all(row[_TOTAL] == row[_STOP] for row in trials):
        varying = [name for name in varying if name != "stop_at"]
    for number, *key, initial_val_loss in trials:
        values = dict(zip(_KEY, key, strict=True))
        arrays = {name: _array(name, parts) for name, parts in chunks.get(number, {}).items()}
        if len(arrays.get("loss", ())):
            label = ",".join(_LABELS.get(n, n + "={}").format(values[n]).replace("/", "-") for n in varying)
            records.append(_record(label, values, arrays, initial_val_loss is not None, notes))
    if not records:
        raise NotThisFormat("the study has no finished trial")
    return records


def _array(name: str, parts: list[tuple[int, bytes]]) -> NDArray[Any]:
    """A series from its chunks, as far as they follow on each other."""
    dtype = np.dtype("<i8" if name in _WHOLE_NUMBERS else "<f4")
    data = b"".join(part for _, part in sorted(parts))
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype=dtype).astype(np.float64)


def _record(
    label: str, values: dict[str, Any], arrays: dict[str, FloatArray], validated: bool, notes: Sequence[str]
) -> Record:
    every = np.arange(len(arrays["loss"]), dtype=np.float64)
    probe, evaluated = arrays.get("probe_step", every[:0]), arrays.get("eval_step", every[:0])
    parts = {
        "loss": (every, "loss"),
        "lr": (every, "lr"),
        "grad_norm": (probe, "grad_norm"),
        "update_ratio": (probe, "update_ratio"),
    }
    if validated:  # without validation data the evaluations are of the training data
        parts["val_loss"] = (evaluated, "eval_loss")
    series = {}
    for role, (step, name) in parts.items():
        value = arrays.get(name, every[:0])
        length = min(len(step), len(value))
        if length:
            series[role] = Series(step=step[:length], value=value[:length])
    facts = Facts(batch_size=values["batch_size"], total_steps=values["total_steps"])
    return Record(label=label, series=series, facts=facts, notes=tuple(notes))


READER = Reader(
    name="lrscope study",
    accepts="lrscope's own studies",
    matches=lambda path, head: head.startswith(sqlite.MAGIC),
    read=read_study,
)
