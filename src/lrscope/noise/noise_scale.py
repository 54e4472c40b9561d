"""The gradient noise scale B_simple = tr Σ / |G|², from whatever norms of gradients a training loop has at hand.

Three estimators share one result. Every one of them gives unbiased numbers for tr Σ and for |G|², averages the two
apart without clamping either, and divides at the very end (McCandlish 2018, arXiv 1812.06162, appendix A.1): a mean
of ratios, or a |G|² clamped at zero before averaging, is biased.

- a pair of batches, small and big, at each update        -> `RunningNoiseScale`, `noise_scale_from_pairs`
- K gradients of microbatches at one place                -> `noise_scale_from_gradients(gradients, batch_size)`
- the gradient of every example at one place              -> `noise_scale_from_gradients(gradients)`
"""

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

MIN_GRADIENTS = 4
"""Fewer gradients at one place do not tell how much their products vary, so there is no interval."""


@dataclass(frozen=True, kw_only=True)
class NoiseScale:
    """Unbiased estimates of tr Σ and |G|² with their sampling covariance, and the noise scale that they give.

    Arguments:
        trace: estimate of tr Σ, the summed variance of one example's gradient.
        square: estimate of |G|²; may come out negative where the noise drowns it, and is then kept so.
        trace_variance, square_variance, covariance: of the two estimates; inf where nothing tells it.
        dof: degrees of freedom of these variances.
        observations: how many updates, or gradients, the estimates are means of.
    """

    trace: float
    square: float
    trace_variance: float
    square_variance: float
    covariance: float
    dof: float
    observations: int

    @property
    def value(self) -> float:
        """tr Σ / |G|², in examples; inf where the estimate of |G|² is not positive."""
        return max(self.trace, 0.0) / self.square if self.square > 0 else math.inf

    @property
    def estimate(self) -> Estimate:
        """The noise scale with its 80 % interval by Fieller's theorem; `high` is None where |G|² may be 0.

        >>> scale = noise_scale_from_pairs([3.0, 5.0, 4.0, 4.2], [1.2, 1.5, 1.4, 1.3], 1, 8)
        >>> round(scale.value, 2), scale.estimate.low < scale.value < scale.estimate.high
        (3.2, True)
        """
        low, high = _fieller(self, _quantile(self.dof))
        return Estimate(self.value, low, high)

    @property
    def gradient_sq_norm(self) -> Estimate:
        """|G|² with its 80 % interval; the low end may be negative, which says that |G|² may be zero."""
        return _normal_interval(self.square, self.square_variance, self.dof)

    @property
    def trace_covariance(self) -> Estimate:
        """tr Σ with its 80 % interval."""
        return _normal_interval(self.trace, self.trace_variance, self.dof)


class RunningNoiseScale:
    """The noise scale of a training in progress: feed it one pair of squared gradient norms an update.

    Per update |G|² ≈ (B_b|G_b|² − B_s|G_s|²)/(B_b − B_s) and tr Σ ≈ (|G_s|² − |G_b|²)/(1/B_s − 1/B_b). Both go into
    exponential moving averages with bias correction (`decay` < 1) or plain means (`decay` = 1). The variances come from
    differences between successive updates, so that the slow drift of a training does not count as noise.

    Arguments:
        decay: weight of the past per update, in (0, 1]. 0.99 looks back over about 100 updates.

    Raises:
        InvalidInput: a decay outside (0, 1].

    >>> running = RunningNoiseScale(decay=0.9)
    >>> for small, big in [(3.0, 1.2), (5.0, 1.5), (4.0, 1.4), (4.2, 1.3)]:
    ...     running.add(small, big, small_batch=1, big_batch=8)
    >>> round(running.result().value, 2)
    3.24
    """

    def __init__(self, decay: float = 0.99) -> None:
        if not 0.0 < decay <= 1.0:
            raise InvalidInput(f"The 'decay' of RunningNoiseScale must lie in (0, 1]. Got {decay}.")
        self.decay = decay
        self.observations = 0
        self.skipped = 0
        self._weight = self._weight_sq = self._pair_weight = 0.0
        self._mean = np.zeros(2)  # weighted sums of (tr Σ, |G|²)
        self._products = np.zeros((2, 2))  # weighted sums of half the products of successive differences
        self._last: FloatArray | None = None

    def add(self, small_sq_norm: float, big_sq_norm: float, *, small_batch: float, big_batch: float) -> None:
        """Take in |G_s|² and |G_b|² of one update; a pair that is not finite (an overflowed step) is left out.

        Arguments:
            small_sq_norm: squared L2 norm of the small batch's mean gradient, or its mean over the small batches.
            big_sq_norm: squared L2 norm of the big batch's mean gradient, at the same weights.
            small_batch, big_batch: examples in each, small below big.
        """
        if not 0 < small_batch < big_batch:
            raise InvalidInput(
                "The two batches of a pair must satisfy 0 < small_batch < big_batch. "
                f"Got {small_batch} and {big_batch}."
            )
        if not (math.isfinite(small_sq_norm) and math.isfinite(big_sq_norm)):
            self.skipped += 1
            return
        square = (big_batch * big_sq_norm - small_batch * small_sq_norm) / (big_batch - small_batch)
        trace = (small_sq_norm - big_sq_norm) / (1.0 / small_batch - 1.0 / big_batch)
        self._accumulate(np.array([trace, square]))

    def _accumulate(self, values: FloatArray) -> None:
        self._weight = self.decay * self._weight + 1.0
        self._weight_sq = self.decay**2 * self._weight_sq + 1.0
        self._mean = self.decay * self._mean + values
        if self._last is not None:
            difference = values - self._last
            self._products = self.decay * self._products + 0.5 * np.outer(difference, difference)
            self._pair_weight = self.decay * self._pair_weight + 1.0
        self._last = values
        self.observations += 1

    def result(self) -> NoiseScale:
        """The noise scale as of now. Raises InvalidInput before the first pair."""
        if self.observations == 0:
            raise InvalidInput("The noise scale needs at least one pair of gradient norms. Got none.")
        trace, square = self._mean / self._weight
        effective = self._weight**2 / self._weight_sq
        covariance = np.full((2, 2), math.inf)
        if self._pair_weight > 0:
            covariance = self._products / self._pair_weight / effective
        return NoiseScale(
            trace=float(trace),
            square=float(square),
            trace_variance=float(covariance[0, 0]),
            square_variance=float(covariance[1, 1]),
            covariance=float(covariance[0, 1]),
            dof=max(1.0, 2.0 * (effective - 1.0) / 3.0),  # of a variance from successive differences
            observations=self.observations,
        )


def noise_scale_from_pairs(
    small_sq_norm: ArrayLike,
    big_sq_norm: ArrayLike,
    small_batch: float,
    big_batch: float,
    *,
    decay: float = 1.0,
) -> NoiseScale:
    """The noise scale from logged pairs of squared norms: `RunningNoiseScale` over two arrays.

    Arguments:
        small_sq_norm: (updates,) |G_s|², or (updates, K) for the K small batches that make up the big one.
        big_sq_norm: (updates,) |G_b|².
        small_batch, big_batch: examples in each.
        decay: 1 gives plain means over all updates; below 1, an average that forgets.

    Raises:
        InvalidInput: shapes that do not fit, or batches that are not 0 < small < big.

    >>> noise_scale_from_pairs([[3.0, 5.0], [4.0, 4.2]], [1.35, 1.35], 1, 8).observations
    2
    """
    small = np.asarray(small_sq_norm, dtype=np.float64)
    big = np.asarray(big_sq_norm, dtype=np.float64)
    if big.ndim != 1 or small.ndim not in (1, 2) or len(small) != len(big):
        raise InvalidInput(
            "Pairs of gradient norms must have shapes (updates,) or (updates, K), and (updates,). "
            f"Got {small.shape} and {big.shape}."
        )
    running = RunningNoiseScale(decay)
    for one, other in zip(small if small.ndim == 1 else small.mean(axis=1), big, strict=True):
        running.add(float(one), float(other), small_batch=small_batch, big_batch=big_batch)
    return running.result()


def noise_scale_from_gradients(
    gradients: ArrayLike, batch_size: float = 1, *, preconditioner: ArrayLike | None = None
) -> NoiseScale:
    """The noise scale at one place, from K gradients of equal, independent batches there.

    |G|² is the mean product of two different gradients, tr Σ = b · (mean squared norm − |G|²).

    Arguments:
        gradients: (K, parameters), K ≥ 4: each the mean gradient over `batch_size` examples.
        batch_size: examples behind each row; 1 = per-example gradients.
        preconditioner: (parameters,) what the optimizer multiplies a gradient by; for Adam 1/(√v̂ + ε). The noise scale
            is then tr(PΣP)/|PG|² (Qiao 2021, arXiv 2008.12260). Its overall size does not matter.

    Raises:
        InvalidInput: fewer than 4 gradients, a wrong shape, or values that are not finite.

    >>> rng = np.random.default_rng(0)
    >>> gradients = np.array([1.0, 0.0]) + rng.normal(size=(4000, 2))  # tr Σ = 2, |G|² = 1
    >>> 1.8 < noise_scale_from_gradients(gradients).value < 2.2
    True
    """
    rows = np.asarray(gradients, dtype=np.float64)
    if rows.ndim != 2 or not np.all(np.isfinite(rows)):
        raise InvalidInput(f"Gradients must be a finite array of shape (K, parameters). Got shape {rows.shape}.")
    if preconditioner is not None:
        rows = rows * np.asarray(preconditioner, dtype=np.float64)
    gram = rows @ rows.T
    return noise_scale_from_products(gram, np.diagonal(gram), batch_size)


def noise_scale_from_products(products: ArrayLike, small_sq_norm: ArrayLike, small_batch: float) -> NoiseScale:
    """The noise scale from the inner products of K gradients, for gradients too large to be kept.

    Arguments:
        products: (K, K) inner products of the mean gradients of K equal, independent groups of examples.
        small_sq_norm: (K,) mean squared norm of the small batches within each group; the diagonal of `products` where
            group and small batch are one and the same.
        small_batch: examples in a small batch.

    The variances are those of a U-statistic: what one group moves (from row means), less the half of the pairwise part
    that row means count twice.
    """
    gram = np.asarray(products, dtype=np.float64)
    small = np.asarray(small_sq_norm, dtype=np.float64)
    k = len(small)
    if gram.shape != (k, k) or small.ndim != 1 or k < MIN_GRADIENTS or small_batch <= 0:
        raise InvalidInput(
            f"The noise scale at one place needs the products of at least {MIN_GRADIENTS} gradients, shapes (K, K) and "
            f"(K,), and a positive small batch. Got {gram.shape}, {small.shape} and {small_batch}."
        )
    off = gram - np.diag(np.diagonal(gram))
    row_mean = off.sum(axis=1) / (k - 1)  # (K,)
    square = float(row_mean.mean())
    influence = np.stack([small_batch * (small - 2.0 * row_mean), 2.0 * row_mean])  # (2, K): tr Σ, |G|²
    lone = (row_mean - square) * (k - 1) / (k - 2)
    residual = off - square - lone[:, None] - lone[None, :]
    np.fill_diagonal(residual, 0.0)
    pairwise = float((residual**2).sum()) / (k * (k - 3))
    sign = np.array([-small_batch, 1.0])
    covariance = np.cov(influence) / k - np.outer(sign, sign) * 2.0 * pairwise / (k * (k - 1))
    floor = 2.0 * pairwise / (k * (k - 1))  # the pairwise part alone is the least that the variance of |G|² can be
    return NoiseScale(
        trace=small_batch * (float(small.mean()) - square),
        square=square,
        trace_variance=max(float(covariance[0, 0]), small_batch**2 * floor),
        square_variance=max(float(covariance[1, 1]), floor),
        covariance=float(covariance[0, 1]),
        dof=float(k - 1),
        observations=k,
    )


def pool_noise_scales(
    scales: Sequence[NoiseScale], weights: ArrayLike | None = None, *, overlap: float = 0.0
) -> NoiseScale:
    """One noise scale of several places: tr Σ and |G|² averaged apart, then divided.

    Arguments:
        scales: what was measured at each place.
        weights: (places,) such as the updates that each stands for; equal where None.
        overlap: the share of examples that two measurements have in common, in [0, 1]: 0 = fresh examples each time,
            so errors average out; 1 = the same examples, so errors stay.
    """
    if not scales:
        raise InvalidInput("There must be at least one noise scale to pool. Got none.")
    share = np.ones(len(scales)) if weights is None else np.asarray(weights, dtype=np.float64)
    share = share / share.sum()
    pooled = {}
    for name in ("trace", "square"):
        variance = np.array([getattr(scale, f"{name}_variance") for scale in scales])
        pooled[f"{name}_variance"] = float(
            (1 - overlap) * (share**2 @ variance) + overlap * (share @ np.sqrt(variance)) ** 2
        )
    covariance = np.array([scale.covariance for scale in scales])
    return NoiseScale(
        trace=float(share @ [scale.trace for scale in scales]),
        square=float(share @ [scale.square for scale in scales]),
        covariance=float((1 - overlap) * (share**2 @ covariance) + overlap * (share @ covariance)),
        dof=float(sum(scale.dof for scale in scales)),
        observations=sum(scale.observations for scale in scales),
        **pooled,
    )


def _quantile(dof: float) -> float:
    return float(stdtrit(dof, 0.5 + COVERAGE / 2))


def _normal_interval(value: float, variance: float, dof: float) -> Estimate:
    if not math.isfinite(variance):
        return Estimate(value, None, None)
    half = _quantile(dof) * math.sqrt(variance)
    return Estimate(value, value - half, value + half)


def _fieller(scale: NoiseScale, t: float) -> tuple[float | None, float | None]:
    """All ratios R for which tr Σ − R|G|² is within t standard errors of zero, as far as they are not negative."""
    if not (math.isfinite(scale.trace_variance) and math.isfinite(scale.square_variance)):
        return None, None
    largest = math.sqrt(
        scale.trace_variance * scale.square_variance
    )  # estimates of variances may contradict each other
    covariance = min(max(scale.covariance, -largest), largest)
    a = scale.square**2 - t**2 * scale.square_variance
    b = scale.trace * scale.square - t**2 * covariance
    c = scale.trace**2 - t**2 * scale.trace_variance
    root = math.sqrt(max(b * b - a * c, 0.0))
    if scale.square > 0 and a > 0:
        return max((b - root) / a, 0.0), max((b + root) / a, 0.0)
    if c <= 0:  # neither is told apart from zero: every ratio is possible
        return None, None
    if a < 0:  # |G|² may be zero: the set is open upwards, from the positive root (c/a < 0) on
        return max((b - root) / a, 0.0), None
    return scale.trace / (t * math.sqrt(scale.square_variance)), None  # |G|² came out below zero by more than chance
