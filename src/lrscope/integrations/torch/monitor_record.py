"""What a monitor has seen: every step's loss and rate, the measurements of some steps, and what was told."""

from __future__ import annotations

import json
import math
import os
from array import array
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import Curve

Facts = dict[str, str | int]


class ScalarWriter(Protocol):
    """What TensorBoard's SummaryWriter offers."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Log one value."""


class MonitorRecord:
    """The growing record of a run. Steps that a rewind undid stay in the file, and are left out of the curve.

    Arguments:
        name: what the curve is called.
        facts: optimizer, batch_size, total_steps, where known.
        path: a file of JSON lines, one a step, written at measured steps; `read_curves` reads it.
        tensorboard: a SummaryWriter, for scalars under `lrscope/`.
    """

    def __init__(
        self, name: str, facts: Facts, path: str | os.PathLike[str] | None, tensorboard: ScalarWriter | None
    ) -> None:
        self.name, self.facts, self.events = name, facts, list[str]()
        self.steps, self.losses, self.rates = array("q"), array("d"), array("d")
        self.measured: dict[int, dict[str, float]] = {}  # place in the arrays -> what was measured there
        self.count = 0  # steps seen, those that were undone included
        self._written = 0
        self._tensorboard = tensorboard
        self._path = Path(path) if path is not None else None
        if self._path is not None:
            self._path.write_text("", encoding="utf-8")

    def __len__(self) -> int:
        return len(self.losses)

    def add(self, loss: float, lr: float, measured: dict[str, float]) -> None:
        """One step."""
        if measured:
            self.measured[len(self.losses)] = measured
        self.steps.append(self.count)
        self.losses.append(loss)
        self.rates.append(lr)
        self.count += 1
        if measured:
            self.flush()

    def tell(self, sentence: str) -> None:
        """Put a sentence into the record."""
        self.events.append(sentence)
        self.flush()
        self._append([{"event": sentence, "at_step": self.count - 1}])

    def undo(self, length: int) -> None:
        """Forget all but the first so many steps; the file keeps them, and the steps that follow count on."""
        self.flush()
        for series in (self.steps, self.losses, self.rates):
            del series[length:]
        self.measured = {place: row for place, row in self.measured.items() if place < length}
        self._written = length

    def curve(self) -> Curve:
        """The record so far."""

        def series(name: str) -> NDArray[np.float64] | None:
            known = {place: row[name] for place, row in self.measured.items() if name in row}
            if not known:
                return None
            values = np.full(len(self), np.nan)
            values[list(known)] = list(known.values())
            return values

        optimizer, batch_size, total_steps = (self.facts.get(n) for n in ("optimizer", "batch_size", "total_steps"))
        return Curve(
            name=self.name,
            step=np.array(self.steps, dtype=np.int64),
            loss=np.array(self.losses, dtype=np.float64),
            lr=np.array(self.rates, dtype=np.float64),
            grad_norm=series("grad_norm"),
            grad_norm_l1=series("grad_norm_l1"),
            update_ratio=series("update_ratio"),
            alpha=series("alpha"),
            gradient_cosine=series("gradient_cosine"),
            sharpness=series("sharpness"),
            optimizer=str(optimizer) if optimizer is not None else None,
            batch_size=int(batch_size) if batch_size is not None else None,
            total_steps=int(total_steps) if total_steps is not None else None,
        )

    def flush(self) -> None:
        """Write the steps that are not written yet."""
        first, self._written = self._written, len(self)
        if self._path is None and self._tensorboard is None:
            return
        rows: list[dict[str, Any]] = []
        for place in range(first, len(self)):
            row = {"step": self.steps[place], "loss": self.losses[place], "lr": self.rates[place]}
            row |= self.measured.get(place, {})
            rows.append({**row, **self.facts} if self.steps[place] == 0 else row)
            if self._tensorboard is not None:
                for name, value in row.items():
                    if name != "step" and math.isfinite(value):
                        self._tensorboard.add_scalar(f"lrscope/{name}", value, int(row["step"]))
        self._append(rows)

    def _append(self, rows: list[dict[str, Any]]) -> None:
        """Write rows in one go; the file is open no longer than that, so that a killed run loses no whole line."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows))
