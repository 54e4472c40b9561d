"""The critical batch size as it shows when training goes on with larger batches, in branches from one checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lrscope.errors import InvalidInput
from lrscope.estimate import COVERAGE, Estimate

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BranchedCriticalBatch:
    """The critical batch size as branches from one checkpoint found it.

    Arguments:
        batch_size: the batch that was multiplied.
        multipliers: (K,) the k that were trained, from 1 up.
        excess_loss: loss of each branch above the branch with k = 1, with its interval.
        tolerance: the excess that still counts as none.
        critical_batch_size: the largest k·B within the tolerance; `high` is None where none was worse for certain.
    """

    batch_size: int
    multipliers: tuple[float, ...]
    excess_loss: tuple[Estimate, ...]
    tolerance: float
    critical_batch_size: Estimate


def branched_critical_batch(
    batch_size: int, multipliers: Sequence[float], losses: ArrayLike, *, tolerance: float = 0.01
) -> BranchedCriticalBatch:
    """The critical batch size measured by training on: branches from one checkpoint (Merrill 2025, arXiv 2505.23971).

    Each branch trains with k·B examples an update, at √k·η (Adam) or k·η (SGD), over the same examples; the largest k
    whose loss stays within `tolerance` of the branch k = 1 gives the critical batch k·B. Between two branches the
    crossing is interpolated in log k.

    Arguments:
        batch_size: B. multipliers: (K,) increasing from 1.
        losses: (K,) smoothed final losses, or (K, seeds) for branches over several data orders, paired by seed.
        tolerance: in units of the loss.

    >>> branched_critical_batch(32, [1, 2, 4, 8], [0.500, 0.502, 0.505, 0.530]).critical_batch_size
    Estimate(value=147.03338943962044, low=128.0, high=256.0)
    """
    factors = np.asarray(multipliers, dtype=np.float64)
    table = np.asarray(losses, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if factors.ndim != 1 or len(factors) < 2 or factors[0] != 1 or np.any(np.diff(factors) <= 0):
        raise InvalidInput(f"The multipliers must increase from 1, at least two of them. Got {list(multipliers)}.")
    if table.ndim != 2 or len(table) != len(factors):
        raise InvalidInput(f"There must be one row of losses per multiplier. Got shape {table.shape}.")
    if not tolerance > 0:
        raise InvalidInput(f"The tolerance must be a number > 0. Got {tolerance}.")
    excess = np.where(np.isfinite(table), table - table[0], math.inf)  # (K, seeds); a branch that diverged is worse
    middle = excess.mean(axis=1)
    half = np.zeros(len(factors))
    if table.shape[1] > 1:
        spread = np.where(np.isfinite(middle), np.nan_to_num(excess, posinf=0.0).std(axis=1, ddof=1), 0.0)
        half = stdtrit(table.shape[1] - 1, 0.5 + COVERAGE / 2) * spread / math.sqrt(table.shape[1])
    value = _crossing(factors, middle, tolerance)
    low, high = _crossing(factors, middle + half, tolerance), _crossing(factors, middle - half, tolerance)
    if table.shape[1] == 1:  # one seed: the bracket of branches is all that is known
        low = float(factors[factors <= value][-1])
        high = float(factors[factors >= value][0])
    certain = bool(np.any(middle - half > tolerance))
    return BranchedCriticalBatch(
        batch_size=batch_size,
        multipliers=tuple(float(factor) for factor in factors),
        excess_loss=tuple(Estimate(m, m - h, m + h) for m, h in zip(middle, half, strict=True)),
        tolerance=tolerance,
        critical_batch_size=Estimate(
            batch_size * value, batch_size * min(low, value), batch_size * max(high, value) if certain else None
        ),
    )


def _crossing(factors: FloatArray, excess: FloatArray, tolerance: float) -> float:
    """The k at which the excess first passes the tolerance, interpolated in log k; the last k where it never does."""
    above = np.flatnonzero(excess > tolerance)
    if len(above) == 0:
        return float(factors[-1])
    if above[0] == 0:
        return float(factors[0])
    left, right = above[0] - 1, above[0]
    if not math.isfinite(excess[right]):
        return float(factors[left])
    share = (tolerance - excess[left]) / (excess[right] - excess[left])
    return float(math.exp((1 - share) * math.log(factors[left]) + share * math.log(factors[right])))
