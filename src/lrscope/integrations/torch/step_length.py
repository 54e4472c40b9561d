"""How long a step was for its own batch, from the losses and slopes at its two ends."""

from __future__ import annotations


def step_length(loss0: float, loss1: float, slope0: float, slope1: float) -> float:
    """The normalised step length α: −1 stays put, 0 steps into the parabola's minimum, above 1 climbs, within [−1, 5].

    The parabola is the least-squares fit to both losses and both directional derivatives (per whole step); its slope at
    the start is slope0 + (loss1 − loss0 − (slope0 + slope1)/2)/5, its curvature slope1 − slope0
    (Cockpit, Schneider 2021, arXiv 2102.06604).

    >>> step_length(1.0, 0.0, -2.0, 0.0)
    0.0
    >>> step_length(1.0, 1.0, -4.0, 4.0)
    1.0
    """
    slope = slope0 + (loss1 - loss0 - 0.5 * (slope0 + slope1)) / 5.0
    curvature = slope1 - slope0
    if not curvature > 0:
        return -1.0
    return min(max(-curvature / slope - 1.0, -1.0), 5.0) if slope < 0 else 5.0


def unclipped_slope(loss0: float, loss1: float, slope0: float, slope1: float) -> float:
    """The slope at the start of a step whose gradient may have been clipped in place before the update.

    A clipped gradient's slope is too flat for what the loss did: a parabola through both losses with slope1 at its end
    starts with 2 (loss1 − loss0) − slope1. That is taken where it is more than 1.5 times as steep, and the change of
    the loss is more than rounding.

    >>> unclipped_slope(1.0, 0.0, -0.2, 0.0), unclipped_slope(1.0, 0.0, -2.1, 0.0)
    (-2.0, -2.1)
    """
    told = 2.0 * (loss1 - loss0) - slope1
    sure = abs(loss1 - loss0) > 1e-4 * abs(loss0)
    return told if sure and slope0 <= 0.0 and told < 1.5 * slope0 else slope0
