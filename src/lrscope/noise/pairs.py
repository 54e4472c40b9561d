"""The noise scale from pairs of gradient norms, of a small and of a big batch: live or from a log."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput
from lrscope.noise.noise_scale import NoiseScale

FloatArray = NDArray[np.float64]


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
