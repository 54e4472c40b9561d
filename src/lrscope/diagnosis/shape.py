"""A run's loss as the features read it: finite points, means over windows, the drop. Free of the loss's unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import Curve

FloatArray = NDArray[np.float64]

LINEAR_WINDOWS = 40
LOG_DECADES = 2.5
LOG_WINDOWS = 20
LOG_TIME: FloatArray = 10.0 ** np.linspace(-LOG_DECADES, 0.0, LOG_WINDOWS + 1)[1:]
"""(windows,) the ends of the logarithmic windows, as shares of the run: eight a decade, back to 1/316 of the run."""

LARGEST = 1e30
"""Losses beyond this count as not finite."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the features of a curve are made of.

    time: (points,) share of the run at each finite point, in (0, 1]. loss: (points,). share: (points,) learning rate
    over its peak, or None. initial: the loss at the start. linear: (40,) means over equal shares of the run. log: (20,)
    means over logarithmic shares. drop: from the initial loss to the lowest window. scale: what differences of the loss
    are divided by.
    """

    time: FloatArray
    loss: FloatArray
    share: FloatArray | None
    initial: float
    linear: FloatArray
    log: FloatArray
    drop: float
    scale: float

    @property
    def end(self) -> float:
        """The mean loss over the last 5 % of the run."""
        return float(self.linear[-2:].mean())

    def to_come(self, time: float) -> float:
        """How much of the drop is still to come at a share of the run: (L(time) − L(end)) / scale."""
        at = float(np.interp(np.log(time), np.log(LOG_TIME), self.log))
        return (at - self.end) / self.scale


def window_means(time: FloatArray, values: FloatArray, edges: FloatArray, first: float) -> FloatArray:
    """Means of the values whose time lies in (edges[i], edges[i+1]]; empty windows are interpolated.

    `first` is the value at time zero, from which windows before the first point are interpolated.
    """
    place = np.clip(np.searchsorted(edges, time, side="left") - 1, 0, len(edges) - 2)
    inside = time > edges[0]
    count = np.bincount(place[inside], minlength=len(edges) - 1)
    total = np.bincount(place[inside], weights=values[inside], minlength=len(edges) - 1)
    means = np.full(len(edges) - 1, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    if np.isnan(means).any():
        ends, known = edges[1:], ~np.isnan(means)
        means = np.interp(ends, np.r_[0.0, ends[known]], np.r_[first, means[known]])
    return means


def _shares_of_run(step: NDArray[np.int64], curve: Curve) -> FloatArray:
    """(points,) how far into the run steps are, in (0, 1].

    A log that begins late has its run begin at step 0; where more than half is missing, it counts as a run of its own.
    """
    first, last = int(curve.step[0]), int(curve.step[-1])
    interval = max(1, last - first) / max(1, len(curve) - 1)
    late = 2 * interval < first < 0.5 * last
    origin = 0.0 if late else first - interval
    return np.asarray((step - origin) / (max(last, first + 1) - origin), dtype=np.float64)


def _initial(loss: FloatArray) -> float:
    """The loss before training: the mean of the first 0.2 % of the points, or the first alone where they shoot up."""
    first = loss[: max(1, round(0.002 * len(loss)))]
    return float(first.mean() if first.max() < first[0] + 0.5 * abs(first[0]) else first[0])


def _fall_unseen(time: FloatArray, loss: FloatArray, begins: float) -> float:
    """What a log that begins at a step has missed of the fall: its first slope, per tenfold of time, back to step 1."""
    early = time <= 3.0 * time[0]
    if begins < 1.0 or early.sum() < 3:
        return 0.0
    slope = -float(np.polyfit(np.log10(time[early]), loss[early], 1)[0])
    return max(0.0, slope) * float(np.log10(begins + 1.0))


def make_shape(curve: Curve) -> Shape | None:
    """The shape of a curve, or None where fewer than three points are finite."""
    finite = np.isfinite(curve.loss) & (np.abs(curve.loss) < LARGEST)
    if finite.sum() < 3:
        return None
    step, loss = curve.step[finite], curve.loss[finite]
    time = _shares_of_run(step, curve)
    begins = float(step[0]) if 0 < step[0] < 0.5 * step[-1] else 0.0
    share = None
    if curve.lr is not None and np.isfinite(curve.lr).any() and np.nanmax(curve.lr) > 0:
        known = np.isfinite(curve.lr)
        lr = np.interp(step, curve.step[known], curve.lr[known])
        share = lr / lr.max() if lr.max() > 0 else None
    initial = _initial(loss) + _fall_unseen(time, loss, begins)
    linear = window_means(time, loss, np.linspace(0.0, 1.0, LINEAR_WINDOWS + 1), initial)
    log = window_means(time, loss, np.r_[10.0**-LOG_DECADES, LOG_TIME], initial)
    drop = initial - float(linear.min())
    spread = float(max(linear.max(), initial) - linear.min())
    scale = max(drop, 0.02 * spread, 1e-12 * max(1.0, abs(initial)))
    return Shape(
        time=time,
        loss=loss,
        share=share,
        initial=initial,
        linear=linear,
        log=log,
        drop=drop,
        scale=scale,
    )
