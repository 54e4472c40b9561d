"""What is believed of the best learning rate: what is usual for the optimizer, and what short runs have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GRID = np.arange(-30.0, 14.0, 0.02)  # log₂ η

USUAL_NORMALISED, USUAL_REACH = -5.4, 0.5
"""log₂ of the usual best rate at a batch of 64: of an optimizer that divides by the gradient's size, and of η / (1 − m)
for SGD with momentum m. From the medians, -5.3 and 0.4, over 24 optima of eight tasks with Adam, AdamW or RMSprop, and
over 24 of eight with momentum 0.9, all small models: others lie further away, which is what the wide prior is for."""

USUAL_BATCH = 64
GROWTH_NORMALISED, GROWTH_SGD = 0.25, 0.5
"""The power of the batch size with which the usual best rate grows. For SGD it is between 0.41 and 1.0 in each of those
tasks, 0.62 in all: the square root, by the book. For the others it is 0.19 in all."""

USUAL_SPREAD = 1.6
"""Octaves, of the prior: more than the 1.1 by which those 48 optima spread, as others will spread more."""

DEGREES = 2.0
"""Of freedom: few, so that a task unlike others is believed on its own evidence."""


def usual_octave(momentum: float | None, batch_size: int) -> float:
    """log₂ of the rate that is usual for SGD with a momentum, or, None, for an optimizer that normalises its steps.

    With momentum m, a gradient moves the weights by η / (1 − m) in the end: this is what is alike for all m.

    >>> usual_octave(0.0, 64) - usual_octave(0.5, 64)
    1.0
    >>> usual_octave(0.0, 256) - usual_octave(0.0, 64)
    1.0
    """
    larger = math.log2(batch_size / USUAL_BATCH)
    if momentum is None:
        return USUAL_NORMALISED + GROWTH_NORMALISED * larger
    return USUAL_REACH + math.log2(max(1.0 - momentum, 1e-3)) + GROWTH_SGD * larger


def believe(usual: float, evidence: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """The chance that log₂ η* is at most each value of `GRID`.

    A Student t about the usual optimum times a normal for each piece of evidence.

    Arguments:
        usual: log₂ of the rate that is usual for the optimizer. evidence: (log₂ η*, its standard deviation) each.

    >>> chance = believe(-5.0, [(-8.0, 0.5)])
    >>> bool(-8.0 < quantile(chance, 0.5) < -7.7)
    True
    """
    log = -(DEGREES + 1) / 2 * np.log1p(((GRID - usual) / USUAL_SPREAD) ** 2 / DEGREES)
    for octave, spread in evidence:
        log -= ((GRID - octave) / spread) ** 2 / 2
    chance = np.cumsum(np.exp(log - log.max()))
    return np.asarray(chance / chance[-1])


def quantile(chance: NDArray[np.float64], share: float) -> float:
    """log₂ η* at a share of the belief.

    >>> round(quantile(believe(-5.0, []), 0.5), 1)
    -5.0
    """
    return float(np.interp(share, chance, GRID))
