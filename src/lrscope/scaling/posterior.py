"""The posterior of a loss-against-learning-rate curve around its minimum, on a grid.

Around its minimum the loss is L(x) = c + k·φ(x − m; a), x = log₂ η, the linex shape φ(d; a) = (e^{ad} − 1 − ad)/a²:
a parabola at a = 0; for a > 0 it leaves the minimum linearly to the left and exponentially to the right, as training
losses do before they diverge. m, a, k and the noise σ live on grids; c is integrated out.

A point counts with variance σ²/n + (τ e (1 + e/E))², e its excess over the best point and E the excess where the shape
no longer holds: what happens far from the minimum (the cliff, the far left) is neither ignored by decree nor able to
bend the optimum. The prior of the noise is log-normal, relative to the excess one octave from the best point; it
keeps an interval honest when there are as many points as parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SKEWS: Floats = np.array([-0.4, -0.2, 0.0, 0.2, 0.4, 0.7, 1.0, 1.5])
SKEW_MEAN, SKEW_SD = 0.3, 0.5
SHAPE_ERROR = 0.15  # τ: how far the linex shape is trusted, as a share of the excess
SHAPE_RANGE = 16.0  # E, in units of the excess one octave from the best point
STEEPER, STEEPEST = 4.0, 16.0
PLATEAU = 0.3  # the share of the largest excess above which a curve that flattens has reached a plateau
NOISE_MEAN, NOISE_SD = -1.5, 1.0  # log of σ over the excess one octave from the best point
CURVATURE_MEAN, CURVATURE_SD = 0.7, 1.5  # log of k over the same excess
CURVATURE_GRID: Floats = np.linspace(CURVATURE_MEAN - 2 * CURVATURE_SD, CURVATURE_MEAN + 2 * CURVATURE_SD, 25)
NOISE_LEVELS: Floats = np.linspace(-2.5, 2.5, 9)  # the noise's grid, in deviations of its prior
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


@dataclass(frozen=True, kw_only=True)
class CurvePrior:
    """What is known of a curve before its own points: normal in the minimum m, log₂ η, and in log k, log σ if given."""

    minimum: float
    minimum_sd: float
    log_curvature: float | None = None
    log_curvature_sd: float = 1.0
    log_noise: float | None = None
    log_noise_sd: float = 1.0


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
    prior: CurvePrior | None


def octave_excess(x: Floats, y: Floats) -> float:
    """How much is lost an octave from the best point, by the points on either side of it (linear between them).

    To the left an excess at d octaves counts as excess/d², the largest up to three octaves away, so that noise in one
    point does not set it; nor does the one point to the right that is more than an octave away. A cliff must not
    either: the steeper side counts for STEEPER times the other at most.
    Nor must two points that happen to lie level: it counts for its STEEPEST part at least.
    """
    best = int(np.argmin(y))
    excess = y - y[best]
    sides = []
    coarse = [float(x[best + 2] - x[best])] if best + 2 < x.size and x[best + 1] - x[best] > 1.0 else []
    for reach in (np.array([-1.0, -2.0, -3.0]), np.array([1.0, *coarse])):
        reach = reach[(x[best] + reach >= x[0]) & (x[best] + reach <= x[-1])]
        if reach.size:
            sides.append(float(np.max(np.interp(x[best] + reach, x, excess) / reach**2)))
    scale = min(max(sides), max(STEEPER * min(sides), max(sides) / STEEPEST)) if sides else 0.0
    if scale <= 0.0:
        scale = float(np.max(np.sort(excess)[:3]))
    return max(scale, 1e-12 * max(1.0, abs(float(y[best]))))


def _near(x: Floats, excess: Floats, scale: float) -> NDArray[np.bool_]:
    """The points around the best that the shape may speak of, and the next on either side whatever it is."""
    best = int(np.argmin(excess))
    far = np.flatnonzero((excess > SHAPE_RANGE * scale) | _on_plateau(x, excess, best))
    left, right = far[far < best], far[far > best]
    first = int(left[-1]) + 1 if left.size else 0
    last = int(right[0]) - 1 if right.size else excess.size - 1
    index = np.arange(excess.size)
    return (index >= min(first, best - 1)) & (index <= max(last, best + 1))


def _on_plateau(x: Floats, excess: Floats, best: int) -> NDArray[np.bool_]:
    """Points of a plateau (chance, the loss before training): high up, the curve is half as steep as on the way."""
    plateau = np.zeros(x.size, dtype=np.bool_)
    high = PLATEAU * float(excess.max())
    for side in (np.arange(best, x.size), np.arange(best, -1, -1)):
        slope = np.diff(excess[side]) / np.abs(np.diff(x[side]))
        flat = np.flatnonzero((slope < 0.5 * np.maximum.accumulate(slope)) & (excess[side][:-1] > high))
        if flat.size:
            plateau[side[flat[0] + 1 :]] = True
    return plateau


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
    prior: CurvePrior | None = None,
    least_scale: float = 0.0,
) -> CurvePosterior:
    """Draw curves that the points (x ascending) agree with; the optimum is below `upper`, log₂ η of a diverged run.

    The scale, what is lost an octave from the best, is no less than `least_scale`.
    """
    scale = max(octave_excess(x, y), least_scale)
    excess = y - y.min()
    near = _near(x, excess, scale)
    x, y, runs, excess = x[near], y[near], runs[near], excess[near]
    points = _Points(
        x=x,
        y=y,
        runs=runs,
        scale=scale,
        shape_sd=SHAPE_ERROR * excess * (1.0 + excess / (SHAPE_RANGE * scale)),
        replicate_ss=replicate_ss,
        replicate_dof=replicate_dof,
        prior=prior,
    )
    low, high = x[0] - MARGIN_OCTAVES, x[-1] + MARGIN_OCTAVES if upper is None else upper
    coarse = np.linspace(low, high, GRID)
    log_density = _evaluate(points, coarse).log_density
    mass = np.exp(log_density - log_density.max()).sum(axis=(1, 2, 3))
    likely = coarse[mass > 1e-4 * mass.max()]
    step = coarse[1] - coarse[0]
    fine = np.linspace(max(low, likely[0] - step), min(high, likely[-1] + step), GRID)
    return _draw(points, fine, _evaluate(points, fine), draws, rng)


def _noise_grid(points: _Points) -> Floats:
    """The noise's grid, (s,): about what other curves say, or about its usual share of the scale."""
    mean, sd = math.log(points.scale) + NOISE_MEAN, NOISE_SD
    if points.prior is not None and points.prior.log_noise is not None:
        mean, sd = points.prior.log_noise, points.prior.log_noise_sd
    return np.exp(mean + sd * NOISE_LEVELS)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grid:
    """Log posterior over (minima, SKEWS, noises, CURVATURE_GRID); bottom given the rest: mean_y − k·mean_shape."""

    log_density: Floats  # (m, a, s, k)
    mean_y: Floats  # (s,)
    mean_shape: Floats  # (m, a, s)
    bottom_sd: Floats  # (s,)


def _evaluate(points: _Points, minima: Floats) -> _Grid:
    shape = linex(points.x - minima[:, None, None], SKEWS[None, :, None])  # (m, a, n)
    noise = _noise_grid(points)
    variance = noise[:, None] ** 2 / points.runs + points.shape_sd**2  # (s, n)
    weight = 1.0 / variance
    total = weight.sum(axis=1)
    mean_y = weight @ points.y / total
    centred = points.y - mean_y[:, None]  # (s, n)
    mean_shape = np.einsum("man,sn->mas", shape, weight) / total
    spread = np.maximum(np.einsum("man,sn->mas", shape**2, weight) - total * mean_shape**2, 0.0)
    product = np.einsum("man,sn->mas", shape, weight * centred)
    k = points.scale * np.exp(CURVATURE_GRID)
    misfit = (weight * centred**2).sum(axis=1)[:, None] - 2 * k * product[..., None] + k**2 * spread[..., None]
    prior_s = -0.5 * np.log(variance).sum(axis=1) - 0.5 * np.log(total)
    prior_s -= 0.5 * NOISE_LEVELS**2
    if points.replicate_dof:
        prior_s -= 0.5 * points.replicate_ss / noise**2 + points.replicate_dof * np.log(noise)
    log_density = -0.5 * misfit + prior_s[:, None]
    log_density -= 0.5 * ((CURVATURE_GRID - CURVATURE_MEAN) / CURVATURE_SD) ** 2
    prior = points.prior
    if prior is not None:
        log_density -= 0.5 * (((minima - prior.minimum) / prior.minimum_sd) ** 2)[:, None, None, None]
        if prior.log_curvature is not None:
            log_density -= 0.5 * ((np.log(k) - prior.log_curvature) / prior.log_curvature_sd) ** 2
    log_density -= 0.5 * ((SKEWS[:, None, None] - SKEW_MEAN) / SKEW_SD) ** 2
    return _Grid(log_density=log_density, mean_y=mean_y, mean_shape=mean_shape, bottom_sd=1.0 / np.sqrt(total))


def _draw(points: _Points, minima: Floats, grid: _Grid, draws: int, rng: np.random.Generator) -> CurvePosterior:
    cumulative = np.cumsum(np.exp(grid.log_density - grid.log_density.max()).ravel())
    levels = (np.arange(draws) + rng.random()) / draws * cumulative[-1]  # systematic: little Monte Carlo noise
    chosen = np.minimum(np.searchsorted(cumulative, levels), cumulative.size - 1)
    m, a, s, k = np.unravel_index(chosen, grid.log_density.shape)
    jitter = rng.random((2, draws)) - 0.5  # within a step of the grid
    curvature = points.scale * np.exp(CURVATURE_GRID[k] + jitter[0] * (CURVATURE_GRID[1] - CURVATURE_GRID[0]))
    bottom = grid.mean_y[s] - curvature * grid.mean_shape[m, a, s]
    return CurvePosterior(
        minimum=np.clip(minima[m] + jitter[1] * (minima[1] - minima[0]), minima[0], minima[-1]),
        curvature=curvature,
        skew=SKEWS[a],
        bottom=bottom + rng.standard_normal(draws) * grid.bottom_sd[s],
        noise=_noise_grid(points)[s],
    )
