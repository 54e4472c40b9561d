"""The gradient noise scale B_simple = tr Σ / |G|², from whatever norms of gradients a training loop has at hand.

Three estimators share one result. Every one of them gives unbiased numbers for tr Σ and for |G|², averages the two
apart without clamping either, and divides at the very end (McCandlish 2018, arXiv 1812.06162, appendix A.1): a mean
of ratios, or a |G|² clamped at zero before averaging, is biased.

- a pair of batches, small and big, at each update        -> `pairs.py`
- K gradients of microbatches at one place                -> `one_place.py`
- the gradient of every example at one place              -> `one_place.py`, with batches of one
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from lrscope.errors import InvalidInput
from lrscope.estimate import COVERAGE, Estimate


@dataclass(frozen=True, kw_only=True)
class NoiseScale:
    """Unbiased estimates of tr Σ and |G|² with their sampling covariance, and the noise scale that they give.

    Arguments:
        trace: estimate of tr Σ, the summed variance of one example's gradient.
        square: estimate of |G|²; may come out negative where the noise drowns it, and is then kept so.
        trace_variance, square_variance, covariance: of the two estimates; inf where nothing tells it.
        dof: degrees of freedom of these variances.
        observations: how many updates, or gradients, the estimates are means of.
        square_growth: how much of square_variance there is for each unit of |G|², 4 GᵀΣG/(n|G|²), where that is known.
        square_floor: what is left of square_variance where |G|² is zero; all of it where the growth is not known.
    """

    trace: float
    square: float
    trace_variance: float
    square_variance: float
    covariance: float
    dof: float
    observations: int
    square_growth: float = 0.0
    square_floor: float | None = None

    @property
    def value(self) -> float:
        """tr Σ / |G|², in examples; inf where the estimate of |G|² is not positive."""
        return max(self.trace, 0.0) / self.square if self.square > 0 else math.inf

    @property
    def estimate(self) -> Estimate:
        """The noise scale with its 80 % interval by Fieller's theorem; `high` is None where |G|² may be 0.

        >>> from lrscope.noise.pairs import noise_scale_from_pairs
        >>> scale = noise_scale_from_pairs([3.0, 5.0, 4.0, 4.2], [1.2, 1.5, 1.4, 1.3], 1, 8)
        >>> round(scale.value, 2), scale.estimate.low < scale.value < scale.estimate.high
        (3.2, True)
        """
        low, high = _fieller(self, _quantile(self.dof))
        return Estimate(self.value, low, high)


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
    floors = [scale.square_variance if scale.square_floor is None else scale.square_floor for scale in scales]
    shrink = (1 - overlap) * share**2 + overlap * share  # of a variance, each by itself
    return NoiseScale(
        trace=float(share @ [scale.trace for scale in scales]),
        square=float(share @ [scale.square for scale in scales]),
        covariance=float((1 - overlap) * (share**2 @ covariance) + overlap * (share @ covariance)),
        dof=float(sum(scale.dof for scale in scales)),
        observations=sum(scale.observations for scale in scales),
        square_growth=float(shrink @ [scale.square_growth for scale in scales]),
        square_floor=float(shrink @ floors),
        **pooled,
    )


def _quantile(dof: float) -> float:
    return float(stdtrit(dof, 0.5 + COVERAGE / 2))


def _fieller(scale: NoiseScale, t: float) -> tuple[float | None, float | None]:
    """All ratios R for which tr Σ − R|G|² is within t standard errors of zero, as far as they are not negative.

    The part of the variance of |G|² that grows with |G|² is taken as it is where R is the truth, at |G|² = tr Σ / R:
    else a |G|² that came out small would be thought surer than it is, and a large one less sure.
    """
    if not (math.isfinite(scale.trace_variance) and math.isfinite(scale.square_variance)):
        return None, None
    # estimates of variances may contradict each other
    largest = math.sqrt(scale.trace_variance * scale.square_variance)
    covariance = min(max(scale.covariance, -largest), largest)
    floor = scale.square_variance if scale.square_floor is None else scale.square_floor
    a = scale.square**2 - t**2 * floor
    b = scale.trace * scale.square - t**2 * (covariance - 0.5 * scale.square_growth * max(scale.trace, 0.0))
    c = scale.trace**2 - t**2 * scale.trace_variance
    root = math.sqrt(max(b * b - a * c, 0.0))
    if scale.square > 0 and a > 0:
        return max((b - root) / a, 0.0), max((b + root) / a, 0.0)
    if c <= 0:  # neither is told apart from zero: every ratio is possible
        return None, None
    if a < 0:  # |G|² may be zero: the set is open upwards, from the positive root (c/a < 0) on
        return max((b - root) / a, 0.0), None
    return scale.trace / (t * math.sqrt(scale.square_variance)), None  # |G|² came out below zero by more than chance
