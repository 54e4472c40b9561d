"""The four regimes of a learning rate, and the rule that names them from a sweep of nothing but the rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput

Regime = Literal["very_high", "high", "good", "low"]

REGIMES: tuple[Regime, ...] = ("very_high", "high", "good", "low")
"""The regimes in order of falling learning rate."""

GOOD_EXCESS = 0.05
"""The largest excess e that still counts as good."""

LINE = (0.03, 0.08)
"""Runs with an excess between these lie on the line of good: either side is right."""

NOTHING_LEARNED = 0.95
"""A run above the best rate that ends at this share of its initial loss or higher has learned nothing: very high."""


def sweep_excess(loss: ArrayLike, initial_loss: float) -> NDArray[np.float64]:
    """The excess of each run of a sweep: e = (L − min L) / (L_init − min L).

    Arguments:
        loss: (runs,) final training losses; not finite = diverged.
        initial_loss: L_init, the loss before the first update.

    Returns:
        (runs,) excess; infinity for diverged runs, and for all but the best where no run learned anything.

    >>> sweep_excess([2.2, 0.3, 0.5, float("nan")], initial_loss=2.3).tolist()
    [0.9500000000000002, 0.0, 0.10000000000000002, inf]
    """
    losses = np.asarray(loss, dtype=np.float64)
    excess = np.full(losses.shape, np.inf)
    finite = np.isfinite(losses)
    if not finite.any():
        return excess
    best = losses[finite].min()
    if best < initial_loss:
        excess[finite] = (losses[finite] - best) / (initial_loss - best)
    else:
        excess[losses == best] = 0.0
    return excess


def sweep_regimes(lr: ArrayLike, loss: ArrayLike, initial_loss: float) -> list[Regime]:
    """Name the regime of each run of a sweep by its final loss, relative to the best run.

    very_high: not finite, or L ≥ 0.95 L_init above the best rate; good: e ≤ 0.05; high, low: e > 0.05 above, below
    the best rate, e = (L − min L) / (L_init − min L). Where no run ends below its initial loss, the finite runs up
    to the best rate are low.

    Arguments:
        lr: (runs,) learning rates, positive; in any order, repeated for several seeds.
        loss: (runs,) final training losses: the mean over the last 5 % of the steps; not finite = diverged.
        initial_loss: L_init, the loss before the first update.

    Raises:
        InvalidInput: the arrays differ in length, a rate is not positive and finite, or the initial loss not finite.

    >>> sweep_regimes([0.001, 0.1, 1.0, 3.0, 10.0], [2.2, 0.3, 0.5, 2.3, float("nan")], initial_loss=2.3)
    ['low', 'good', 'high', 'very_high', 'very_high']
    """
    rates = np.asarray(lr, dtype=np.float64)
    losses = np.asarray(loss, dtype=np.float64)
    _check(rates, losses, initial_loss)
    finite = np.isfinite(losses)
    if not finite.any():
        return ["very_high"] * len(rates)
    excess = sweep_excess(losses, initial_loss)
    best_index = int(np.argmin(np.where(finite, losses, np.inf)))
    above = rates > rates[best_index]
    learned = bool(losses[best_index] < initial_loss)
    regimes: list[Regime] = []
    for i in range(len(rates)):
        if not finite[i]:
            regimes.append("very_high")
        elif learned and excess[i] <= GOOD_EXCESS:
            regimes.append("good")
        elif above[i]:
            regimes.append("very_high" if losses[i] >= NOTHING_LEARNED * initial_loss else "high")
        else:
            regimes.append("low")
    return regimes


def accepted_regimes(lr: ArrayLike, loss: ArrayLike, initial_loss: float) -> list[frozenset[Regime]]:
    """The regimes that count as right for each run: two of them where the run lies on a line between two, else one.

    The lines: an excess between 0.03 and 0.08 (good and its neighbour).

    >>> [sorted(a) for a in accepted_regimes([0.01, 0.1, 1.0], [0.36, 0.3, 0.5], initial_loss=2.3)]
    [['good', 'low'], ['good'], ['high']]
    """
    regimes = sweep_regimes(lr, loss, initial_loss)
    excess = sweep_excess(loss, initial_loss)
    rates = np.asarray(lr, dtype=np.float64)
    best_rate = rates[int(np.argmin(excess))]
    accepted = []
    for regime, e, rate in zip(regimes, excess, rates, strict=True):
        neighbour: Regime = "high" if rate > best_rate else "low"
        on_the_line = LINE[0] <= e <= LINE[1] and regime in ("good", neighbour)
        accepted.append(frozenset({regime, "good", neighbour} if on_the_line else {regime}))
    return accepted


def _check(rates: NDArray[np.float64], losses: NDArray[np.float64], initial_loss: float) -> None:
    if rates.ndim != 1 or rates.shape != losses.shape or len(rates) == 0:
        raise InvalidInput(
            "The 'lr' and 'loss' of a sweep must be one-dimensional, alike in length and not empty. "
            f"Got shapes {rates.shape} and {losses.shape}."
        )
    if not np.all(np.isfinite(rates) & (rates > 0)):
        raise InvalidInput(f"The 'lr' of a sweep must be positive, finite numbers. Got {rates.tolist()}.")
    if not np.isfinite(initial_loss):
        raise InvalidInput(f"The 'initial_loss' of a sweep must be a finite number. Got {initial_loss}.")
