"""What a format's reader hands over: runs as named series in the order they were written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One logged quantity: `value[i]` was written at `step[i]`, in the order of the file. Both (points,) float64."""

    step: FloatArray
    value: FloatArray

    @classmethod
    def from_points(cls, points: Sequence[tuple[float, float]]) -> Series:
        """The series of one or more (step, value)."""
        step, value = np.array(points, dtype=np.float64).T
        return cls(step=step, value=value)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a run besides its series; `lr` only where it was constant."""

    lr: float | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    total_steps: int | None = None

    def filled_from(self, other: Facts) -> Facts:
        """These facts, with those that are missing taken from `other`."""
        return Facts(
            lr=other.lr if self.lr is None else self.lr,
            batch_size=other.batch_size if self.batch_size is None else self.batch_size,
            optimizer=other.optimizer if self.optimizer is None else self.optimizer,
            total_steps=other.total_steps if self.total_steps is None else self.total_steps,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One run of a file: its series by role (`loss`, `val_loss`, `lr`, …), its facts, and the reader's remarks.

    `label` tells the runs of one file apart; it is empty where the file holds a single run.
    """

    label: str = ""
    series: dict[str, Series] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    notes: tuple[str, ...] = ()


class NotThisFormat(Exception):
    """The file is not what the reader reads; says why in a few words. Never leaves `read_curves`."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One format: which files are its own, and how they become records.

    Arguments:
        name: what the format is called.
        accepts: the format in a few words, for messages.
        matches: whether a path with these first bytes is of this format; a cheap look, never an error.
        read: the runs in the file; raises NotThisFormat where there are none.
        claims_folder: whether a whole folder is one run or store of this format.
        joins_siblings: the files of this format in one folder are one run (event files after a restart).
    """

    name: str
    accepts: str
    matches: Callable[[Path, bytes], bool]
    read: Callable[[Sequence[Path]], list[Record]]
    claims_folder: Callable[[Path], bool] = lambda path: False
    joins_siblings: bool = False
