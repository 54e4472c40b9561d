"""A study's curves and points, ready to draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrscope.report.extract.thin import POINTS, SMOOTHING_SHARE, finite_start, largest_triangles, smoothed
from lrscope.study.regimes import by_rate, regimes_of
from lrscope.study.result import Optimum, StudyResult
from lrscope.study.trial import TrialResult

FloatArray = NDArray[np.float64]
LECTURE_SMOOTHING = 0.02
TYPICAL_EXCESS = 0.4  # of the high and the low curve that is shown
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
    final_loss: float
    total_steps: int
    step: NDArray[np.int64]
    loss: FloatArray

    @property
    def diverged(self) -> bool:
        """Whether the trial ended so."""
        return self.status == "diverged"


@dataclass(frozen=True, kw_only=True)
class RatioPoint:
    """How far an update moves the weights at one learning rate: the mean ‖Δθ‖/‖θ‖ over a run's first quarter.

    Later the runs have come to different losses, and so to different gradients.
    """

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


def drawn_curve(item: TrialResult, regime: str, points: int = POINTS, smoothing: float = SMOOTHING_SHARE) -> DrawnCurve:
    """One trial's training loss: cut at the first value that is not finite, smoothed, thinned."""
    length = finite_start(item.loss)
    loss = smoothed(item.loss[:length], smoothing)
    kept = largest_triangles(np.arange(length), loss, points)
    return DrawnCurve(
        batch_size=item.trial.batch_size,
        schedule=item.trial.schedule,
        lr=item.trial.peak_lr,
        seed=item.trial.seed,
        regime=regime,
        status=item.status,
        initial_loss=item.initial_train_loss,
        final_loss=item.train_loss,
        total_steps=item.trial.total_steps,
        step=kept,
        loss=loss[kept],
    )


def lecture_curves(result: StudyResult) -> tuple[DrawnCurve, ...]:
    """Very high, high, good, low: a curve of each, out of the sweep that shows most of them.

    A sweep are the runs of the main schedule of one batch size and one length; among sweeps that show as many, that
    of the longest runs is taken, at the recommended batch size where it can be. Taken are of the very high rates the
    lowest that still shows a curve, of the high ones the highest, of the good ones the one of least loss, of the low
    ones the highest that stays an octave and a half below that.
    """
    preferred = result.recommended.batch_size if result.recommended is not None else None
    sweeps: dict[tuple[int, int], list[TrialResult]] = {}
    for item in result.trials:
        if item.trial.schedule == main_schedule(result) and item.is_full_run:
            sweeps.setdefault((item.trial.batch_size, item.trial.total_steps), []).append(item)
    chosen = [(size == preferred, steps, _lecture_of(runs)) for (size, steps), runs in sweeps.items()]
    best = max(chosen, key=lambda entry: (len(entry[2]), entry[1] * entry[0], entry[1]), default=None)
    return () if best is None else best[2]


def update_ratios(result: StudyResult) -> tuple[RatioPoint, ...]:
    """How far each rate moves the weights, of all runs of the main schedule; geometric mean over runs of a rate."""
    rows = []
    for optimum in main_optima(result):
        ratios: dict[float, list[float]] = {}
        for item in result.trials:
            if (item.trial.batch_size, item.trial.schedule) == (optimum.batch_size, optimum.schedule):
                early = item.update_ratio[item.probe_step < max(1, item.trial.total_steps // 4)]
                usable = early[np.isfinite(early) & (early > 0)]
                if len(usable):
                    ratios.setdefault(item.trial.peak_lr, []).append(float(np.mean(usable)))
        rows += [
            RatioPoint(batch_size=optimum.batch_size, lr=lr, ratio=float(np.exp(np.mean(np.log(values)))))
            for lr, values in sorted(ratios.items())
        ]
    return tuple(rows)


def wants_log_scale(losses: Iterable[float], initial: float) -> bool:
    """Whether losses are better seen on a logarithmic scale: all positive, and the start ten times the best."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    return bool(finite) and min(finite) > 0 and initial > 10 * min(finite)


def _lecture_of(runs: Sequence[TrialResult]) -> tuple[DrawnCurve, ...]:
    regimes = regimes_of(runs)
    curves = [
        drawn_curve(same[0], regimes[lr], smoothing=LECTURE_SMOOTHING)
        for lr, same in by_rate(runs).items()
        if len(same[0].loss) > 1
    ]
    groups = {name: [curve for curve in curves if curve.regime == name] for name in LECTURE_ORDER}
    best = min((curve.final_loss for curve in curves), default=math.inf)
    chosen = []
    for name, group in groups.items():
        if group and name == "very_high":
            chosen.append(max(group, key=lambda curve: (len(curve.step) >= 8, -curve.lr)))
        elif group and name == "good":
            chosen.append(min(group, key=lambda curve: curve.final_loss))
        elif group:
            chosen.append(min(group, key=lambda curve: abs(_excess(curve, best) - TYPICAL_EXCESS)))
    return tuple(chosen)


def _excess(curve: DrawnCurve, best: float) -> float:
    """The share of the fall from the start to the best final loss that is missing."""
    return (curve.final_loss - best) / max(curve.initial_loss - best, 1e-12)


def _expected(optimum: Optimum) -> float:
    return math.inf if optimum.expected_loss is None else optimum.expected_loss.value
