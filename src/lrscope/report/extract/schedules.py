"""Schedules side by side, each at its own best learning rate, and what warm-up buys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrscope.estimate import Estimate
from lrscope.study.compare import without_warmup
from lrscope.study.recommend import mean_estimate
from lrscope.study.result import Optimum, StudyResult


@dataclass(frozen=True, kw_only=True)
class RankedSchedule:
    """One schedule at one batch size; `rank` 1 is the lowest loss, `tied` is one that is not to be told from it.

    `loss` is the mean of the fresh seeds that all schedules were compared on (`measured`), else what the fit expects.
    Measured losses are compared seed by seed, expected ones by their intervals.
    """

    batch_size: int
    schedule: str
    rank: int
    tied: bool
    measured: bool
    optimal_lr: Estimate
    loss: Estimate


@dataclass(frozen=True, kw_only=True)
class WarmupGain:
    """A schedule with a warm-up against the same without it.

    Arguments:
        lr_factor: the best learning rate with it over that without.
        loss_change: how much lower (below zero) or higher the loss is, each at its own best; seed by seed where both
            were run on the same fresh seeds.
        trains_up_to, trains_up_to_without: the highest of the rates tried with both at which the loss falls; None where
            it does at none, or no rate was tried with both.
        tried_up_to: the highest rate tried with both.
    """

    batch_size: int
    schedule: str
    without: str
    lr_factor: float
    loss_change: Estimate
    trains_up_to: float | None
    trains_up_to_without: float | None
    tried_up_to: float | None


def rank_schedules(result: StudyResult) -> tuple[RankedSchedule, ...]:
    """All schedules with an optimum, by batch size, then rank."""
    rows: list[RankedSchedule] = []
    for batch_size in sorted({optimum.batch_size for optimum in result.optima}):
        cells = [optimum for optimum in result.optima if optimum.batch_size == batch_size]
        losses = [_fresh_losses(result, cell) for cell in cells if cell.optimal_lr is not None]
        rows += _ranked_by_runs(result, cells) if losses and all(losses) else _ranked(cells)
    return tuple(rows)


def _fresh_losses(result: StudyResult, cell: Optimum) -> list[float]:
    """The final losses of a cell's optimum on the fresh seeds, seed by seed; empty where one is missing."""
    if result.recommended is None or cell.optimal_lr is None:
        return []
    losses = {
        run.trial.seed: run.final_loss(result.metric)
        for run in result.trials
        if (run.trial.batch_size, run.trial.schedule) == (cell.batch_size, cell.schedule)
        and run.trial.peak_lr == cell.optimal_lr.value
        and run.trial.stop_at == run.trial.total_steps
    }
    seeds = result.recommended.seeds
    return [losses[seed] for seed in seeds] if set(seeds) <= set(losses) else []


def _ranked_by_runs(result: StudyResult, cells: Sequence[Optimum]) -> list[RankedSchedule]:
    known = [(cell, _fresh_losses(result, cell)) for cell in cells if cell.optimal_lr is not None]
    known.sort(key=lambda item: math.fsum(item[1]))
    rows = []
    for index, (cell, losses) in enumerate(known):
        assert cell.optimal_lr is not None  # as all that are known
        apart = mean_estimate([loss - first for loss, first in zip(losses, known[0][1], strict=True)])
        rows.append(
            RankedSchedule(
                batch_size=cell.batch_size,
                schedule=cell.schedule,
                rank=index + 1,
                tied=index > 0 and apart.low is not None and apart.low <= 0,
                measured=True,
                optimal_lr=cell.optimal_lr,
                loss=mean_estimate(losses),
            )
        )
    return rows


def warmup_gains(result: StudyResult) -> tuple[WarmupGain, ...]:
    """Every pair of `warmup(…) -> rest` and `rest` that both have an optimum, by batch size."""
    cells = {(optimum.batch_size, optimum.schedule): optimum for optimum in result.optima}
    gains = []
    for (batch_size, schedule), warm in sorted(cells.items()):
        rest = without_warmup(schedule)
        cold = None if rest is None else cells.get((batch_size, rest))
        if cold is not None:
            gain = _gain(result, warm, cold)
            gains += [] if gain is None else [gain]
    return tuple(gains)


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
                measured=False,
                optimal_lr=lr,
                loss=loss,
            )
        )
    return rows


def _gain(result: StudyResult, warm: Optimum, cold: Optimum) -> WarmupGain | None:
    if warm.optimal_lr is None or cold.optimal_lr is None or warm.expected_loss is None or cold.expected_loss is None:
        return None
    with_it, without = _fresh_losses(result, warm), _fresh_losses(result, cold)
    if with_it and without:
        change = mean_estimate([one - other for one, other in zip(with_it, without, strict=True)])
    else:
        change = Estimate(warm.expected_loss.value - cold.expected_loss.value, None, None)
    both = {point.lr for point in warm.curve} & {point.lr for point in cold.curve}
    return WarmupGain(
        batch_size=warm.batch_size,
        schedule=warm.schedule,
        without=cold.schedule,
        lr_factor=warm.optimal_lr.value / cold.optimal_lr.value,
        loss_change=change,
        trains_up_to=_highest(warm, both),
        trains_up_to_without=_highest(cold, both),
        tried_up_to=max(both, default=None),
    )


def _highest(optimum: Optimum, rates: set[float]) -> float | None:
    """The highest of these rates that ended below where it began."""
    trained = [
        p.lr for p in optimum.curve if p.lr in rates and p.regime != "very_high" and p.loss < optimum.initial_loss
    ]
    return max(trained, default=None)
