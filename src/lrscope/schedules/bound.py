"""What convex theory says of a schedule: a bound on its loss, its best peak rate, and what follows from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ConvexBound:
    """The bound on the loss after the last update, as a function of the base rate that multiplies the schedule.

    Ω(base) = distance_term / base + noise_term · base, smallest at `best_base`, where it is `value`.

    Arguments:
        distance_term: t₁ = D² / (2 Σ η_t), what is left of the way from the start.
        noise_term: t₂ + t₃, what the gradients' size costs, at a base rate of one.
    """

    distance_term: float
    noise_term: float

    @property
    def best_base(self) -> float:
        """√(t₁ / (t₂ + t₃)): the base rate at which the bound is smallest."""
        return float(np.sqrt(self.distance_term) / np.sqrt(self.noise_term))

    @property
    def value(self) -> float:
        """2 √(t₁ (t₂ + t₃)): the bound at the best base rate."""
        return float(2.0 * np.sqrt(self.distance_term) * np.sqrt(self.noise_term))

    def at(self, base: float) -> float:
        """The bound at this base rate."""
        return self.distance_term / base + self.noise_term * base


def convex_bound(rates: ArrayLike, *, grad_norm: ArrayLike = 1.0, distance: float = 1.0) -> ConvexBound:
    """The last-iterate bound of (sub)gradient descent on a convex loss, for any schedule.

    Ω = D²/(2Ση) + Ση²G²/(2Ση) + ½ Σ_{k<T} [η_k / Σ_{t>k} η_t] · [Σ_{t≥k} η_t²G_t² / Σ_{t≥k} η_t]

    Arguments:
        rates: (steps,) the rate of every update, as a share of the peak or absolute; updates at rate zero do
            nothing and are left out.
        grad_norm: (steps,) or one number, the norm of the gradient at every update.
        distance: how far the start lies from the best weights.
    Raises:
        InvalidInput: rates that are negative, not finite or all zero.
    Source: Schaipp 2025, arXiv 2501.18965, theorem 3.1.

    >>> linear = convex_bound(1 - np.arange(1000) / 1000)
    >>> round(linear.value, 5), round(linear.best_base, 4)
    (0.06343, 0.0315)
    """
    eta, norms = _checked(rates, grad_norm)
    if not distance > 0:
        raise InvalidInput(f"The 'distance' of a convex bound must be > 0. Got {distance}.")
    largest = eta.max()
    eta = eta / largest  # a square of a rate that has grown without bounds would overflow
    squares = np.square(eta * norms)
    eta_left = np.cumsum(eta[::-1])[::-1]  # Σ_{t≥k} η_t, (steps,)
    squares_left = np.cumsum(squares[::-1])[::-1]
    spread = np.sum(eta[:-1] / eta_left[1:] * (squares_left[:-1] / eta_left[:-1]))
    total = eta_left[0]
    return ConvexBound(
        distance_term=float(distance**2 / (2.0 * total) / largest),
        noise_term=float(squares_left[0] / (2.0 * total) + 0.5 * spread) * float(largest),
    )


def _checked(rates: ArrayLike, grad_norm: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The updates that move the weights, and the gradient norm at each."""
    eta = _numbers(rates, "rates")
    if eta.ndim != 1 or not np.all(np.isfinite(eta)) or np.any(eta < 0) or not np.any(eta > 0):
        raise InvalidInput("The 'rates' of a convex bound must be one row of finite numbers >= 0, not all zero.")
    norms = _numbers(grad_norm, "grad_norm")
    if norms.shape not in ((), eta.shape) or not np.all(np.isfinite(norms)) or np.any(norms <= 0):
        raise InvalidInput(
            "The 'grad_norm' of a convex bound must be one number > 0 or one per rate. "
            f"Got shape {norms.shape} for {len(eta)} rates."
        )
    moving = eta > 0
    return eta[moving], np.broadcast_to(norms, eta.shape)[moving]


def _numbers(values: ArrayLike, name: str) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"The '{name}' of a convex bound must be numbers. Got {values!r:.80}.") from None


@dataclass(frozen=True, kw_only=True)
class RankedSchedule:
    """A schedule's place: its bound over the best one's, and its best peak rate over the best one's."""

    name: str
    bound: float
    relative_bound: float
    relative_peak_lr: float


def rank_schedules(
    names: Sequence[str], rates: Sequence[ArrayLike], *, grad_norm: ArrayLike = 1.0
) -> tuple[RankedSchedule, ...]:
    """The schedules from the smallest bound to the largest, each at its own best peak rate.

    Arguments:
        names: what each is called. rates: for each, (steps,) shares of the peak rate.
    """
    if len(names) != len(rates) or not names:
        raise InvalidInput(f"rank_schedules needs one name per schedule. Got {len(names)} and {len(rates)}.")
    bounds = [convex_bound(row, grad_norm=grad_norm) for row in rates]
    order = np.argsort([bound.value for bound in bounds], kind="stable")
    best = bounds[order[0]]
    return tuple(
        RankedSchedule(
            name=names[i],
            bound=bounds[i].value,
            relative_bound=bounds[i].value / best.value,
            relative_peak_lr=bounds[i].best_base / best.best_base,
        )
        for i in order
    )


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A tuned peak rate carried over: the new one, the factor between them, and the bound's ratio (new over old).

    The interval of `peak_lr` spans what the bound gives when the gradient norm grows or falls fourfold over
    the run in place of staying constant.
    """

    peak_lr: Estimate
    factor: float
    relative_bound: float


PROFILES = tuple(np.log([1.0, 4.0, 0.25]))
"""Growth of the gradient norm over a run (logarithm, end over start) that a transfer's interval spans.

Fourfold held the measured best rate in 15 of 19 transfers between published runs (benchmarks/forecast_transfer.py)."""


def transfer_peak_lr(
    peak_lr: float, source: ArrayLike, target: ArrayLike, *, grad_norm: ArrayLike | None = None
) -> Transfer:
    """The peak rate for a schedule that was not tuned, from one that was: peak · best base(target) / best base(source).

    Only the ratio of the two best bases enters, so neither the distance nor the scale of the gradients need be known.
    For the same shape over N times as many steps it gives 1/√N.

    Arguments:
        peak_lr: the tuned peak rate of the source schedule.
        source, target: (steps,) shares of the peak rate, each for its own run; the lengths may differ.
        grad_norm: (points,) the measured profile of the gradient norm over a run, where known; it is stretched
            to each schedule's length. Without it the norm is taken as constant.
    Source: Schaipp 2025, arXiv 2501.18965, section 5.

    >>> step = np.arange(1000)
    >>> linear, wsd = 1 - step / 1000, np.minimum(1, (1000 - step) / 200)
    >>> round(transfer_peak_lr(1.0, wsd, linear).factor, 2)
    1.95
    """
    if not (np.isfinite(peak_lr) and peak_lr > 0):
        raise InvalidInput(f"The 'peak_lr' to carry over must be a number > 0. Got {peak_lr}.")
    shares = (np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64))
    measured = None if grad_norm is None else np.asarray(grad_norm, dtype=np.float64)
    pairs = [_pair(shares, measured, growth) for growth in PROFILES]
    factors = [new.best_base / old.best_base for old, new in pairs]
    old, new = pairs[0]
    return Transfer(
        peak_lr=Estimate(peak_lr * factors[0], peak_lr * min(factors), peak_lr * max(factors)),
        factor=factors[0],
        relative_bound=new.value / old.value,
    )


def _pair(
    shares: tuple[FloatArray, FloatArray], measured: FloatArray | None, growth: float
) -> tuple[ConvexBound, ConvexBound]:
    """The bounds of both schedules under one profile of the gradient norm."""

    def bound(rates: FloatArray) -> ConvexBound:
        progress = np.linspace(0.0, 1.0, rates.size)
        norms = np.exp(growth * progress)
        if measured is not None:
            norms = norms * np.interp(progress, np.linspace(0.0, 1.0, measured.size), measured)
        return convex_bound(rates, grad_norm=norms)

    return bound(shares[0]), bound(shares[1])


@dataclass(frozen=True, kw_only=True)
class Extension:
    """How to go on with a run beyond its plan: the plateau for the new steps, as a share of the old peak.

    `bound` is what the level reaches and `bound_unchanged` what going on at the old peak would, both at the peak
    rate that was tuned for the short run.
    """

    level: float
    bound: float
    bound_unchanged: float
    rates: FloatArray


def extend_run(rates: ArrayLike, total_steps: int, *, cooldown: float = 0.2) -> Extension:
    """The plateau that a run which turns out longer should go on at, so that its tuned peak rate stays right.

    The updates before the cool-down of the short run are kept as they were; from there a new plateau runs to the
    new cool-down, and its level is the one with the smallest bound, at the base rate that is best for the short run.

    Arguments:
        rates: (steps,) shares of the peak of the short run, its cool-down included.
        total_steps: the new length. cooldown: the share of the new length that decays linearly to zero at its end.
    Source: Schaipp 2025, arXiv 2501.18965, section 5.1.

    >>> step = np.arange(1000)
    >>> round(extend_run(np.minimum(1, (1000 - step) / 200), 2000).level, 2) < 1
    True
    """
    past = np.asarray(rates, dtype=np.float64)
    base = convex_bound(past).best_base
    if not (0 < cooldown < 1 and total_steps > past.size):
        raise InvalidInput(
            f"To extend a run of {past.size} steps, 'total_steps' must be larger, and 'cooldown' a share "
            f"between 0 and 1. Got {total_steps} and {cooldown}."
        )
    kept = past[: int(np.flatnonzero(past >= past.max() * (1 - 1e-12))[-1]) + 1]
    build = partial(_extended, kept, total_steps, cooldown)
    found = minimize_scalar(
        lambda level: convex_bound(base * build(level)).at(1.0), bounds=(0.05, 2.0), method="bounded"
    )
    return Extension(
        level=float(found.x),
        bound=float(found.fun),
        bound_unchanged=convex_bound(base * build(1.0)).at(1.0),
        rates=build(float(found.x)),
    )


def _extended(kept: FloatArray, total_steps: int, cooldown: float, level: float) -> FloatArray:
    """What was run, then a plateau at this share of its peak, then a linear cool-down."""
    new = np.full(max(0, total_steps - kept.size), level * kept.max())
    left = (total_steps - np.arange(kept.size, total_steps)) / max(1, round(cooldown * total_steps))
    return np.concatenate([kept, new * np.minimum(1.0, left)])
