"""The fitted laws across batch sizes as a line with a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.scaling.batch_law import BatchLaw, predict_many

POINTS = 25
BELOW, ABOVE = 2, 4
"""How far beyond the batch sizes that were run the line is drawn, as factors."""


@dataclass(frozen=True, kw_only=True)
class LawPoint:
    """One batch size of a drawn law: `lr` by the first law, `low` and `high` by all laws, averaged by their weights."""

    batch_size: float
    lr: float
    low: float | None
    high: float | None


def law_line(laws: Sequence[BatchLaw], batch_sizes: Sequence[int]) -> tuple[LawPoint, ...]:
    """The laws from half the least batch size to four times the greatest; empty where there is nothing to draw.

    That is so with fewer than two batch sizes, without laws, and with laws that were not fitted here.
    """
    if not laws or len(set(batch_sizes)) < 2:
        return ()
    grid = np.geomspace(max(1.0, min(batch_sizes) / BELOW), max(batch_sizes) * ABOVE, POINTS)
    try:
        best, bands = predict_many(laws[:1], grid), predict_many(laws, grid)
    except InvalidInput:
        return ()
    return tuple(
        LawPoint(batch_size=float(size), lr=first.value, low=band.low, high=band.high)
        for size, first, band in zip(grid, best, bands, strict=True)
    )
