"""Finished runs gathered by learning rate: means, numbers, noise between replicates, and the rates that diverged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.errors import InvalidInput
from lrscope.scaling.posterior import Floats

ASCENT = 0.5  # a loss this share of the best gain above the initial loss counts as diverged
LARGEST = 1e30  # a loss beyond this, or NaN, counts as diverged


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """Runs by learning rate: `lr` ascending, mean `loss` and number of finite `runs`; rates that diverged apart.

    `replicate_ss` is the sum of squares within rates near the bottom, where several runs share a rate, `replicate_dof`
    its degrees of freedom. A rate at which at least half of the runs diverged is no rate to train at: it has diverged.
    """

    lr: Floats
    loss: Floats
    runs: Floats
    diverged_lr: Floats
    replicate_ss: float
    replicate_dof: int


def gather_sweep(
    lr: ArrayLike, loss: ArrayLike, *, initial_loss: float | None = None, seed: ArrayLike | None = None
) -> Sweep:
    """Gather runs by learning rate (rates equal to 9 digits are one); see `u_curve.fit_u_curve` for the arguments.

    >>> sweep = gather_sweep([0.1, 0.1, 0.2], [1.0, 3.0, float("nan")])
    >>> sweep.lr.tolist(), sweep.loss.tolist(), sweep.diverged_lr.tolist(), sweep.replicate_dof
    ([0.1], [2.0], [0.2], 1)
    """
    rates, losses = _checked(lr, loss)
    seeds = None if seed is None else np.asarray(seed).ravel()
    if seeds is not None and seeds.shape != rates.shape:
        raise InvalidInput(f"seed must have one entry per run ({rates.size}). Got {seeds.size}.")
    finite = losses[np.isfinite(losses)]
    if initial_loss is not None and math.isfinite(initial_loss) and finite.size and finite.min() < initial_loss:
        losses = np.where(losses > initial_loss + ASCENT * (initial_loss - finite.min()), np.inf, losses)
    keys = np.round(np.log2(rates) * 1e8).astype(np.int64)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    alive = np.isfinite(losses)
    usable = 2 * np.bincount(group, weights=alive, minlength=first.size) > np.bincount(group, minlength=first.size)
    keep = alive & usable[group]
    if not keep.any():
        nothing: Floats = np.empty(0)
        return Sweep(
            lr=nothing, loss=nothing, runs=nothing, diverged_lr=rates[first], replicate_ss=0.0, replicate_dof=0
        )
    y, rate_of = losses[keep], np.unique(group[keep], return_inverse=True)[1]
    removed = 0
    if seeds is not None:
        y, removed = _without_seed_effects(y, rate_of, np.unique(seeds[keep], return_inverse=True)[1])
    runs = np.bincount(rate_of).astype(np.float64)
    mean: Floats = np.bincount(rate_of, weights=y) / runs
    near = mean <= np.sort(mean)[min(4, mean.size - 1)]  # noise grows towards the cliff: take it near the bottom
    inside = near[rate_of]
    dof = max(int(inside.sum() - near.sum()) - removed, 0)
    return Sweep(
        lr=rates[first][usable],
        loss=mean,
        runs=runs,
        diverged_lr=rates[first][~usable],
        replicate_ss=float(np.sum((y - mean[rate_of])[inside] ** 2)) if dof else 0.0,
        replicate_dof=dof,
    )


def _checked(lr: ArrayLike, loss: ArrayLike) -> tuple[Floats, Floats]:
    rates, losses = np.asarray(lr, dtype=np.float64).ravel(), np.asarray(loss, dtype=np.float64).ravel()
    if rates.size == 0 or rates.size != losses.size:
        raise InvalidInput(
            f"A sweep needs one loss per learning rate, and at least one. Got {rates.size} rates, {losses.size} losses."
        )
    losses = np.where(np.abs(losses) < LARGEST, losses, np.inf)
    bad = rates[~(np.isfinite(rates) & (rates > 0))]
    if bad.size:
        raise InvalidInput(f"A learning rate must be positive and finite. Got {bad[0]:g}.")
    return rates, losses


def _without_seed_effects(y: Floats, rate: NDArray[np.intp], seed: NDArray[np.intp]) -> tuple[Floats, int]:
    """Losses less what each seed adds at every rate, where the design can tell it apart; and the freedom that costs.

    By medians, because one bad run near the cliff must not become its seed's effect.
    """
    seeds, rates = int(seed.max()) + 1, int(rate.max()) + 1
    if seeds < 2 or y.size <= seeds + rates:
        return y, 0
    centre = np.array([np.median(y[rate == index]) for index in range(rates)])
    effect = np.array([np.median((y - centre[rate])[seed == index]) for index in range(seeds)])
    return y - (effect - effect.mean())[seed], seeds - 1
