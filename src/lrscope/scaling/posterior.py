"""The posterior of a loss-against-learning-rate curve around its minimum, on a grid.

Around its minimum the loss is L(x) = c + k·φ(x − m; a), x = log₂ η, the linex shape φ(d; a) = (e^{ad} − 1 − ad)/a²:
a parabola at a = 0; for a > 0 it leaves the minimum linearly to the left and exponentially to the right, as training
losses do before they diverge. m and a live on grids together with the noise σ; c and k follow by least squares.

A point counts with variance σ²/n + (τ e (1 + e/E))², e its excess over the best point and E the excess where the shape
no longer holds: what happens far from the minimum (the cliff, the far left) is neither ignored by decree nor able to
bend the optimum. The prior of the noise is log-normal, relative to the excess one octave from the best point; it
keeps an interval honest when there are as many points as parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SKEWS: Floats = np.array([-0.4, -0.2, 0.0, 0.2, 0.4, 0.7, 1.0, 1.5])
SKEW_MEAN, SKEW_SD = 0.3, 0.5
SHAPE_ERROR = 0.15  # τ: how far the linex shape is trusted, as a share of the excess
SHAPE_RANGE = 16.0  # E, in units of the excess one octave from the best point
FARTHEST = 1e4  # in the same units: points farther off say nothing at all
NOISE_MEAN, NOISE_SD = -2.0, 1.2  # log of σ over the excess one octave from the best point
NOISE_GRID: Floats = np.linspace(NOISE_MEAN - 2.5 * NOISE_SD, NOISE_MEAN + 2.5 * NOISE_SD, 9)
MARGIN_OCTAVES = 3.0  # how far outside the tested rates an optimum is thought possible
GRID = 121


def linex(distance: Floats, skew: Floats | float) -> Floats:
    """φ(d; a) = (e^{ad} − 1 − ad)/a², ½d² at a = 0; arguments broadcast.

    >>> linex(np.array([-1.0, 0.0, 1.0]), 0.0).tolist()
    [0.5, 0.0, 0.5]
    """
    z = np.clip(np.asarray(skew) * distance, -30.0, 30.0)
    small = np.abs(z) < 1e-3
    safe = np.where(small, 1.0, z)
    shape: Floats = distance**2 * np.where(small, 0.5 + z / 6.0, (np.expm1(safe) - safe) / safe**2)
    return shape


@dataclass(frozen=True, kw_only=True, eq=False)
class CurvePosterior:
    """Equally likely curves: optimum m (log₂ η), curvature k (per octave²), skew a, bottom c, noise σ; all (draws,)."""

    minimum: Floats
    curvature: Floats
    skew: Floats
    bottom: Floats
    noise: Floats

    def losses(self, x: Floats) -> Floats:
        """The loss of each curve at each x = log₂ η: (draws, len(x))."""
        return self.bottom[:, None] + self.excess(x)

    def excess(self, x: Floats) -> Floats:
        """The loss of each curve above its own minimum at each x: (draws, len(x))."""
        return self.curvature[:, None] * linex(x[None, :] - self.minimum[:, None], self.skew[:, None])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Points:
    x: Floats  # (n,) log₂ η, ascending
    y: Floats  # (n,) mean loss
    runs: Floats  # (n,) how many runs each mean is of
    scale: float  # the excess about one octave from the best point
    shape_sd: Floats  # (n,) what the shape may be wrong by
    replicate_ss: float  # sum of squares within points, and its degrees of freedom
    replicate_dof: int


def octave_excess(x: Floats, y: Floats) -> float:
    """The larger excess one octave left and right of the best point; of its nearest points where both are outside."""
    best = int(np.argmin(y))
    excess = y - y[best]
    sides = [float(np.interp(x[best] + step, x, excess)) for step in (-1.0, 1.0) if x[0] <= x[best] + step <= x[-1]]
    scale = max(sides) if sides else 0.0
    if scale <= 0.0:
        scale = float(np.max(np.sort(excess)[:3]))
    return max(scale, 1e-12 * max(1.0, abs(float(y[best]))))


def sample_posterior(
    x: Floats,
    y: Floats,
    runs: Floats,
    *,
    upper: float | None,
    replicate_ss: float,
    replicate_dof: int,
    draws: int,
    rng: np.random.Generator,
) -> CurvePosterior:
    """Draw curves that the points (x ascending) agree with; the optimum is below `upper`, log₂ η of a diverged run."""
    scale = octave_excess(x, y)
    excess = y - y.min()
    near = excess <= FARTHEST * scale
    x, y, runs, excess = x[near], y[near], runs[near], excess[near]
    points = _Points(
        x=x,
        y=y,
        runs=runs,
        scale=scale,
        shape_sd=SHAPE_ERROR * excess * (1.0 + excess / (SHAPE_RANGE * scale)),
        replicate_ss=replicate_ss,
        replicate_dof=replicate_dof,
    )
    low, high = x[0] - MARGIN_OCTAVES, x[-1] + MARGIN_OCTAVES if upper is None else upper
    coarse = np.linspace(low, high, GRID)
    log_density = _log_density(points, coarse)[0]
    mass = np.exp(log_density - log_density.max()).sum(axis=(1, 2))
    likely = coarse[mass > 1e-4 * mass.max()]
    step = coarse[1] - coarse[0]
    fine = np.linspace(max(low, likely[0] - step), min(high, likely[-1] + step), GRID)
    log_density, curvature, bottom, bottom_sd = _log_density(points, fine)
    return _draw(points, fine, log_density, curvature, bottom, bottom_sd, draws, rng)


def _log_density(points: _Points, minima: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Log posterior, curvature and bottom over (minima, SKEWS, NOISE_GRID); the bottom's deviation over NOISE_GRID."""
    shape = linex(points.x - minima[:, None, None], SKEWS[None, :, None])  # (m, a, n)
    noise = points.scale * np.exp(NOISE_GRID)
    variance = noise[:, None] ** 2 / points.runs + points.shape_sd**2  # (s, n)
    weight = 1.0 / variance
    total = weight.sum(axis=1)
    mean_y = weight @ points.y / total
    centred = points.y - mean_y[:, None]  # (s, n)
    mean_shape = np.einsum("man,sn->mas", shape, weight) / total
    second = np.einsum("man,sn->mas", shape**2, weight)
    spread = np.maximum(second - total * mean_shape**2, 1e-9 * second + 1e-200)  # 0 where the points lie evenly about m
    product = np.einsum("man,sn->mas", shape, weight * centred)
    curvature = np.maximum(product / spread, 0.0)
    misfit = np.maximum((weight * centred**2).sum(axis=1) - 2 * curvature * product + curvature**2 * spread, 0.0)
    log_density = -0.5 * misfit - 0.5 * np.log(variance).sum(axis=1)
    log_density += -0.5 * ((NOISE_GRID - NOISE_MEAN) / NOISE_SD) ** 2
    log_density += -0.5 * ((SKEWS[:, None] - SKEW_MEAN) / SKEW_SD) ** 2
    if points.replicate_dof:
        log_density += -0.5 * points.replicate_ss / noise**2 - points.replicate_dof * np.log(noise)
    return log_density, curvature, mean_y - curvature * mean_shape, 1.0 / np.sqrt(total)


def _draw(
    points: _Points,
    minima: Floats,
    log_density: Floats,
    curvature: Floats,
    bottom: Floats,
    bottom_sd: Floats,
    draws: int,
    rng: np.random.Generator,
) -> CurvePosterior:
    cumulative = np.cumsum(np.exp(log_density - log_density.max()).ravel())
    levels = (np.arange(draws) + rng.random()) / draws * cumulative[-1]  # systematic: little Monte Carlo noise
    chosen = np.minimum(np.searchsorted(cumulative, levels), cumulative.size - 1)
    at: Any = np.unravel_index(chosen, log_density.shape)
    jitter = (rng.random(draws) - 0.5) * (minima[1] - minima[0])
    return CurvePosterior(
        minimum=np.clip(minima[at[0]] + jitter, minima[0], minima[-1]),
        curvature=curvature[at],
        skew=SKEWS[at[1]],
        bottom=bottom[at] + rng.standard_normal(draws) * bottom_sd[at[2]],
        noise=points.scale * np.exp(NOISE_GRID[at[2]]),
    )
