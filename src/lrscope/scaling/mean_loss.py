"""The mean loss of runs at one learning rate, read off equally likely curves: what another seed is expected to give.

The curves of a posterior agree with the runs that were made. A seed shifts all of its runs together, and no fit of one
seed's curve shows that; nor does it show that the lowest of several losses is lucky. So each curve is shifted by what
seeds are known to do, and a loss that is positive wherever it was seen does not fall below zero for it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from lrscope.estimate import QUANTILES, Estimate
from lrscope.scaling.posterior import CurvePosterior, Floats

SEED_SHARE = 0.005
"""The deviation of one seed's loss from the mean over seeds, as a share of what training gains."""
SEED_FREEDOM = 4.0  # of Student's t: some tasks' seeds differ by several times that, some hardly at all


def estimate_mean_loss(posterior: CurvePosterior, x: float, *, runs: float, gain: float, least: float) -> Estimate:
    """The mean loss of runs at x = log₂ η, with its central 80 % interval.

    Arguments:
        runs: the number of runs at the nearest rate. gain: what training gains, in units of the loss.
        least: the lowest loss seen; where it is positive, so is the estimate.
    """
    levels = (np.arange(posterior.bottom.size) + 0.5) / posterior.bottom.size
    shifts = stats.t.ppf(np.random.default_rng(0).permutation(levels), SEED_FREEDOM)
    losses = posterior.losses(np.array([x]))[:, 0] + SEED_SHARE * max(gain, 0.0) / math.sqrt(runs) * shifts
    low, middle, high = np.quantile(above_zero(losses, least), QUANTILES)
    return Estimate(float(middle), float(low), float(high))


def above_zero(losses: Floats, least: float) -> Floats:
    """Losses with those below the lowest seen, y₀ = `least`, drawn up to y₀·e^{(y − y₀)/y₀}; as given where y₀ ≤ 0.

    >>> above_zero(np.array([2.0, 1.0, 0.5, -9.0]), 1.0).round(4).tolist()
    [2.0, 1.0, 0.6065, 0.0]
    """
    if least <= 0:
        return losses
    drawn: Floats = np.where(losses < least, least * np.exp((np.minimum(losses, least) - least) / least), losses)
    return drawn
