"""A learning rate over time as the loss laws see it: its running sum, and every change of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput

FloatArray = NDArray[np.float64]

KNOTS_BETWEEN = 4
"""Pieces that the change of the rate between two logged points is spread over."""
MOST_KNOTS = 1200
"""Changes of the rate that a history keeps; a finer log is thinned to so many, which moves the laws by < 1e-4."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RateHistory:
    """What the rate did up to each of some steps, the warm-up apart.

    Arguments:
        step: (points,) the steps looked at, all after the warm-up.
        area: (points,) sum of the rate from the end of the warm-up to the step.
        warmup_area: sum of the rate over the warm-up.
        drop, drop_rate: (drops,) by how much the rate fell, and the rate it fell to.
        area_since: (points, drops) sum of the rate since the drop; zero before it.
        steps_since: (points, drops) updates since the drop; zero before it.
    """

    step: FloatArray
    area: FloatArray
    warmup_area: float
    drop: FloatArray
    drop_rate: FloatArray
    area_since: FloatArray
    steps_since: FloatArray


def warmup_end(lr: ArrayLike) -> int:
    """The index at which the first rise of the rate ends.

    >>> warmup_end([0.1, 0.2, 0.3, 0.3, 0.2]), warmup_end([0.3, 0.3, 0.1])
    (2, 0)
    """
    rising = np.diff(np.asarray(lr, dtype=np.float64)) > 0
    return int(rising.size if rising.all() else np.argmin(rising))


def rate_history(step: ArrayLike, lr: ArrayLike, at: ArrayLike | None = None) -> RateHistory:
    """The history of a logged or planned rate, linear between its points.

    A log that begins after step 0 is taken to follow a linear warm-up from zero to its first rate.

    Arguments:
        step, lr: (points,) increasing steps, and the rate at each.
        at: the steps to look at; without it, all points from the end of the warm-up on.
    """
    steps, rates = np.asarray(step, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    _check(steps, rates)
    first = warmup_end(rates)
    warmup = 0.5 * steps[0] * rates[0] + np.trapezoid(rates[: first + 1], steps[: first + 1])
    steps, rates = steps[first:], rates[first:]
    looked_at = steps if at is None else np.asarray(at, dtype=np.float64)
    knots, values = _knots(steps, rates)
    area = np.append(0.0, np.cumsum(np.diff(knots) * 0.5 * (values[1:] + values[:-1])))
    drop = values[:-1] - values[1:]
    kept = np.abs(drop) > 1e-9 * rates.max()
    middle_area, middle_step = 0.5 * (area[1:] + area[:-1])[kept], 0.5 * (knots[1:] + knots[:-1])[kept]
    area_at = np.interp(looked_at, knots, area)
    return RateHistory(
        step=looked_at,
        area=area_at,
        warmup_area=float(warmup),
        drop=drop[kept],
        drop_rate=np.maximum(values[1:][kept], 1e-9 * rates.max()),
        area_since=np.maximum(area_at[:, None] - middle_area, 0.0),
        steps_since=np.maximum(looked_at[:, None] - middle_step, 0.0),
    )


def _check(steps: FloatArray, rates: FloatArray) -> None:
    if steps.ndim != 1 or steps.shape != rates.shape or steps.size < 2 or np.any(np.diff(steps) <= 0):
        raise InvalidInput("The 'step' and 'lr' of a run must be two rows of one length >= 2, the steps increasing.")
    if not np.all(np.isfinite(rates)) or np.any(rates < 0) or not np.any(rates > 0):
        raise InvalidInput("The 'lr' of a run must be finite numbers >= 0, not all zero.")


def _knots(steps: FloatArray, rates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rate on a grid a little finer than the log's, or thinned where the log is very fine."""
    pieces = min(KNOTS_BETWEEN * (steps.size - 1), MOST_KNOTS)
    index = np.arange(steps.size, dtype=np.float64)
    fine = np.interp(np.linspace(0, steps.size - 1, pieces + 1), index, steps)
    return fine, np.interp(fine, steps, rates)
