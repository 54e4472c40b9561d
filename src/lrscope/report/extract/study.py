"""A study's curves and points, ready to draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrscope.report.extract.thin import POINTS, finite_start, largest_triangles, smoothed
from lrscope.study.result import Optimum, StudyResult
from lrscope.study.trial import TrialResult

FloatArray = NDArray[np.float64]
LECTURE_ORDER = ("very_high", "high", "good", "low")
_SAME_RATE = 1e-6  # rates closer than this share are one and the same


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnCurve:
    """The training loss of one trial, smoothed and thinned: `loss` and `step` (points,)."""

    batch_size: int
    schedule: str
    lr: float
    seed: int
    regime: str
    status: str
    initial_loss: float
    step: NDArray[np.int64]
    loss: FloatArray

    @property
    def diverged(self) -> bool:
        """Whether the trial ended so."""
        return self.status == "diverged"


@dataclass(frozen=True, kw_only=True)
class RatioPoint:
    """How far an update moves the weights at one learning rate: the median ‖Δθ‖/‖θ‖ over the trial's probes."""

    batch_size: int
    lr: float
    ratio: float


def main_schedule(result: StudyResult) -> str:
    """The schedule that the page is about: the recommended one, else that of the lowest expected loss."""
    if result.recommended is not None:
        return result.recommended.schedule
    ranked = sorted(result.optima, key=lambda optimum: _expected(optimum))
    return ranked[0].schedule if ranked else ""


def main_optima(result: StudyResult) -> tuple[Optimum, ...]:
    """The optima of the main schedule, by batch size."""
    schedule = main_schedule(result)
    chosen = [optimum for optimum in result.optima if optimum.schedule == schedule]
    return tuple(sorted(chosen, key=lambda optimum: optimum.batch_size))


def schedules(result: StudyResult) -> tuple[str, ...]:
    """The study's schedules in the order of its optima, each once."""
    return tuple(dict.fromkeys(optimum.schedule for optimum in result.optima))


def full_runs(result: StudyResult, batch_size: int, schedule: str) -> tuple[TrialResult, ...]:
    """The trials of one cell over the whole budget, by learning rate and seed; diverged ones included.

    A search may also train shorter runs, of fewer steps in all: they are left out.
    """
    cell = [
        item
        for item in result.trials
        if item.trial.batch_size == batch_size and item.trial.schedule == schedule and item.is_full_run
    ]
    longest = max((item.trial.total_steps for item in cell), default=0)
    whole = [item for item in cell if item.trial.total_steps == longest]
    return tuple(sorted(whole, key=lambda item: (item.trial.peak_lr, item.trial.seed)))


def regime_of(optimum: Optimum, lr: float) -> str:
    """The regime of a learning rate by the optimum's curve; `inconclusive` for a rate that is not on it."""
    for point in optimum.curve:
        if same_rate(point.lr, lr):
            return point.regime
    return "inconclusive"


def same_rate(one: float, other: float) -> bool:
    """Whether two learning rates are one and the same."""
    return math.isclose(one, other, rel_tol=_SAME_RATE)


def training_curves(result: StudyResult, optimum: Optimum, points: int = POINTS) -> tuple[DrawnCurve, ...]:
    """The loss curves of one cell, one trial (the lowest seed) per learning rate on its curve, by learning rate."""
    first: dict[float, TrialResult] = {}
    for item in full_runs(result, optimum.batch_size, optimum.schedule):
        first.setdefault(item.trial.peak_lr, item)
    on_curve = [item for lr, item in first.items() if any(same_rate(point.lr, lr) for point in optimum.curve)]
    return tuple(drawn_curve(item, regime_of(optimum, item.trial.peak_lr), points) for item in on_curve)


def drawn_curve(item: TrialResult, regime: str, points: int = POINTS) -> DrawnCurve:
    """One trial's training loss: cut at the first value that is not finite, smoothed, thinned."""
    length = finite_start(item.loss)
    loss = smoothed(item.loss[:length])
    kept = largest_triangles(np.arange(length), loss, points)
    return DrawnCurve(
        batch_size=item.trial.batch_size,
        schedule=item.trial.schedule,
        lr=item.trial.peak_lr,
        seed=item.trial.seed,
        regime=regime,
        status=item.status,
        initial_loss=item.initial_train_loss,
        step=kept,
        loss=loss[kept],
    )


def lecture_curves(result: StudyResult) -> tuple[DrawnCurve, ...]:
    """Very high, high, good, low: a curve of each, at the batch size that shows most of them.

    Taken are: of the very high rates the lowest that still shows a curve, of the high ones the highest, of the good
    ones that nearest the optimum, of the low ones the highest that stays an octave and a half below the optimum.
    """
    best: tuple[DrawnCurve, ...] = ()
    preferred = result.recommended.batch_size if result.recommended is not None else None
    for optimum in sorted(main_optima(result), key=lambda item: item.batch_size != preferred):
        chosen = _lecture_of(training_curves(result, optimum), optimum)
        if len(chosen) > len(best):
            best = chosen
    return best


def update_ratios(result: StudyResult) -> tuple[RatioPoint, ...]:
    """The median update-to-weight ratio of the full runs of the main schedule; geometric mean over seeds."""
    rows = []
    for optimum in main_optima(result):
        by_rate: dict[float, list[float]] = {}
        for item in full_runs(result, optimum.batch_size, optimum.schedule):
            usable = item.update_ratio[np.isfinite(item.update_ratio) & (item.update_ratio > 0)]
            if len(usable):
                by_rate.setdefault(item.trial.peak_lr, []).append(float(np.median(usable)))
        rows += [
            RatioPoint(batch_size=optimum.batch_size, lr=lr, ratio=float(np.exp(np.mean(np.log(values)))))
            for lr, values in by_rate.items()
        ]
    return tuple(rows)


def wants_log_scale(losses: Iterable[float], initial: float) -> bool:
    """Whether losses are better seen on a logarithmic scale: all positive, and the start ten times the best."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return bool(finite) and min(finite) > 0 and initial > 10 * min(finite)


def _lecture_of(curves: Sequence[DrawnCurve], optimum: Optimum) -> tuple[DrawnCurve, ...]:
    if optimum.optimal_lr is None:
        return ()
    best = optimum.optimal_lr.value
    groups = {
        name: [curve for curve in curves if curve.regime == name and len(curve.step) > 1] for name in LECTURE_ORDER
    }
    chosen = []
    if groups["very_high"]:
        chosen.append(max(groups["very_high"], key=lambda curve: (len(curve.step) >= 8, -curve.lr)))
    if groups["high"]:
        chosen.append(max(groups["high"], key=lambda curve: curve.lr))
    if groups["good"]:
        chosen.append(min(groups["good"], key=lambda curve: abs(math.log(curve.lr / best))))
    if groups["low"]:
        chosen.append(max(groups["low"], key=lambda curve: (curve.lr <= best / 2**1.5, curve.lr)))
    return tuple(chosen)


def _expected(optimum: Optimum) -> float:
    return math.inf if optimum.expected_loss is None else optimum.expected_loss.value
