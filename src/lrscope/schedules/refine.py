"""The schedule that a run's gradient norms ask for, worked out from its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter

from lrscope.errors import InvalidInput
from lrscope.schedules.schedule import is_number

FloatArray = NDArray[np.float64]
Optimizer = Literal["sgd", "adam"]

POWER: dict[Optimizer, int] = {"sgd": -2, "adam": -1}
"""The power of the gradient norm that weights an update: L2 norm for SGD, L1 norm for Adam."""

RISEN = 0.9
"""The share of the peak at which a warm-up counts as done."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Refinement:
    """A refined schedule.

    Arguments:
        step: (points,) the steps at which it is given. rates: (points,) shares of the peak rate, the largest is 1.
        grad_norm, smoothed: (points,) the gradient norms used, and their running median.
        warmup_share: share of the run that goes by before the rate first comes within 10 % of its peak.
        optimizer: which weighting was used.
    """

    step: NDArray[np.int64]
    rates: FloatArray
    grad_norm: FloatArray
    smoothed: FloatArray
    warmup_share: float
    total_steps: int
    optimizer: Optimizer


def refine_rates(weights: ArrayLike, *, spacing: ArrayLike = 1.0) -> FloatArray:
    """η_t ∝ w_t · Σ_{p>t} w_p, scaled to a largest value of one.

    Arguments:
        weights: (points,) weight of every update. spacing: how many updates each point stands for.
    Source: Defazio 2023, arXiv 2310.07831, theorem 3 and algorithm 1.

    >>> refine_rates([1, 1, 1, 1, 1])
    array([1.  , 0.75, 0.5 , 0.25, 0.  ])
    """
    w = np.asarray(weights, dtype=np.float64)
    mass = w * np.asarray(spacing, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # refused below
        left = np.cumsum(mass[::-1])[::-1] - mass  # Σ_{p>t} w_p, (points,)
        rates = w * np.maximum(left, 0.0)
    rates[-1] = 0.0
    peak = rates.max()
    if not (np.all(np.isfinite(rates)) and peak > 0):
        raise InvalidInput(
            "A schedule cannot be refined from these gradient norms: their weights are not finite or zero."
        )
    return np.asarray(rates / peak, dtype=np.float64)


def refine_schedule(
    grad_norm: ArrayLike,
    *,
    step: ArrayLike | None = None,
    total_steps: int | None = None,
    optimizer: Optimizer = "sgd",
    window: float = 0.1,
) -> Refinement:
    """The refined schedule of a run from the gradient norms that it logged.

    The norms are smoothed by a running median over `window` of the run (reflected at both ends), an update is weighted
    by w = G⁻² (SGD, L2 norm) or G⁻¹ (Adam, L1 norm), and η_t ∝ w_t · Σ_{p>t} w_p. Constant norms give linear decay to
    zero; norms that fall at the start give a warm-up; norms that fall at the end give a flatter end.

    Arguments:
        grad_norm: (points,) gradient norm at each logged step; points that are not finite or not positive are left out.
        step: (points,) the step of each, increasing; without it 0, 1, 2, …
        total_steps: length of the run; without it one spacing past the last step.
        optimizer: "sgd" or "adam".
        window: the share of the run that the running median spans, above 0 and at most 1.
    Raises:
        InvalidInput: fewer than 10 usable norms, or arguments out of range.
    Source: Defazio 2023, arXiv 2310.07831.

    >>> refine_schedule(np.full(100, 3.0)).rates[[0, 50]].round(2)
    array([1.  , 0.49])
    """
    if optimizer not in POWER:
        raise InvalidInput(f"The 'optimizer' of refine_schedule must be 'sgd' or 'adam'. Got {optimizer!r}.")
    if not 0 < window <= 1:
        raise InvalidInput(
            f"The 'window' of refine_schedule must be a share of the run, above 0 and at most 1. Got {window}."
        )
    steps, norms = _usable(grad_norm, step)
    if total_steps is not None and not (is_number(total_steps) and total_steps > steps[-1]):
        raise InvalidInput(
            f"The 'total_steps' must be larger than the last logged step {steps[-1]}. Got {total_steps!r}."
        )
    total = int(steps[-1] + np.median(np.diff(steps))) if total_steps is None else int(total_steps)
    smoothed = median_filter(norms, size=max(1, round(window * norms.size)), mode="reflect")
    spacing = np.diff(np.append(steps, total)).astype(np.float64)
    with np.errstate(divide="ignore", over="ignore"):  # such weights are refused
        weights = (smoothed / np.median(smoothed)) ** POWER[optimizer]
    rates = refine_rates(weights, spacing=spacing)
    peak = int(np.argmax(rates >= RISEN))  # not the highest point: noise moves that along a slow decline
    return Refinement(
        step=steps,
        rates=rates,
        grad_norm=norms,
        smoothed=smoothed,
        warmup_share=float((steps[peak] - steps[0]) / (total - steps[0])),
        total_steps=total,
        optimizer=optimizer,
    )


def _usable(grad_norm: ArrayLike, step: ArrayLike | None) -> tuple[NDArray[np.int64], FloatArray]:
    """The finite, positive norms and their steps."""
    refusal = "The 'grad_norm' and 'step' of a log must be two rows of one length of numbers, the steps increasing."
    try:
        norms = np.asarray(grad_norm, dtype=np.float64)
        given = np.arange(norms.size) if step is None else np.asarray(step, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(refusal) from None
    if norms.ndim != 1 or given.shape != norms.shape or not np.all(np.isfinite(given)):
        raise InvalidInput(refusal)
    steps = given.astype(np.int64)
    if np.any(np.diff(steps) <= 0):
        raise InvalidInput(refusal)
    usable = np.isfinite(norms) & (norms > 0)
    if np.count_nonzero(usable) < 10:
        raise InvalidInput(
            f"To refine a schedule, a log must hold at least 10 gradient norms > 0. Got {np.count_nonzero(usable)}."
        )
    return steps[usable], norms[usable]
