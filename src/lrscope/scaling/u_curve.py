"""The loss against the learning rate: where its minimum lies, how sure that is, and what to run when it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lrscope.estimate import QUANTILES, Estimate
from lrscope.scaling.cliff import Cliff, failed_runs, find_cliff
from lrscope.scaling.mean_loss import estimate_mean_loss
from lrscope.scaling.posterior import CurvePosterior, CurvePrior, Floats, sample_posterior
from lrscope.scaling.sweep import gather_sweep
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
    `failed_lr` is the lowest rate, at or above the best, at which a run failed: diverged, or lost much of its progress.
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

    def expected_regret(self, lr: ArrayLike, initial_loss: float | None = None) -> Floats:
        """The expected regret of choosing `lr`: the mean over equally likely curves of
        (L(lr) − L(η*)) / (L_init − L(η*)), in the shape of `lr`; NaN where nothing was fitted. A run that fails, beyond
        the cliff, loses all of it.

        Without an initial loss (here or at the fit), the largest finite loss stands for it.
        """
        rates = np.asarray(lr, dtype=np.float64)
        if self.posterior is None:
            return np.full(rates.shape, np.nan)
        known = self.initial_loss if initial_loss is None else initial_loss
        start = float(self.loss.max()) if known is None else known
        gain = np.maximum(start - self.posterior.bottom, 1e-12 * max(1.0, abs(start)))
        shares = np.minimum(self.posterior.excess(np.log2(rates.ravel())) / gain[:, None], 1.0)
        regret: Floats = shares.mean(axis=0)
        if self.cliff is not None:
            failing = self.cliff.failing(np.log2(rates.ravel()))
            regret = (1.0 - failing) * regret + failing
        return regret.reshape(rates.shape)


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
    posterior, cliff, upper = None, None, None
    if sweep.lr.size == 0:
        verdict = all_diverged(float(sweep.diverged_lr[0]))
    else:
        rng = np.random.default_rng(random_seed)
        x, y, runs = np.log2(sweep.lr), sweep.loss, sweep.runs
        each, best = np.log2(np.asarray(lr, dtype=np.float64).ravel()), int(np.argmin(y))
        losses = np.asarray(loss, dtype=np.float64).ravel()
        failed = failed_runs(each, losses, x[best], float(losses[np.isfinite(losses)].min()), initial_loss)
        if failed.any() or initial_loss is not None:
            cliff = find_cliff(each, failed, DRAWS, rng)
        upper = float(np.exp2(each[failed].min())) if failed.any() else None
        if upper is not None:  # what lies beyond a run that failed says nothing about the minimum
            inside = x < max(math.log2(upper) - 1e-6, x[0] + 1e-6)
            x, y, runs = x[inside], y[inside], runs[inside]
        if x.size >= 2 and float(np.ptp(y)) > 1e-9 * max(1.0, float(np.abs(y).max())):
            posterior = sample_posterior(
                x,
                y,
                runs,
                upper=None if upper is None else math.log2(upper),
                replicate_ss=sweep.replicate_ss,
                replicate_dof=sweep.replicate_dof,
                draws=DRAWS,
                rng=rng,
                prior=prior,
                least_scale=LEAST_SHARE * (initial_loss - float(y.min())) if initial_loss and x.size == 2 else 0.0,
            )
        ended = np.isfinite(losses)
        kept = np.minimum(losses[ended], math.inf if initial_loss is None else initial_loss)
        seeds = None if seed is None else np.asarray(seed).ravel()[ended]
        valley = posterior is None or valley_doubt(each[ended], kept, seeds) <= DOUBT
        verdict = judge_curve(x, y, upper, posterior, cliff, valley)
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
        failed_lr=upper,
    )
