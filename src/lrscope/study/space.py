"""What a search looks through, and what it sees of the trials: cells, the space, observations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lrscope.study.trial import Trial

DECIMALS = 9  # of an octave, that tell one rate from another


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """One batch size under one schedule: what has one optimum."""

    batch_size: int
    schedule: str

    def has(self, trial: Trial) -> bool:
        """Whether the trial is one of this cell's."""
        return trial.batch_size == self.batch_size and trial.schedule == self.schedule


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What is searched, and how thoroughly.

    Arguments:
        cells: batch sizes and schedules. total_steps: batch size -> updates of a full run.
        lr_low, lr_high: no rate outside is tried. tolerance: the expected regret that is good enough.
        seeds: at most this many seeds a point, from `base_seed` on. method: "adaptive" or "grid".
        savings: what the adaptive search saves by; all by default, fewer to measure what each brings.
    """

    cells: tuple[Cell, ...]
    total_steps: dict[int, int]
    lr_low: float = 1e-6
    lr_high: float = 10.0
    tolerance: float = 0.01
    seeds: int = 3
    base_seed: int = 0
    method: Literal["adaptive", "grid"] = "adaptive"
    savings: frozenset[str] = frozenset({"bracket", "neighbours"})

    def is_full(self, trial: Trial) -> bool:
        """Whether the trial is a full run, trained to its end."""
        return trial.stop_at == trial.total_steps == self.total_steps[trial.batch_size]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the search sees of a finished trial: its final loss (inf = diverged) and the loss before the first update.

    `train_loss` and `initial_train_loss` are the training losses, which are what short runs can tell about.
    """

    trial: Trial
    loss: float
    train_loss: float
    initial_loss: float
    initial_train_loss: float


def full_trial(space: SearchSpace, cell: Cell, lr: float, seed: int) -> Trial:
    """A full run of a cell."""
    steps = space.total_steps[cell.batch_size]
    return Trial(
        batch_size=cell.batch_size, peak_lr=lr, schedule=cell.schedule, seed=seed, total_steps=steps, stop_at=steps
    )


def octave_of(trial: Trial) -> float:
    """log₂ of a trial's peak rate, without the rounding of a power and a logarithm."""
    return round(math.log2(trial.peak_lr), DECIMALS)
