"""Large against small batches, each at its own best learning rate: what an update costs and brings, measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from lrscope.estimate import Estimate
from lrscope.report.extract.study import full_runs, main_optima
from lrscope.report.extract.thin import finite_start, smoothed
from lrscope.study.result import Optimum, StudyResult
from lrscope.study.trial import TrialResult

FloatArray = NDArray[np.float64]
FEW_EVALUATIONS = 5


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The mean over seeds, with the least and the greatest of them."""

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """One batch size at its best learning rate.

    Arguments:
        lr: the trained rate nearest to the optimum. updates: those of a full run.
        seconds_per_update, examples_per_second: of training alone, evaluation left out.
        gradient_variance: of the gradient at the initial weights, relative to its squared length: tr Σ / (B |G|²); the
            least and the greatest are the ends of its 80 % interval.
        loss_variance: the variance of the training loss between neighbouring updates, at the common loss.
        updates_to_target, examples_to_target, seconds_to_target: until the common loss is reached.
        train_loss, val_loss, metrics: after the last update.
    """

    batch_size: int
    lr: float
    updates: int
    seconds_per_update: Spread
    examples_per_second: Spread
    gradient_variance: Spread | None
    loss_variance: Spread | None
    updates_to_target: Spread | None
    examples_to_target: Spread | None
    seconds_to_target: Spread | None
    train_loss: Spread
    val_loss: Spread | None
    metrics: dict[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BatchComparison:
    """The batch sizes of a study side by side, by size; `target` is the common loss, the lowest that all of them reach.

    `fastest` and `cheapest` are the batch sizes that reach it in the fewest seconds and on the fewest examples.
    """

    target: float | None
    rows: tuple[BatchSummary, ...]
    fastest: int | None
    cheapest: int | None
    cost: UpdateCost | None


@dataclass(frozen=True, kw_only=True)
class UpdateCost:
    """Seconds of an update as `overhead` + `per_example` · B, fitted in the logarithm to all batch sizes."""

    overhead: float
    per_example: float

    @property
    def bend(self) -> float:
        """The batch size at which half of the most examples a second are reached: the throughput bends there."""
        return self.overhead / self.per_example if self.per_example > 0 else math.inf

    def examples_per_second(self, batch_size: float) -> float:
        """The throughput at a batch size."""
        return batch_size / (self.overhead + self.per_example * batch_size)


def compare_batches(result: StudyResult) -> BatchComparison:
    """The comparison for the study's main schedule; batch sizes without a finished run at a best rate are left out."""
    cells = [(optimum, best_runs(result, optimum)) for optimum in main_optima(result)]
    cells = [(optimum, runs) for optimum, runs in cells if runs]
    target = common_loss([run for _, runs in cells for run in runs])
    rows = tuple(_summary(optimum.batch_size, runs, target, result.gradient_noise) for optimum, runs in cells)
    reached = [row for row in rows if row.seconds_to_target is not None]
    several = len(reached) > 1
    return BatchComparison(
        target=target,
        rows=rows,
        fastest=min(reached, key=lambda row: _mean(row.seconds_to_target)).batch_size if several else None,
        cheapest=min(reached, key=lambda row: _mean(row.examples_to_target)).batch_size if several else None,
        cost=update_cost([row.batch_size for row in rows], [row.seconds_per_update.mean for row in rows]),
    )


def update_cost(batch_sizes: Sequence[int], seconds: Sequence[float]) -> UpdateCost | None:
    """What an update costs, from its seconds at several batch sizes; None with fewer than two.

    >>> cost = update_cost([16, 64, 256], [0.0026, 0.0074, 0.0266])
    >>> round(cost.overhead, 4), round(cost.per_example, 6), round(cost.bend)
    (0.001, 0.0001, 10)
    """
    sizes, costs = np.array(batch_sizes, dtype=np.float64), np.array(seconds, dtype=np.float64)
    known = np.isfinite(costs) & (costs > 0)
    if np.unique(sizes[known]).size < 2:
        return None
    b, c = sizes[known], np.log(costs[known])
    start = np.array([float(c.min()), float((c - np.log(b)).min())])
    fit = optimize.least_squares(
        lambda logs: np.logaddexp(logs[0], logs[1] + np.log(b)) - c, start, bounds=(start - 12.0, start + 12.0)
    )
    overhead, per_example = np.exp(fit.x)
    return UpdateCost(overhead=float(overhead), per_example=float(per_example))


def best_runs(result: StudyResult, optimum: Optimum) -> tuple[TrialResult, ...]:
    """The finished full runs, over seeds, at the trained learning rate nearest to the optimum."""
    finished = [run for run in full_runs(result, optimum.batch_size, optimum.schedule) if run.status == "finished"]
    if optimum.optimal_lr is None or not finished:
        return ()
    centre = math.log(optimum.optimal_lr.value)
    nearest = min(finished, key=lambda run: abs(math.log(run.trial.peak_lr) - centre)).trial.peak_lr
    return tuple(run for run in finished if run.trial.peak_lr == nearest)


def common_loss(runs: Sequence[TrialResult]) -> float | None:
    """The lowest loss that every run reaches, by its evaluations (or its smoothed training loss: see `progress`)."""
    lowest = [float(np.min(progress(run)[1])) for run in runs if len(progress(run)[1])]
    return max(lowest) if lowest else None


def progress(run: TrialResult) -> tuple[FloatArray, FloatArray]:
    """Updates made, and the loss then: evaluations, or the smoothed training loss where those are fewer than five."""
    usable = np.isfinite(run.eval_loss)
    if int(usable.sum()) >= FEW_EVALUATIONS:
        return run.eval_step[usable].astype(np.float64), run.eval_loss[usable]
    length = finite_start(run.loss)
    return np.arange(1, length + 1, dtype=np.float64), smoothed(run.loss[:length])


def updates_to(run: TrialResult, target: float) -> float | None:
    """The updates until the loss is first at `target`, linear between two records; None where it never is."""
    steps, losses = progress(run)
    below = np.flatnonzero(losses <= target)
    if not len(below):
        return None
    first = int(below[0])
    if first == 0:
        return float(steps[0])
    fall = losses[first - 1] - losses[first]
    share = 1.0 if fall <= 0 else (losses[first - 1] - target) / fall
    return float(steps[first - 1] + share * (steps[first] - steps[first - 1]))


def variance_between_updates(run: TrialResult, until: float) -> float | None:
    """½ Var(L_{t+1} − L_t) over the last quarter of the updates before `until` (ten at least): noise, not trend."""
    stop = min(finite_start(run.loss), max(2, round(until)))
    start = max(0, min(round(0.75 * stop), stop - 10))
    steps = np.diff(run.loss[start:stop])
    return float(0.5 * np.var(steps)) if len(steps) >= 3 else None


def _summary(
    batch_size: int, runs: Sequence[TrialResult], target: float | None, noise: Estimate | None
) -> BatchSummary:
    updates = [None if target is None else updates_to(run, target) for run in runs]
    per_update = [run.seconds / max(1, len(run.loss)) for run in runs]
    return BatchSummary(
        batch_size=batch_size,
        lr=runs[0].trial.peak_lr,
        updates=runs[0].trial.total_steps,
        seconds_per_update=_required(per_update),
        examples_per_second=_required(run.examples / run.seconds if run.seconds > 0 else math.nan for run in runs),
        gradient_variance=None if noise is None else _relative_variance(noise, batch_size),
        loss_variance=spread(
            variance_between_updates(run, len(run.loss) if until is None else until)
            for run, until in zip(runs, updates, strict=True)
        ),
        updates_to_target=spread(updates),
        examples_to_target=spread(None if count is None else count * batch_size for count in updates),
        seconds_to_target=spread(
            None if count is None else count * cost for count, cost in zip(updates, per_update, strict=True)
        ),
        train_loss=_required(run.train_loss for run in runs),
        val_loss=spread(run.val_loss for run in runs),
        metrics={name: _required(run.metrics[name] for run in runs if name in run.metrics) for name in runs[0].metrics},
    )


def _relative_variance(noise: Estimate, batch_size: int) -> Spread:
    low, high = (noise.value if end is None else end for end in (noise.low, noise.high))
    return Spread(mean=noise.value / batch_size, low=low / batch_size, high=high / batch_size, seeds=1)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean, least and greatest of the finite values; None where there are none.

    >>> spread([1.0, 3.0, None])
    Spread(mean=2.0, low=1.0, high=3.0, seeds=2)
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return None
    return Spread(mean=sum(finite) / len(finite), low=min(finite), high=max(finite), seeds=len(finite))


def _required(values: Iterable[float]) -> Spread:
    return spread(values) or Spread(mean=math.nan, low=math.nan, high=math.nan, seeds=0)


def _mean(value: Spread | None) -> float:
    return math.inf if value is None else value.mean
