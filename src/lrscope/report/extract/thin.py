"""Curves of thousands of updates made light: smoothed and thinned by methods that have names."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput

FloatArray = NDArray[np.float64]
POINTS = 300
SMOOTHING_SHARE = 0.01


def largest_triangles(x: ArrayLike, y: ArrayLike, points: int = POINTS) -> NDArray[np.int64]:
    """The indices of the `points` samples that keep a curve's look: largest triangle three buckets.

    The ends are kept; the rest is cut into buckets, and of each the sample is kept that spans the largest triangle with
    the one kept before it and the mean of the bucket after it (Steinarsson 2013, "Downsampling time series for visual
    representation").

    Arguments:
        x, y: (n,) finite. points: at least 3; a curve of no more samples is kept whole.

    >>> largest_triangles(range(6), [0, 0, 9, 0, 0, 0], points=3).tolist()
    [0, 2, 5]
    """
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    count = len(across)
    if points < 3:
        raise InvalidInput(f"The 'points' of largest_triangles must be an int >= 3. Got {points}.")
    if count <= points:
        return np.arange(count)
    edges = np.linspace(1, count - 1, points - 1).astype(np.int64)
    kept = np.empty(points, dtype=np.int64)
    kept[0], kept[-1] = 0, count - 1
    for bucket in range(points - 2):
        start, stop = edges[bucket], edges[bucket + 1]
        after = slice(stop, edges[bucket + 2]) if bucket + 2 < len(edges) else slice(count - 1, count)
        x0, y0 = across[kept[bucket]], up[kept[bucket]]
        x1, y1 = across[after].mean(), up[after].mean()
        area = np.abs((x1 - x0) * (up[start:stop] - y0) - (across[start:stop] - x0) * (y1 - y0))
        kept[bucket + 1] = start + int(np.argmax(area))
    return kept


def smoothed(values: ArrayLike, share: float = SMOOTHING_SHARE) -> FloatArray:
    """The exponential moving average whose half-life is `share` of the series (one sample at least), bias corrected.

    m_t = Σ_{k≤t} d^{t−k} v_k / Σ_{k≤t} d^{t−k}, d = 2^(−1/half-life).

    Arguments:
        values: (n,) finite.

    >>> smoothed([2.0, 2.0, 2.0]).tolist()
    [2.0, 2.0, 2.0]
    """
    from scipy.signal import lfilter

    series = np.asarray(values, dtype=np.float64)
    if len(series) == 0:
        return series
    keep = 0.5 ** (1 / max(1.0, share * len(series)))
    return np.asarray(lfilter([1.0], [1.0, -keep], series) / lfilter([1.0], [1.0, -keep], np.ones(len(series))))


def finite_start(values: ArrayLike) -> int:
    """How many samples come before the first that is not finite: where a diverged curve ends.

    >>> finite_start([1.0, 2.0, float("inf"), 1.0])
    2
    """
    bad = np.flatnonzero(~np.isfinite(np.asarray(values, dtype=np.float64)))
    return int(bad[0]) if len(bad) else len(np.asarray(values))
