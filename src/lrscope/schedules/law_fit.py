"""Fitting one loss law to runs: the histories, the robust descent, and the errors on runs left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, least_squares

from lrscope.errors import InvalidInput
from lrscope.schedules.loss_law import LossLaw, Units
from lrscope.schedules.rate_history import RateHistory, rate_history, warmup_end

FloatArray = NDArray[np.float64]

HUBER = 1e-3
"""δ of the Huber loss on the residuals of log L (Luo 2025)."""
MOST_POINTS = 400
"""Points of a run that enter a fit; a longer log is thinned evenly."""
STEEPEST = 1e6
"""Slopes beyond this one are cut: they belong to parameters far outside of any law."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScheduledRun:
    """A finished run to learn from: `loss[i]` (nats, training or validation) and `lr[i]` at `step[i]`."""

    name: str
    step: FloatArray
    lr: FloatArray
    loss: FloatArray


def scheduled_run(name: str, step: ArrayLike, lr: ArrayLike, loss: ArrayLike) -> ScheduledRun:
    """A run from plain arrays; points whose rate or loss is not finite are left out, a long log is thinned.

    Raises:
        InvalidInput: fewer than 10 usable points after the warm-up, or arrays of different lengths.
    """
    steps, rates, losses = (np.asarray(row, dtype=np.float64) for row in (step, lr, loss))
    if not (steps.ndim == 1 and steps.shape == rates.shape == losses.shape):
        raise InvalidInput(f"The 'step', 'lr' and 'loss' of run '{name}' must be rows of one length.")
    usable = np.isfinite(rates) & np.isfinite(losses) & (losses > 0)
    steps, rates, losses = steps[usable], rates[usable], losses[usable]
    if steps.size - (warmup_end(rates) if steps.size > 1 else 0) < 10:
        raise InvalidInput(f"Run '{name}' must hold at least 10 points with a rate and a loss > 0 after its warm-up.")
    return ScheduledRun(name=name, step=steps, lr=rates, loss=losses)


@dataclass(frozen=True, kw_only=True, eq=False)
class LawFit:
    """One law fitted to runs.

    Arguments:
        theta: the law's parameters in its own units. fit_error: mean |fitted L − L| over the runs.
        left_out: for each run, the law's error at its points when it is fitted to the others; empty with under three
            runs.
    """

    law: LossLaw
    theta: FloatArray
    fit_error: float
    left_out: tuple[FloatArray, ...]


def fit_law(
    law: LossLaw, histories: Sequence[RateHistory], losses: Sequence[FloatArray], units: Units, random_seed: int
) -> LawFit:
    """The law of least robust error, and what it gets wrong."""
    theta = _fit(law, histories, losses, units, random_seed)
    errors = [_error(law, theta, history, loss, units) for history, loss in zip(histories, losses, strict=True)]
    return LawFit(
        law=law,
        theta=theta,
        fit_error=float(np.mean([np.mean(np.abs(error)) for error in errors])),
        left_out=_left_out(law, theta, histories, losses, units),
    )


def prepared(runs: Sequence[ScheduledRun]) -> tuple[list[RateHistory], list[FloatArray]]:
    """The history and the loss of each run at the points that enter the fit."""
    histories, losses = [], []
    for run in runs:
        first = warmup_end(run.lr)
        count = run.step.size - first
        index = first + np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
        histories.append(rate_history(run.step, run.lr, run.step[index]))
        losses.append(run.loss[index])
    return histories, losses


def evaluate(law: LossLaw, theta: FloatArray, history: RateHistory, units: Units) -> tuple[FloatArray, FloatArray]:
    """The loss and its derivatives; a descent may try parameters that overflow."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return law.value(theta, history, units)


def _error(law: LossLaw, theta: FloatArray, history: RateHistory, loss: FloatArray, units: Units) -> FloatArray:
    return np.asarray(evaluate(law, theta, history, units)[0] - loss, dtype=np.float64)


def _fit(
    law: LossLaw, histories: Sequence[RateHistory], losses: Sequence[FloatArray], units: Units, random_seed: int
) -> FloatArray:
    """The parameters of least robust error, from the law's starts and one random start near each."""
    lowest = min(float(loss.min()) for loss in losses)
    scale = max(float(loss.max()) for loss in losses) - lowest
    generator = np.random.default_rng(random_seed)
    best: OptimizeResult | None = None
    for start in law.starts:
        theta = np.array([max(lowest - 0.5 * scale, 0.8 * lowest), *start])
        theta[[1, 4]] += np.log(max(scale, 1e-9))
        for jitter in (0.0, 0.5):
            found = _descend(
                law, theta + jitter * generator.normal(size=theta.size) * _movable(law), histories, losses, units
            )
            if best is None or found.cost < best.cost * (1 - 1e-9):
                best = found
    assert best is not None
    return np.asarray(best.x, dtype=np.float64)


def _movable(law: LossLaw) -> FloatArray:
    """1 for the parameters that a random start may move: not the floor, nor those that are pulled hard."""
    movable = (np.array(law.weight) < 10.0).astype(np.float64)
    movable[0] = 0.0
    return movable


def _descend(
    law: LossLaw, start: FloatArray, histories: Sequence[RateHistory], losses: Sequence[FloatArray], units: Units
) -> OptimizeResult:
    """One descent. Residuals: log of fitted over observed loss at every point, then one per pulled parameter."""
    centre, weight = np.array(law.centre), HUBER * np.array(law.weight)
    pulled = weight > 0

    def parts(theta: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        return [evaluate(law, theta, history, units) for history in histories]

    def residuals(theta: FloatArray) -> FloatArray:
        rows = [np.log(np.maximum(value, 1e-3) / loss) for (value, _), loss in zip(parts(theta), losses, strict=True)]
        everything = np.concatenate([*rows, (weight * (theta - centre))[pulled]])
        return np.asarray(np.nan_to_num(everything, nan=1e3, posinf=1e3, neginf=-1e3))

    def jacobian(theta: FloatArray) -> FloatArray:
        rows = [by / np.maximum(value, 1e-3)[:, None] for value, by in parts(theta)]
        slopes = np.concatenate([*rows, np.diag(weight)[pulled]])
        return np.asarray(np.clip(np.nan_to_num(slopes), -STEEPEST, STEEPEST))

    return least_squares(
        residuals, start, jacobian, loss="huber", f_scale=HUBER, x_scale="jac", max_nfev=200, xtol=1e-10, ftol=1e-10
    )


def _left_out(
    law: LossLaw, theta: FloatArray, histories: Sequence[RateHistory], losses: Sequence[FloatArray], units: Units
) -> tuple[FloatArray, ...]:
    """The errors on each run in turn, the law refitted to the others from the full fit."""
    if len(histories) < 3:
        return ()
    errors = []
    for out in range(len(histories)):
        rest = [index for index in range(len(histories)) if index != out]
        if any(histories[index].drop.size for index in rest):
            fitted = _descend(law, theta, [histories[i] for i in rest], [losses[i] for i in rest], units).x
            errors.append(_error(law, fitted, histories[out], losses[out], units))
        else:
            errors.append(np.zeros(0))
    return tuple(errors)
