"""How many updates reach a loss at each batch size: the price of parallelism, and the batch size where it rises.

(S/S_min − 1)(E/E_min − 1) = 1 with E = B·S is S = S_min + E_min/B (McCandlish 2018, arXiv 1812.06162, eq. 2.11), and
B_crit = E_min/S_min. Fitted in log S: runs are off by a share of their steps, and least squares in S, ruled by the
small batches' many steps, gives several times the B_crit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from lrscope.errors import InvalidInput
from lrscope.estimate import COVERAGE, Estimate
from lrscope.scaling.posterior import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class StepsLaw:
    """S(B) = S_min + E_min/B; calling it gives the steps at a batch size. Examples are in the unit of the batch size.

    `critical_batch_size` is where both steps and examples are twice the least possible; where the batch sizes do not
    reach far enough its ends are open (None), and its value is the nearest of the batch sizes.
    `deviation` is the root mean square error in log S.
    """

    min_steps: Estimate
    min_examples: Estimate
    critical_batch_size: Estimate
    deviation: float
    batch_size: Floats
    steps: Floats

    def __call__(self, batch_size: ArrayLike) -> Floats:
        """Steps to the target at each batch size, in its shape."""
        sizes = np.asarray(batch_size, dtype=np.float64)
        return np.asarray(self.min_steps.value + self.min_examples.value / sizes)

    @property
    def formula(self) -> str:
        """The law with its numbers."""
        return f"S = {self.min_steps.value:.4g} + {self.min_examples.value:.4g} / B"


def fit_steps_to_target(batch_size: ArrayLike, steps: ArrayLike) -> StepsLaw:
    """Fit S = S_min + E_min/B in log S, with 80 % intervals (Student t in log S_min and log E_min).

    Arguments:
        batch_size: (n,), positive, at least three different ones, in examples or tokens.
        steps: updates to the target loss, (n,), positive.

    Raises:
        InvalidInput: fewer than three batch sizes, or values that are not positive.

    >>> sizes = np.array([32.0, 64, 128, 256, 512])
    >>> law = fit_steps_to_target(sizes, 1000 * (1 + 200 / sizes))
    >>> round(law.min_steps.value), round(law.critical_batch_size.value)
    (1000, 200)
    """
    b, s = np.asarray(batch_size, dtype=np.float64).ravel(), np.asarray(steps, dtype=np.float64).ravel()
    if b.size != s.size or np.unique(b).size < 3:
        raise InvalidInput(
            f"fit_steps_to_target needs steps at three batch sizes or more. Got {np.unique(b).size} ({s.size} steps)."
        )
    if not (np.all(np.isfinite(b) & (b > 0)) and np.all(np.isfinite(s) & (s > 0))):
        raise InvalidInput("Batch sizes and steps to a target must be positive and finite.")

    def residuals(parameters: Floats) -> Floats:
        return np.asarray(np.logaddexp(parameters[0], parameters[1] - np.log(b)) - np.log(s))

    start = np.array([math.log(s.min() / 2), float(np.log(s * b).min())])
    # a millionth of the fewest steps, or of the fewest examples, is none: the bounds keep such a law finite
    lower = [math.log(s.min() * 1e-6), math.log(s.min() * b.min() * 1e-6)]
    fit = optimize.least_squares(residuals, start, bounds=(lower, np.inf), x_scale=1.0)
    freedom = max(b.size - 2, 1)
    variance = max(float(np.sum(fit.fun**2)) / freedom, 1e-10)
    # what the points say nothing of has no bound: a pseudo-inverse would call it certain
    covariance = variance * np.linalg.inv(fit.jac.T @ fit.jac + 1e-12 * np.eye(2))
    quantile = float(stats.t.ppf(0.5 + COVERAGE / 2, freedom))
    ratio_sd = math.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0))
    critical = _interval(fit.x[1] - fit.x[0], ratio_sd, quantile)
    if critical.low is None:
        critical = Estimate(float(np.clip(critical.value, b.min(), b.max())), None, None)
    return StepsLaw(
        min_steps=_interval(fit.x[0], math.sqrt(covariance[0, 0]), quantile),
        min_examples=_interval(fit.x[1], math.sqrt(covariance[1, 1]), quantile),
        critical_batch_size=critical,
        deviation=float(np.sqrt(np.mean(fit.fun**2))),
        batch_size=b,
        steps=s,
    )


def _interval(log_value: float, sd: float, quantile: float) -> Estimate:
    width = quantile * sd
    if width > math.log(50.0):  # nothing is known of it but an order of magnitude: the end is open
        return Estimate(math.exp(log_value), None, None)
    return Estimate(math.exp(log_value), math.exp(log_value - width), math.exp(log_value + width))
