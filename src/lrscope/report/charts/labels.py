"""Which labels of a chart may stand, so that none lies on another."""

from __future__ import annotations

import math
from collections.abc import Sequence

APART = (0.09, 0.05)
"""How far apart labels must be, as shares of the chart's width and height: in one of the two."""


def readable(
    places: Sequence[tuple[float, float]], apart: tuple[float, float] = APART, first: Sequence[int] = ()
) -> list[bool]:
    """For each label, whether it may stand: not where it would lie on one that stands already.

    Arguments:
        places: x and y of each label, as shares of the chart. apart: as `APART`.
        first: the indices of labels that have the first choice, in their order; the others follow from left to right.

    >>> readable([(0.1, 0.5), (0.12, 0.51), (0.12, 0.9)])
    [True, False, True]
    >>> readable([(0.1, 0.5), (0.12, 0.51)], first=[1])
    [False, True]
    """
    standing: list[int] = []
    for index in dict.fromkeys([*first, *range(len(places))]):
        x, y = places[index]
        near = (abs(x - places[i][0]) < apart[0] and abs(y - places[i][1]) < apart[1] for i in standing)
        if not any(near):
            standing.append(index)
    return [index in standing for index in range(len(places))]


def log_shares(values: Sequence[float], low: float, high: float) -> list[float]:
    """Where positive values stand on a logarithmic axis from `low` to `high`, as shares of it.

    >>> log_shares([1.0, 10.0], 0.1, 10.0)
    [0.5, 1.0]
    """
    width = math.log(high / low)
    return [math.log(value / low) / width if width > 0 else 0.5 for value in values]
