"""The plateau rule replayed on a log: when a metric that stops improving would have lowered the rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from lrscope.errors import InvalidInput
from lrscope.schedules.piecewise import PiecewiseConstant
from lrscope.schedules.schedule import is_number


def reduce_on_plateau(
    metrics: Sequence[float],
    *,
    factor: float = 0.1,
    patience: int = 10,
    cooldown: int = 0,
    mode: Literal["min", "max"] = "min",
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    min_factor: float = 0.0,
    least_change: float = 1e-8,
) -> PiecewiseConstant:
    """The schedule that reducing on a plateau gives for these metrics: a drop after each plateau.

    The share falls by `factor` once more than `patience` metrics in a row have not improved on the best by the
    threshold; for `cooldown` metrics after a drop none counts as bad. A schedule knows nothing of the loss, so the rule
    can be replayed on a log, not followed in advance.

    Arguments:
        metrics: one a step; the metric of step t decides the share of step t + 1.
        factor: what a drop multiplies by, below 1.
        mode: whether the metric should fall ("min") or rise ("max").
        threshold, threshold_mode: what counts as better: by this share of the best ("rel"), or by this much ("abs").
        min_factor: the lowest share.
        least_change: a drop smaller than this is left out.

    Raises:
        InvalidInput: a factor of 1 or more, or an unknown mode.

    >>> reduce_on_plateau([3, 2, 2, 2, 1], factor=0.5, patience=1)
    PiecewiseConstant(boundaries=(4,), factors=(1.0, 0.5), boundary='later')
    """
    if not (is_number(factor) and 0 <= factor < 1):
        raise InvalidInput(f"The 'factor' of reduce_on_plateau must be >= 0 and < 1. Got {factor!r}.")
    if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
        raise InvalidInput(
            "The 'mode' of reduce_on_plateau must be 'min' or 'max', and the 'threshold_mode' 'rel' or 'abs'. "
            f"Got {mode!r} and {threshold_mode!r}."
        )
    best, bad, wait = (math.inf if mode == "min" else -math.inf), 0, 0
    boundaries: list[int] = []
    factors = [1.0]
    for step, metric in enumerate(metrics, start=1):
        improved = _improved(float(metric), best, mode, threshold if threshold_mode == "abs" else threshold * best)
        best = float(metric) if improved else best
        bad = 0 if improved or wait > 0 else bad + 1
        wait = max(0, wait - 1)
        if bad > patience:
            lower = max(factors[-1] * factor, min_factor)
            if factors[-1] - lower > least_change:
                boundaries.append(step)
                factors.append(lower)
            bad, wait = 0, cooldown
    return PiecewiseConstant(tuple(boundaries), tuple(factors))


def _improved(metric: float, best: float, mode: str, by: float) -> bool:
    """Whether the metric is better than the best by more than so much; the first one is better than none."""
    if math.isinf(best):
        return metric < best if mode == "min" else metric > best
    return metric < best - by if mode == "min" else metric > best + by
