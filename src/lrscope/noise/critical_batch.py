"""What a noise scale says about batch sizes: the rate for another one, the steps and examples it costs, its limit.

One update of SGD with a batch of B gains ε(B) = ε_max / (1 + B_noise/B) at its best learning rate, which moves alike
(McCandlish 2018, arXiv 1812.06162, eq. 2.6-2.11). A target that takes S_min updates at infinite batches and E_min
examples at tiny ones takes S = S_min (1 + B_crit/B) updates and E = E_min (1 + B/B_crit) examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput
from lrscope.estimate import COVERAGE, Estimate
from lrscope.noise.noise_scale import NoiseScale

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """What a batch size costs: updates in units of S_min and examples in units of E_min."""

    batch_size: float
    steps: Estimate
    examples: Estimate


def step_efficiency(batch_size: ArrayLike, noise_scale: float) -> FloatArray:
    """ε(B)/ε_max = 1/(1 + B_noise/B): the share of a noise-free update's gain that an update with B examples makes.

    >>> float(step_efficiency(64, 64.0))
    0.5
    """
    size = _positive(batch_size, "batch_size")
    return np.asarray(size / (size + noise_scale) if math.isfinite(noise_scale) else 0.0 * size, dtype=np.float64)


def predict_learning_rate(
    learning_rate: float | Estimate, from_batch: float, to_batch: float, noise_scale: Estimate
) -> Estimate:
    """The rate for another batch size by the noise scale: η′ = η (1 + B_noise/B)/(1 + B_noise/B′).

    It is the linear rule far below the noise scale and a constant far above it. For SGD; Adam's rate moves by the
    square root of it (Malladi 2022, arXiv 2205.10287). An open end of the noise scale stands for infinity.

    >>> rate = predict_learning_rate(0.1, 32, 128, Estimate(96.0, 64.0, None))
    >>> round(rate.value, 3), round(rate.low, 3), round(rate.high, 3)
    (0.229, 0.2, 0.4)
    """
    _positive([from_batch, to_batch], "batch sizes")
    rate = (
        learning_rate if isinstance(learning_rate, Estimate) else Estimate(learning_rate, learning_rate, learning_rate)
    )

    def factor(noise: float) -> float:
        if not math.isfinite(noise):
            return to_batch / from_batch
        return (1.0 + noise / from_batch) / (1.0 + noise / to_batch)

    ends = [
        factor(0.0 if noise_scale.low is None else noise_scale.low),
        factor(math.inf if noise_scale.high is None else noise_scale.high),
    ]
    value = factor(noise_scale.value)
    return Estimate(
        rate.value * value,
        _combine(rate.value, rate.low, value, min(ends)),
        _combine(rate.value, rate.high, value, max(ends)),
    )


def _combine(rate: float, rate_end: float | None, factor: float, factor_end: float) -> float | None:
    """One end of a product of two uncertain positive numbers: independent errors add up squared in log space."""
    if rate_end is None or rate_end <= 0:
        return None
    shift = math.hypot(math.log(rate_end / rate), math.log(factor_end / factor))
    below = rate_end < rate or factor_end < factor
    return rate * factor * math.exp(-shift if below else shift)


def steps_and_examples(batch_size: float, critical_batch_size: Estimate) -> Tradeoff:
    """Updates S/S_min = 1 + B_crit/B and examples E/E_min = 1 + B/B_crit to one and the same loss.

    >>> trade = steps_and_examples(100, Estimate(300.0, 200.0, None))
    >>> trade.steps, round(trade.examples.value, 3), trade.examples.low
    (Estimate(value=4.0, low=3.0, high=None), 1.333, 1.0)
    """
    _positive(batch_size, "batch_size")
    value, low, high = critical_batch_size.value, critical_batch_size.low, critical_batch_size.high

    def steps(critical: float) -> float:
        return 1.0 + critical / batch_size

    def examples(critical: float) -> float:
        return 1.0 + batch_size / critical if critical > 0 else math.inf

    return Tradeoff(
        batch_size=batch_size,
        steps=Estimate(steps(value), steps(low or 0.0), None if high is None else steps(high)),
        examples=Estimate(examples(value), 1.0 if high is None else examples(high), None if not low else examples(low)),
    )


def critical_batch_size(
    scales: Sequence[NoiseScale],
    batch_size: float,
    weights: ArrayLike | None = None,
    *,
    overlap: float = 0.0,
    draws: int = 2000,
) -> Estimate:
    """B_crit = E_min/S_min from noise scales along a training at batch size B (McCandlish 2018, appendix D).

    An update at noise scale 𝓑 does the work of 1/(1 + 𝓑/B) noise-free ones, each of which needs 𝓑 examples at
    the least: B_crit = Σ w 𝓑/(1 + 𝓑/B) / Σ w/(1 + 𝓑/B). Written in tr Σ and |G|², where nothing explodes as |G|² → 0.

    Arguments:
        scales: along the training. weights: updates that each stands for.
        batch_size: what the training used. overlap: as in `pool_noise_scales`. draws: for the interval.

    >>> scale = NoiseScale(trace=300.0, square=1.0, trace_variance=1.0, square_variance=0.01, covariance=0.0,
    ...                    dof=30.0, observations=40)
    >>> round(critical_batch_size([scale], 64).value)
    300
    """
    if not scales:
        raise InvalidInput("The critical batch size needs at least one noise scale. Got none.")
    _positive(batch_size, "batch_size")
    share = np.ones(len(scales)) if weights is None else np.asarray(weights, dtype=np.float64)
    means = np.array([[scale.trace, scale.square] for scale in scales])  # (places, 2)
    if not all(math.isfinite(scale.trace_variance + scale.square_variance) for scale in scales):
        return Estimate(_weighted_critical(means, batch_size, share), None, None)
    roots = np.stack([_root(scale) for scale in scales])  # (places, 2, 2)
    rng = np.random.default_rng(0)
    fresh = rng.normal(size=(draws, len(scales), 2))
    common = rng.normal(size=(draws, 1, 2))
    noise = math.sqrt(1 - overlap) * fresh + math.sqrt(overlap) * common
    drawn = means + np.einsum("pij,dpj->dpi", roots, noise)
    values = np.array([_weighted_critical(draw, batch_size, share) for draw in drawn])
    low, high = np.quantile(values, [0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2], method="nearest")
    value = _weighted_critical(means, batch_size, share)
    return Estimate(value, min(float(low), value), max(float(high), value) if math.isfinite(high) else None)


def _weighted_critical(means: FloatArray, batch_size: float, share: FloatArray) -> float:
    trace, square = np.maximum(means[:, 0], 0.0), np.maximum(means[:, 1], 0.0)
    total = np.maximum(square + trace / batch_size, np.finfo(float).tiny)  # E|G_B|² at that place
    efficiency = float(share @ (square / total))
    return float(share @ (trace / total)) / efficiency if efficiency > 0 else math.inf


def _root(scale: NoiseScale) -> FloatArray:
    """A square root of the covariance of (tr Σ, |G|²), which estimates may leave slightly indefinite."""
    matrix = np.array([[scale.trace_variance, scale.covariance], [scale.covariance, scale.square_variance]])
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float64)


def _positive(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if not np.all(array > 0):
        raise InvalidInput(f"The {name} must be > 0. Got {values!r}.")
    return array
