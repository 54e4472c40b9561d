"""Schedules side by side, each at its own best learning rate, and what warm-up buys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrscope.estimate import Estimate
from lrscope.study.compare import difference, without_warmup
from lrscope.study.recommend import mean_estimate
from lrscope.study.result import Optimum, StudyResult


@dataclass(frozen=True, kw_only=True)
class RankedSchedule:
    """One schedule at one batch size; `rank` 1 is the lowest loss, `tied` is one that is not to be told from it.

    `loss` is the mean of the fresh seeds that all schedules were compared on (`measured`), else what the fit expects.
    Measured losses are compared seed by seed: `behind` is by how much a schedule's lie above those of the first, give
    or take what either is expected to lose because its learning rate is not quite its best. Expected ones are compared
    by their intervals, and `behind` is None.
    """

    batch_size: int
    schedule: str
    rank: int
    tied: bool
    measured: bool
    optimal_lr: Estimate
    loss: Estimate
    behind: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class WarmupGain:
    """A schedule with a warm-up against the same without it.

    Arguments:
        lr_factor: the best learning rate with it over that without.
        loss_change: how much lower (below zero) or higher the loss is, each at its own best; seed by seed where both
            were run on the same fresh seeds.
        widest_at: the learning rate, of those tried with both, at which the two losses lie farthest apart; None where
            no rate was tried with both.
        loss_there, loss_there_without: the losses at that rate, infinite where the run was lost.
    """

    batch_size: int
    schedule: str
    without: str
    lr_factor: float
    loss_change: Estimate
    widest_at: float | None
    loss_there: float
    loss_there_without: float


def rank_schedules(result: StudyResult) -> tuple[RankedSchedule, ...]:
    """All schedules with an optimum, by batch size, then rank."""
    rows: list[RankedSchedule] = []
    for batch_size in sorted({optimum.batch_size for optimum in result.optima}):
        cells = [optimum for optimum in result.optima if optimum.batch_size == batch_size]
        losses = [_fresh_losses(result, cell) for cell in cells if cell.optimal_lr is not None]
        rows += _ranked_by_runs(result, cells) if losses and all(losses) else _ranked(cells)
    return tuple(rows)


def _fresh_losses(result: StudyResult, cell: Optimum) -> list[float]:
    """The final losses of a cell on the fresh seeds, at the rate it was compared at; empty where one is missing."""
    contest = result.contest
    if result.recommended is None or contest is None or contest.batch_size != cell.batch_size:
        return []
    losses = {
        run.trial.seed: run.final_loss(result.metric)
        for run in result.trials
        if (run.trial.batch_size, run.trial.schedule) == (cell.batch_size, cell.schedule)
        and run.trial.peak_lr == contest.peak_lrs.get(cell.schedule)
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
        behind = _widened(difference(losses, known[0][1]), _may_lose(cell), _may_lose(known[0][0]))
        rows.append(
            RankedSchedule(
                batch_size=cell.batch_size,
                schedule=cell.schedule,
                rank=index + 1,
                tied=index > 0 and (behind.value <= 0 if behind.low is None else behind.low <= 0),
                measured=True,
                optimal_lr=cell.optimal_lr,
                loss=mean_estimate(losses),
                behind=behind if index else None,
            )
        )
    return rows


def _may_lose(cell: Optimum) -> float:
    """What a cell's rate is expected to lose against its best one, as a loss."""
    if cell.expected_regret is None or cell.expected_loss is None:
        return 0.0
    return max(0.0, cell.expected_regret * (cell.initial_loss - cell.expected_loss.value))


def _widened(behind: Estimate, below: float, above: float) -> Estimate:
    if behind.low is None or behind.high is None:
        return behind
    return Estimate(behind.value, behind.low - below, behind.high + above)


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
        change = difference(with_it, without)
    else:
        change = Estimate(warm.expected_loss.value - cold.expected_loss.value, None, None)
    top = max(warm.initial_loss, cold.initial_loss)
    losses = [_losses(optimum) for optimum in (warm, cold)]
    apart = {lr: abs(min(losses[0][lr], top) - min(losses[1][lr], top)) for lr in losses[0].keys() & losses[1].keys()}
    widest = max(sorted(apart), key=lambda lr: apart[lr], default=None)
    return WarmupGain(
        batch_size=warm.batch_size,
        schedule=warm.schedule,
        without=cold.schedule,
        lr_factor=warm.optimal_lr.value / cold.optimal_lr.value,
        loss_change=change,
        widest_at=widest,
        loss_there=math.nan if widest is None else losses[0][widest],
        loss_there_without=math.nan if widest is None else losses[1][widest],
    )


def _losses(optimum: Optimum) -> dict[float, float]:
    """The loss at each rate tried; infinite where it ended no lower than it began."""
    return {p.lr: p.loss if p.loss < optimum.initial_loss else math.inf for p in optimum.curve}
