"""The loss against the learning rate: where its minimum lies, how sure that is, and what to run when it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrscope.estimate import QUANTILES, Estimate
from lrscope.scaling.cliff import Cliff, failed_runs, failure_cost, find_cliff, lowest_failing
from lrscope.scaling.mean_loss import estimate_mean_loss
from lrscope.scaling.posterior import MARGIN_OCTAVES, CurvePosterior, CurvePrior, Floats, sample_posterior
from lrscope.scaling.sweep import Sweep, gather_sweep
from lrscope.scaling.valley import DOUBT, valley_doubt
from lrscope.scaling.verdict import Status, all_diverged, judge_curve, optima

DRAWS = 1000
LEAST_SHARE = 0.005  # of the gain: what two points that happen to lie level may still hide an octave away


@dataclass(frozen=True, kw_only=True, eq=False)
class UCurve:
    """A fitted loss-against-learning-rate curve; calling it gives the fitted loss at a learning rate.

    `optimal_lr` and `expected_loss` (the mean loss of runs at that rate) carry central 80 % intervals; an edge or an
    inconclusive curve keeps its best guess, with an end that the runs leave open as None; all diverged has None.
    `lr`, `loss`, `runs` are the means of the finite runs by rate; `diverged_lr` the rates at which every run diverged.
    `failed_lr` is the lowest rate above the best at which most runs failed: diverged, or lost much of their progress.
    `next_lrs` are the rates that would settle what is open. `noise` is the deviation of one run's loss.
    """

    status: Status
    optimal_lr: Estimate | None
    edge: Literal["low", "high"] | None
    advice: str
    lr: Floats
    loss: Floats
    runs: Floats
    diverged_lr: Floats
    next_lrs: tuple[float, ...]
    noise: float | None
    initial_loss: float | None
    posterior: CurvePosterior | None = field(repr=False)
    cliff: Cliff | None = field(default=None, repr=False)
    failed_lr: float | None = None

    def __call__(self, lr: ArrayLike) -> Floats:
        """The fitted loss at `lr` (any shape): the median over equally likely curves; NaN where nothing was fitted."""
        rates = np.asarray(lr, dtype=np.float64)
        if self.posterior is None:
            return np.full(rates.shape, np.nan)
        fitted: Floats = np.median(self.posterior.losses(np.log2(rates.ravel())), axis=0).reshape(rates.shape)
        return fitted

    def interval(self, lr: ArrayLike) -> tuple[Floats, Floats]:
        """The 10 % and 90 % quantiles of the fitted loss at each `lr` (1-d); NaN where nothing was fitted."""
        rates = np.atleast_1d(np.asarray(lr, dtype=np.float64))
        if self.posterior is None:
            return np.full(rates.shape, np.nan), np.full(rates.shape, np.nan)
        low, high = np.quantile(self.posterior.losses(np.log2(rates)), [QUANTILES[0], QUANTILES[2]], axis=0)
        return low, high

    @property
    def best_lr(self) -> float:
        """The rate of the lowest mean loss that was measured."""
        return float(self.lr[np.argmin(self.loss)])

    @property
    def optimal_lr_samples(self) -> Floats:
        """Equally likely values of the optimal learning rate, (1000,); empty where nothing was fitted."""
        return np.empty(0) if self.posterior is None else np.exp2(optima(self.posterior, self.cliff))

    @property
    def expected_loss(self) -> Estimate | None:
        """The mean loss of runs at the optimum; None where every run diverged."""
        return None if self.optimal_lr is None else self.expected_loss_at(self.optimal_lr.value)

    def expected_loss_at(self, lr: float) -> Estimate:
        """The mean loss of runs at `lr`, of any seed; where nothing was fitted, the lowest loss with open ends."""
        least = float(self.loss.min()) if self.loss.size else math.inf
        if self.posterior is None:
            return Estimate(least, None, None)
        start = float(self.loss.max()) if self.initial_loss is None else self.initial_loss
        runs = float(self.runs[np.argmin(np.abs(np.log(self.lr / lr)))])
        return estimate_mean_loss(self.posterior, math.log2(lr), runs=runs, gain=start - least, least=least)

    def expected_regret(self, lr: ArrayLike) -> Floats:
        """The expected regret of choosing `lr`: the mean over equally likely curves of
        (L(lr) − L(η*)) / (L_init − L(η*)), in the shape of `lr`; NaN where nothing was fitted. A run that fails, beyond
        the cliff, loses what failures cost; what no rate escapes is no regret.

        Without an initial loss the largest finite loss stands for it.
        """
        rates = np.asarray(lr, dtype=np.float64)
        if self.posterior is None:
            return np.full(rates.shape, np.nan)
        lost = np.maximum(self._lost_shares(np.log2(rates.ravel())) - self._least_lost[:, None], 0.0)
        regret: Floats = lost.mean(axis=0).reshape(rates.shape)
        return regret

    @cached_property
    def _least_lost(self) -> Floats:
        """What each curve loses at its best rate, (draws,): failures, where the cliff reaches that far."""
        assert self.posterior is not None  # who asks has looked
        if self.cliff is None:
            return np.zeros(self.posterior.minimum.size)
        low, high = np.log2(self.lr[0]) - MARGIN_OCTAVES, np.log2(self.lr[-1]) + MARGIN_OCTAVES
        least: Floats = self._lost_shares(np.arange(low, high, 0.125)).min(axis=1)
        return least

    def _lost_shares(self, x: Floats) -> Floats:
        """The share of the gain that a run at each x = log₂ η is expected to lose under each curve: (draws, len(x))."""
        assert self.posterior is not None  # who asks has looked
        start = float(self.loss.max()) if self.initial_loss is None else self.initial_loss
        gain = np.maximum(start - self.posterior.bottom, 1e-12 * max(1.0, abs(start)))
        shares = np.minimum(self.posterior.excess(x) / gain[:, None], 1.0)
        if self.cliff is None:
            return shares
        failing = self.cliff.chances(x)
        lost: Floats = (1.0 - failing) * shares + failing * np.maximum(shares, self.cliff.cost)
        return lost


def fit_u_curve(
    lr: ArrayLike,
    loss: ArrayLike,
    *,
    initial_loss: float | None = None,
    seed: ArrayLike | None = None,
    random_seed: int = 0,
    prior: CurvePrior | None = None,
) -> UCurve:
    """Find the learning rate of least loss, with 80 % intervals, from finished runs.

    Around its minimum L(log₂ η) is a parabola with a skew (`posterior.linex`); points count by how near the bottom they
    lie, so that neither a cliff nor the far left bends it. What is not known (skew, noise) is averaged over, with
    priors that hold on real sweeps; a run that diverged bounds the optimum from above.

    Arguments:
        lr: learning rates of the runs, (N,), positive, in any order; several runs per rate are ordinary.
        loss: their final losses, (N,), lower is better; NaN or infinite = diverged.
        initial_loss: the loss before training; finite losses far above it count as diverged, and regrets refer to it.
        seed: seeds of the runs, (N,); where a seed ran at several rates, what it adds to the loss at all is taken out.
        random_seed: for the draws from the posterior.
        prior: what other curves say of this one's minimum and curvature.

    Returns:
        A `UCurve`: found; edge (the best run is the first or last, so the optimum may lie beyond); inconclusive; or
        all_diverged; the last three with advice and the rates to run next.

    Raises:
        InvalidInput: lengths differ, there is no run, or a rate is not positive and finite.

    >>> curve = fit_u_curve([0.01, 0.02, 0.04, 0.08, 0.16], [0.9, 0.5, 0.4, 0.52, float("nan")])
    >>> curve.status, round(curve.optimal_lr.value, 2)
    ('found', 0.04)
    """
    sweep = gather_sweep(lr, loss, initial_loss=initial_loss, seed=seed)
    if sweep.lr.size:
        octave, losses = np.log2(np.asarray(lr, dtype=np.float64).ravel()), np.asarray(loss, dtype=np.float64).ravel()
        rng = np.random.default_rng(random_seed)
        cliff, upper = _cliff(octave, losses, float(np.log2(sweep.lr[np.argmin(sweep.loss)])), initial_loss, rng)
        below = np.log2(sweep.lr) < max(upper - 1e-6, math.log2(sweep.lr[0]) + 1e-6)
        posterior = _posterior(sweep, below, upper, initial_loss, prior, rng)
        valley = posterior is None or _shows_valley(octave, losses, seed, initial_loss)
        failed_lr = 2.0**upper if math.isfinite(upper) else None
        verdict = judge_curve(np.log2(sweep.lr[below]), sweep.loss[below], failed_lr, posterior, cliff, valley)
    else:
        posterior, cliff, failed_lr, verdict = None, None, None, all_diverged(float(sweep.diverged_lr[0]))
    return UCurve(
        status=verdict.status,
        optimal_lr=verdict.optimal_lr,
        edge=verdict.edge,
        advice=verdict.advice,
        lr=sweep.lr,
        loss=sweep.loss,
        runs=sweep.runs,
        diverged_lr=sweep.diverged_lr,
        next_lrs=verdict.next_lrs,
        noise=None if posterior is None else float(np.median(posterior.noise)),
        initial_loss=initial_loss,
        posterior=posterior,
        cliff=cliff,
        failed_lr=failed_lr,
    )


def _cliff(
    octave: Floats, loss: Floats, best: float, initial_loss: float | None, rng: np.random.Generator
) -> tuple[Cliff | None, float]:
    """The cliff, if the runs can tell of one, and log₂ of the lowest rate above the best where most failed, or inf."""
    failed = failed_runs(octave, loss, initial_loss)
    upper = lowest_failing(octave, failed, best)
    if initial_loss is None and not failed.any():
        return None, upper
    return find_cliff(octave, failed, failure_cost(failed, loss, initial_loss), DRAWS, rng), upper


def _posterior(
    sweep: Sweep,
    below: NDArray[np.bool_],
    upper: float,
    initial_loss: float | None,
    prior: CurvePrior | None,
    rng: np.random.Generator,
) -> CurvePosterior | None:
    """Curves through the rates below `upper`: what lies beyond where runs fail says nothing about the minimum."""
    x, y = np.log2(sweep.lr[below]), sweep.loss[below]
    if x.size < 2 or float(np.ptp(y)) <= 1e-9 * max(1.0, float(np.abs(y).max())):
        return None
    return sample_posterior(
        x,
        y,
        sweep.runs[below],
        upper=upper if math.isfinite(upper) else None,
        replicate_ss=sweep.replicate_ss,
        replicate_dof=sweep.replicate_dof,
        draws=DRAWS,
        rng=rng,
        prior=prior,
        least_scale=LEAST_SHARE * (initial_loss - float(y.min())) if initial_loss and x.size == 2 else 0.0,
    )


def _shows_valley(octave: Floats, loss: Floats, seed: ArrayLike | None, initial_loss: float | None) -> bool:
    ended = np.isfinite(loss)
    kept = np.minimum(loss[ended], math.inf if initial_loss is None else initial_loss)
    seeds = None if seed is None else np.asarray(seed).ravel()[ended]
    return valley_doubt(octave[ended], kept, seeds) <= DOUBT
