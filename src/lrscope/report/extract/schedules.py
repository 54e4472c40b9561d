"""Schedules side by side, each at its own best learning rate, and what warm-up buys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrscope.estimate import Estimate
from lrscope.study.result import Optimum, StudyResult

WARMUP, THEN = "warmup", " -> "


@dataclass(frozen=True, kw_only=True)
class RankedSchedule:
    """One schedule at one batch size; `rank` 1 is the lowest expected loss, `tied` overlaps with the first's interval.

    `good_octaves` is how wide the good learning rates lie apart: log₂ of the highest over the lowest tried.
    """

    batch_size: int
    schedule: str
    rank: int
    tied: bool
    optimal_lr: Estimate
    expected_loss: Estimate
    good_octaves: float


@dataclass(frozen=True, kw_only=True)
class WarmupGain:
    """A schedule with a warm-up against the same without it: how much higher the best rate, how much lower the loss."""

    batch_size: int
    schedule: str
    lr_factor: float
    loss_change: float
    good_octaves: float
    good_octaves_without: float
    highest_trained: float | None
    highest_trained_without: float | None


def rank_schedules(result: StudyResult) -> tuple[RankedSchedule, ...]:
    """All schedules with an optimum, by batch size, then rank."""
    rows: list[RankedSchedule] = []
    for batch_size in sorted({optimum.batch_size for optimum in result.optima}):
        cells = [optimum for optimum in result.optima if optimum.batch_size == batch_size]
        rows += _ranked(cells)
    return tuple(rows)


def warmup_gains(result: StudyResult) -> tuple[WarmupGain, ...]:
    """Every pair of `warmup(…) -> rest` and `rest` that both have an optimum, by batch size."""
    cells = {(optimum.batch_size, optimum.schedule): optimum for optimum in result.optima}
    gains = []
    for (batch_size, schedule), warm in sorted(cells.items()):
        head, _, rest = schedule.partition(THEN)
        cold = cells.get((batch_size, rest)) if head.startswith(WARMUP) and rest else None
        if cold is not None:
            gain = _gain(warm, cold)
            gains += [] if gain is None else [gain]
    return tuple(gains)


def good_octaves(optimum: Optimum) -> float:
    """log₂ of the highest good learning rate over the lowest; 0 where there is one only."""
    good = [point.lr for point in optimum.curve if point.regime == "good"]
    return math.log2(max(good) / min(good)) if good else 0.0


def _ranked(cells: Sequence[Optimum]) -> list[RankedSchedule]:
    known = [
        (cell, cell.optimal_lr, cell.expected_loss)
        for cell in cells
        if cell.optimal_lr is not None and cell.expected_loss is not None
    ]
    known.sort(key=lambda item: item[2].value)
    rows = []
    for index, (cell, lr, loss) in enumerate(known):
        first = known[0][2]
        ceiling = math.inf if first.high is None else first.high
        floor = -math.inf if loss.low is None else loss.low
        rows.append(
            RankedSchedule(
                batch_size=cell.batch_size,
                schedule=cell.schedule,
                rank=index + 1,
                tied=index > 0 and floor <= ceiling,
                optimal_lr=lr,
                expected_loss=loss,
                good_octaves=good_octaves(cell),
            )
        )
    return rows


def _gain(warm: Optimum, cold: Optimum) -> WarmupGain | None:
    if warm.optimal_lr is None or cold.optimal_lr is None or warm.expected_loss is None or cold.expected_loss is None:
        return None
    return WarmupGain(
        batch_size=warm.batch_size,
        schedule=warm.schedule,
        lr_factor=warm.optimal_lr.value / cold.optimal_lr.value,
        loss_change=warm.expected_loss.value - cold.expected_loss.value,
        good_octaves=good_octaves(warm),
        good_octaves_without=good_octaves(cold),
        highest_trained=_highest(warm),
        highest_trained_without=_highest(cold),
    )


def _highest(optimum: Optimum) -> float | None:
    """The highest rate tried that did not end very high."""
    trained = [point.lr for point in optimum.curve if point.regime != "very_high"]
    return max(trained) if trained else None
