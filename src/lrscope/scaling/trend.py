"""What the loss at the optimum says about larger batches: the optimal rate grows while they still lower that loss.

On grids of language models whose optima are known up to large batches, the optimum rises by about p octaves a doubling
of the batch and then stops, near the batch size at which the loss at the optimum stops falling: where one more
doubling still lowers it by as much as the rate may cost when it is an octave off. Let t be the change of the loss at
the optimum per doubling in that unit: growth goes on for about −t − t₀ doublings, and then turns into a slow decline.
None of this is said of a sweep in which larger batches never lowered the loss: there only the laws speak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lrscope.scaling.laws import Floats

WIDTH_OCTAVES = 0.7  # of the kernel that weighs batch sizes by their distance from the largest
LEAST_APART = 0.45  # octaves between two batch sizes whose losses are compared
SLOPE_MEAN, SLOPE_SD = 0.5, 0.35  # of the optimum against the batch size, before the data
FALLING, FALLING_WIDTH = 1.0, 0.25  # a sweep falls by so much a doubling somewhere, or the trend says nothing of it
TREND_RANGE = (-4.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How optima go on, in octaves: growth `slope` p, `margin` t₀, `decline` after it, `softness` of the turn."""

    slope: float = 0.8
    margin: float = 1.2
    decline: float = 0.15
    softness: float = 0.3


HABITS = Habits()
DISTANCES: Floats = np.array([1.5, 3.0])  # octaves beyond the largest batch size, where the growth is put in
DEVIATIONS: Floats = np.array([0.5, 0.65])  # and how well it is known there


@dataclass(frozen=True, kw_only=True, eq=False)
class Bottoms:
    """The bottoms of the curves of one group by log₂ batch size (n,): log₂ optimum, loss, and their deviations.

    `octave` is the loss of a rate that is an octave off the optimum, in excess.
    """

    batch: Floats
    optimum: Floats
    optimum_sd: Floats
    loss: Floats
    loss_sd: Floats
    octave: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Ahead:
    """Where the optimum is expected beyond the batch sizes that were run: log₂ batch size, log₂ optimum, deviation."""

    batch: Floats
    optimum: Floats
    deviation: Floats


def expect_ahead(bottoms: Bottoms, habits: Habits = HABITS) -> Ahead | None:
    """The optima to expect beyond the largest batch size, or None where the losses say nothing about it.

    >>> doublings = np.arange(4.0)
    >>> falling = Bottoms(batch=doublings, optimum=-9 + 0.8 * doublings, optimum_sd=np.full(4, 0.1),
    ...                   loss=2.5 - 0.04 * doublings, loss_sd=np.full(4, 1e-3), octave=np.full(4, 0.01))
    >>> expect_ahead(falling).optimum.round(1).tolist()  # the growth goes on
    [-5.4, -4.5]
    """
    if bottoms.batch.size < 2:
        return None
    order = np.argsort(bottoms.batch)
    ordered = _rows(bottoms, order)
    fall = _steepest_fall(ordered)
    falling = float(expit((fall - FALLING) / FALLING_WIDTH))
    if falling < 0.05:
        return None
    optimum = _extrapolated(ordered, DISTANCES, habits)
    deviation = np.hypot(DEVIATIONS / math.sqrt(falling), _missed(ordered, habits) * DISTANCES)
    return Ahead(batch=ordered.batch[-1] + DISTANCES, optimum=optimum, deviation=deviation)


def _extrapolated(bottoms: Bottoms, distance: Floats, habits: Habits) -> Floats:
    """log₂ optimum at each distance beyond the largest batch size of bottoms in ascending order."""
    batch, optimum, loss = bottoms.batch, bottoms.optimum, bottoms.loss
    near = np.exp(-0.5 * ((batch[-1] - batch) / (WIDTH_OCTAVES * max(1.0, batch[-1] - batch[-2]))) ** 2)
    slope, middle, at, information = _line(batch, optimum, near / (bottoms.optimum_sd**2 + 0.15**2))
    slope = (slope * information + SLOPE_MEAN / SLOPE_SD**2) / (information + 1 / SLOPE_SD**2)
    end = middle + slope * (batch[-1] - at)
    trend = _line(batch, loss, near)[0] / math.exp(float(near @ np.log(bottoms.octave) / near.sum()))
    return np.asarray(end + _growth(float(np.clip(trend, *TREND_RANGE)), distance, habits))


def _missed(bottoms: Bottoms, habits: Habits) -> float:
    """Octaves per doubling by which the habits would have missed each batch size from those below, more than is usual.

    A job whose own optima have not kept to them so far is not expected to do so beyond.
    """
    count = bottoms.batch.size
    if count < 3:
        return 0.0
    misses = []
    for used in range(2, count):
        known = _rows(bottoms, slice(used))
        distance = bottoms.batch[used:] - known.batch[-1]
        miss = _extrapolated(known, distance, habits) - bottoms.optimum[used:]
        usual = np.interp(distance, np.append(0.0, DISTANCES), np.append(DEVIATIONS[0], DEVIATIONS))
        noise = bottoms.optimum_sd[used:] ** 2 + bottoms.optimum_sd[used - 1] ** 2
        misses += list((miss**2 - usual**2 - noise) / distance**2)
    return math.sqrt(max(float(np.mean(misses)), 0.0))


def _growth(trend: float, distance: Floats, habits: Habits) -> Floats:
    """Octaves that the optimum has grown at each distance."""
    soft = habits.softness
    until = soft * np.logaddexp(0.0, (-trend - habits.margin) / soft)
    after = soft * np.logaddexp(0.0, (distance - until) / soft)
    return np.asarray(habits.slope * (distance - after) - habits.decline * after)


def _rows(bottoms: Bottoms, at: slice | NDArray[np.intp]) -> Bottoms:
    """The chosen rows."""
    return Bottoms(**{field.name: getattr(bottoms, field.name)[at] for field in fields(bottoms)})


def _steepest_fall(bottoms: Bottoms) -> float:
    """The steepest fall of the loss per doubling between two batch sizes, less its deviation, in octave excesses."""
    batch, loss, loss_sd, log_octave = bottoms.batch, bottoms.loss, bottoms.loss_sd, np.log(bottoms.octave)
    low, high = np.triu_indices(batch.size, k=1)
    low, high = (index[batch[high] - batch[low] >= LEAST_APART] for index in (low, high))
    if not low.size:
        return 0.0
    unit = np.exp(0.5 * (log_octave[low] + log_octave[high])) * (batch[high] - batch[low])
    return max(0.0, float(np.max((loss[low] - loss[high] - np.hypot(loss_sd[low], loss_sd[high])) / unit)))


def _line(x: Floats, y: Floats, weight: Floats) -> tuple[float, float, float, float]:
    """A weighted line: slope, mean y, mean x, and the information on the slope."""
    total = weight.sum()
    at, middle = float(weight @ x / total), float(weight @ y / total)
    information = float(weight @ (x - at) ** 2)
    return float(weight @ ((x - at) * (y - middle))) / max(information, 1e-300), middle, at, information
