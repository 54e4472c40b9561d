"""The engine behind the laws: one law fitted to optima, with what real optima do besides following a law.

    log₂ η*(B) = z·γ + shape(log₂ B; θ) + f(log₂ B − θ) + g_group(log₂ B) + u_group + e,      θ = δ₀ + z·δ

z are the covariates (log₂, centred); f, shared by all groups, corrects the law's shape at a distance from its knee; g
is what each group does of its own, smooth over about an octave and a half; u moves a whole group; e is scatter. All
but θ are Gaussian and integrated exactly (universal kriging); θ lives on a grid, or with covariates is drawn by
adaptive importance sampling, and the sizes of g, u, e are averaged over a small grid. So a law's evidence, and a
prediction far from the data, allow for the law being only nearly right. Without covariates f and g cannot be told
apart, and g alone is kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import cholesky, solve_triangular
from scipy.stats import qmc

from lrscope.scaling.laws import Floats, LawShape
from lrscope.scaling.trend import Ahead

Grid = Mapping[str, tuple[float, ...]]
LENGTH_OCTAVES = 1.5  # over which a group's own departure from a law, and the shared correction, stay alike
SHARED_SD = 0.5  # octaves: the shared correction of a law's shape, with covariates
# in octaves; one group alone: which law fits it, what comes beyond its data, and what where more is known of that;
# then several groups
RANKED: Grid = {"scatter": (0.03, 0.1, 0.2), "own": (0.05,), "group": (0.0,)}
ALONE: Grid = {"scatter": (0.03, 0.1, 0.2), "own": (0.5,), "group": (0.0,)}
INFORMED: Grid = {"scatter": (0.03, 0.1, 0.2), "own": (0.8,), "group": (0.0,)}
COMPANY: Grid = {"scatter": (0.08, 0.12), "own": (0.12, 0.18), "group": (0.08,)}
AMPLITUDE_SD, EXPONENT_SD, KNEE_EXPONENT_SD = 100.0, 1.0, 0.7
# where a knee is expected before the data, in octaves above the largest batch size, and how surely (Student t, ν = 3)
KNEE_ALONE, KNEE_COMPANY = (-0.5, 2.5), (0.5, 2.0)
STRAY = 0.12  # octaves for each that a batch size lies beyond the data: how far what is expected ahead is off besides
DRAWS = 2000
GRID = 601  # values of a law's parameter, where it has one alone
EXPONENTS, KNEE_MARGIN = (-1.5, 2.5), 8.0  # their range: of an exponent; of a knee beyond the batch sizes, in octaves


@dataclass(frozen=True, kw_only=True, eq=False)
class Optima:
    """What a law is fitted to: log₂ batch size, covariates (n, c), group number, log₂ optimum and its deviation."""

    batch: Floats
    covariates: Floats
    group: Floats
    optimum: Floats
    deviation: Floats
    expected: int = 0  # how many of them, the last ones, nobody measured

    @property
    def company(self) -> bool:
        """Whether several groups are fitted together."""
        return bool(self.covariates.shape[1])

    @property
    def largest(self) -> float:
        """The largest log₂ batch size that was measured."""
        return float(self.batch[: self.batch.size - self.expected].max())

    def and_expected(self, ahead: Ahead) -> Optima:
        """With the optima that are expected beyond the batch sizes of this group, which is alone."""
        count = ahead.batch.size
        return Optima(
            batch=np.append(self.batch, ahead.batch),
            covariates=np.empty((self.batch.size + count, 0)),
            group=np.append(self.group, np.full(count, self.group[0])),
            optimum=np.append(self.optimum, ahead.optimum),
            deviation=np.append(self.deviation, ahead.deviation),
            expected=count,
        )


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """Deviations in octaves of scatter, a group's own departure, and a group's shift."""

    scatter: float
    own: float
    group: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LawPosterior:
    """Equally likely laws of one shape: θ as (δ₀, δ) (draws, 1 + c), the residuals left (draws, n), and the kriging."""

    shape: LawShape
    optima: Optima
    log_evidence: float
    theta: Floats
    residual: Floats
    size_of: Floats
    sizes: tuple[_Sizes, ...]
    factors: tuple[Floats, ...]
    knee: Floats
    ranked: LawPosterior | None = None  # the nearly exact fit that the evidence and the parameters are of

    def samples(self, batch: Floats, covariates: Floats, group: float) -> Floats:
        """Equally likely log₂ η* at each log₂ batch size (m,) of one group: (draws, m). A new group has number −1."""
        at = Optima(
            batch=batch,
            covariates=np.repeat(covariates[None, :], batch.size, axis=0),
            group=np.full(batch.size, group),
            optimum=np.zeros(batch.size),
            deviation=np.zeros(batch.size),
        )
        mean = self.shape.shape(batch, self.thetas(covariates)[:, None])
        noise = np.random.default_rng(0).standard_normal(len(self.theta))
        beyond = np.maximum(batch - self.optima.largest, 0.0)
        stray = STRAY * beyond if self.optima.expected else 0.0 * beyond
        drawn = np.empty((len(self.theta), batch.size))
        for index, (sizes, factor) in enumerate(zip(self.sizes, self.factors, strict=True)):
            rows = self.size_of == index
            if not rows.any():
                continue
            cross = _covariance(at, self.optima, sizes, self.shape, self.knee)
            half = solve_triangular(factor, cross.T, lower=True)
            prior = np.diag(_covariance(at, at, sizes, self.shape, self.knee)) + sizes.scatter**2
            variance = np.maximum(prior - np.sum(half**2, axis=0), 1e-8) + stray**2
            gain = solve_triangular(factor, half, lower=True, trans="T")
            drawn[rows] = mean[rows] + self.residual[rows] @ gain + noise[rows, None] * np.sqrt(variance)
        return drawn

    def thetas(self, covariates: Floats) -> Floats:
        """θ of each draw at the covariates: (draws,)."""
        if self.shape.kind == "batch_size":
            return np.asarray(self.theta[:, 0] + self.theta[:, 1:] @ covariates)
        return self.theta[:, 0]

    def linear(self, direction: Floats, group: float | None) -> Floats:
        """Equally likely values of direction·γ (1 + c entries), a group's own shift added unless None: (draws,)."""
        optima = self.optima
        design = _design(optima)
        drawn = np.empty(len(self.theta))
        noise = np.random.default_rng(1).standard_normal(len(self.theta))
        for index, (sizes, factor) in enumerate(zip(self.sizes, self.factors, strict=True)):
            rows = self.size_of == index
            if not rows.any():
                continue
            cross = design @ (_prior_variance(optima) * direction)
            prior = float(np.sum(_prior_variance(optima) * direction**2))
            if group is not None:
                cross = cross + sizes.group**2 * (optima.group == group)
                prior += sizes.group**2
            half = solve_triangular(factor, cross, lower=True)
            gain = solve_triangular(factor, half, lower=True, trans="T")
            sd = math.sqrt(max(prior - float(half @ half), 1e-10))
            drawn[rows] = self.residual[rows] @ gain + noise[rows] * sd
        return drawn


def fit_law(shape: LawShape, optima: Optima, ahead: Ahead | None = None, *, seed: int = 0) -> LawPosterior:
    """Fit one law; `log_evidence` is comparable between the laws on the same optima.

    One group alone is fitted twice: nearly exact laws tell which one the optima follow; but what a law says of batch
    sizes far from the data is taken with a departure of half an octave, and of more where something is expected
    `ahead`, which counts like measured optima then. Which law is believed is for those that were measured to say.
    """
    if optima.company:
        return _fit(shape, optima, COMPANY, seed)
    ranked = _fit(shape, optima, RANKED, seed)
    far = _fit(shape, optima, ALONE, seed) if ahead is None else _fit(shape, optima.and_expected(ahead), INFORMED, seed)
    return replace(far, log_evidence=ranked.log_evidence, ranked=ranked)


def _fit(shape: LawShape, optima: Optima, grid: Grid, seed: int) -> LawPosterior:
    sizes = tuple(
        _Sizes(scatter=scatter, own=own, group=group)
        for scatter, own, group in itertools.product(grid["scatter"], grid["own"], grid["group"])
    )
    prior = _ThetaPrior.of(shape, optima)
    centre, spread, knee = prior.centre, prior.spread, prior.centre
    stages = 3 if optima.company and shape.kind != "none" else 1
    for stage in range(stages):
        knee = centre
        factors = tuple(_factor(optima, size, shape, knee) for size in sizes)
        if shape.kind == "none":
            draws, log_ratio = np.zeros((1, 1)), np.zeros(1)
        elif centre.size == 1:
            draws, log_ratio = prior.grid(optima)
        else:
            draws, log_ratio = prior.propose(
                centre, spread, first=stage == 0, count=512 if stage == stages - 1 else 256, seed=seed
            )
        residual = optima.optimum - shape.shape(optima.batch, _thetas(shape, draws, optima.covariates))
        log_weight = _log_likelihood(residual, factors) + log_ratio[:, None]  # (draws, sizes)
        weight = np.exp(log_weight - log_weight.max()).sum(axis=1)
        weight /= weight.sum()
        centre = weight @ draws
        spread = np.cov(draws.T, aweights=weight, ddof=0).reshape(draws.shape[1], -1) + 1e-4 * np.eye(draws.shape[1])
    peak = float(log_weight.max())
    mass = np.exp(log_weight - peak)
    cumulative = np.cumsum(mass.ravel())
    levels = (np.arange(DRAWS) + 0.5) / DRAWS * cumulative[-1]
    chosen = np.minimum(np.searchsorted(cumulative, levels), cumulative.size - 1)
    chosen = np.random.default_rng(seed).permutation(chosen)
    of_draw, of_size = np.divmod(chosen, len(sizes))
    return LawPosterior(
        shape=shape,
        optima=optima,
        log_evidence=math.log(shape.prior) + peak + math.log(cumulative[-1] / mass.size),
        theta=draws[of_draw],
        residual=residual[of_draw],
        size_of=of_size.astype(np.float64),
        sizes=sizes,
        factors=factors,
        knee=knee,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _ThetaPrior:
    """θ's prior: an exponent is normal; a knee's place has Student t tails (ν = 3), its exponents are normal."""

    centre: Floats
    scale: Floats
    heavy: bool

    @classmethod
    def of(cls, shape: LawShape, optima: Optima) -> _ThetaPrior:
        if shape.kind != "batch_size":
            return cls(centre=np.array([shape.exponents[0]]), scale=np.array([shape.exponents[1]]), heavy=False)
        count = optima.covariates.shape[1]
        beyond, scale = KNEE_COMPANY if optima.company else KNEE_ALONE
        return cls(
            centre=np.concatenate([[optima.largest + beyond], np.zeros(count)]),
            scale=np.concatenate([[scale], np.full(count, KNEE_EXPONENT_SD)]),
            heavy=True,
        )

    @property
    def spread(self) -> Floats:
        return np.diag(self.scale**2)

    def log_density(self, theta: Floats) -> Floats:
        z = (theta - self.centre) / self.scale
        tails = stats.t.logpdf(z[:, 0], 3) if self.heavy else stats.norm.logpdf(z[:, 0])
        return np.asarray(tails + stats.norm.logpdf(z[:, 1:]).sum(axis=1) - np.log(self.scale).sum())

    def grid(self, optima: Optima) -> tuple[Floats, Floats]:
        """One parameter: evenly spaced values (GRID, 1), and the log of their prior's share of the whole."""
        low, high = EXPONENTS if not self.heavy else (optima.batch.min() - KNEE_MARGIN, optima.largest + KNEE_MARGIN)
        theta = np.linspace(low, high, GRID)[:, None]
        return theta, self.log_density(theta) + math.log(high - low)

    def propose(self, centre: Floats, spread: Floats, *, first: bool, count: int, seed: int) -> tuple[Floats, Floats]:
        """Draws (count, dim) and their log prior over proposal: from the prior first, then from a wide Student t."""
        uniform = np.clip(qmc.Sobol(centre.size, seed=seed).random(count), 1e-6, 1 - 1e-6)
        if first:
            z = stats.norm.ppf(uniform)
            if self.heavy:
                z[:, 0] = stats.t.ppf(uniform[:, 0], 3)
            return self.centre + z * self.scale, np.zeros(count)
        factor = 1.3 * np.linalg.cholesky(spread)
        z = stats.t.ppf(uniform, 5)
        draws = centre + z @ factor.T
        log_proposal = stats.t.logpdf(z, 5).sum(axis=1) - np.log(np.diag(factor)).sum()
        return draws, self.log_density(draws) - log_proposal


def _thetas(shape: LawShape, draws: Floats, covariates: Floats) -> Floats:
    """θ of each draw at each optimum: (draws, n)."""
    if shape.kind == "batch_size":
        return np.asarray(draws[:, :1] + draws[:, 1:] @ covariates.T)
    return np.repeat(draws[:, :1], len(covariates), axis=1)


def _design(optima: Optima) -> Floats:
    return np.column_stack([np.ones(len(optima.batch)), optima.covariates])


def _prior_variance(optima: Optima) -> Floats:
    """Of γ: amplitude, then the covariates' exponents."""
    return np.concatenate([[AMPLITUDE_SD**2], np.full(optima.covariates.shape[1], EXPONENT_SD**2)])


def _place(optima: Optima, shape: LawShape, knee: Floats) -> Floats:
    """Where the shared correction is looked up: at the distance from the knee, of a law that has one."""
    if shape.kind != "batch_size":
        return optima.batch
    return np.asarray(optima.batch - knee[0] - optima.covariates @ knee[1:])


def _covariance(a: Optima, b: Optima, sizes: _Sizes, shape: LawShape, knee: Floats) -> Floats:
    """The covariance of the Gaussian parts, without scatter: (len(a), len(b))."""
    same = a.group[:, None] == b.group[None, :]
    apart = (a.batch[:, None] - b.batch[None, :]) / LENGTH_OCTAVES
    covariance = same * (sizes.group**2 + sizes.own**2 * np.exp(-0.5 * apart**2))
    covariance = covariance + (_design(a) * _prior_variance(a)) @ _design(b).T
    if a.company:
        apart = (_place(a, shape, knee)[:, None] - _place(b, shape, knee)[None, :]) / LENGTH_OCTAVES
        covariance = covariance + SHARED_SD**2 * np.exp(-0.5 * apart**2)
    return np.asarray(covariance)


def _factor(optima: Optima, sizes: _Sizes, shape: LawShape, knee: Floats) -> Floats:
    covariance = _covariance(optima, optima, sizes, shape, knee)
    covariance[np.diag_indices_from(covariance)] += optima.deviation**2 + sizes.scatter**2
    factor: Any = cholesky(covariance, lower=True)
    return np.asarray(factor)


def _log_likelihood(residual: Floats, factors: tuple[Floats, ...]) -> Floats:
    """Of each draw under each set of sizes: (draws, sizes)."""
    columns = [
        -0.5 * np.sum(solve_triangular(factor, residual.T, lower=True) ** 2, axis=0) - np.log(np.diag(factor)).sum()
        for factor in factors
    ]
    return np.stack(columns, axis=1)
