"""The recommendation, and the trials that verify it: fresh seeds, against the better of the optimizer's defaults."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats

from lrscope.estimate import COVERAGE, Estimate
from lrscope.study.result import Contest, Optimum, Recommendation
from lrscope.study.space import Cell, SearchSpace, full_trial
from lrscope.study.trial import Trial, TrialResult

FRESH_SEEDS = 3
FRESH_FROM = 1000
"""Verification seeds start this far above the search's base seed, so that no choice was made on them."""

SGD_DEFAULTS = (0.001, 0.01)


def default_lrs(optimizer: torch.optim.Optimizer) -> tuple[float, ...]:
    """The learning rates that people leave an optimizer at: PyTorch's default; for SGD both 0.001 and 0.01."""
    if isinstance(optimizer, torch.optim.SGD):
        return SGD_DEFAULTS
    parameter = inspect.signature(type(optimizer).__init__).parameters.get("lr")
    default = None if parameter is None else parameter.default
    return (float(default),) if isinstance(default, (int, float)) and default > 0 else (1e-3,)


def choose_optimum(optima: Sequence[Optimum], tolerance: float) -> Optimum | None:
    """The optimum to recommend: of those whose expected loss is as good as that of any other, the largest batch.

    As good is within the tolerance, a share of the drop from the initial loss as regret is. That the intervals of two
    losses overlap is not enough: a choice between them would give away half of what they may differ by. Fewer, larger
    updates win a tie because they take fewer seconds wherever there is hardware to fill.
    """
    losses = _expected_losses(optima)
    if not losses:
        return None
    best = min(losses.values())
    near = [key for key, loss in losses.items() if loss - best <= tolerance * max(0.0, optima[key].initial_loss - best)]
    return optima[max(near, key=lambda key: (optima[key].batch_size, -losses[key]))]


def reason(optima: Sequence[Optimum], chosen: Optimum) -> str:
    """Why `choose_optimum` chose so, in a sentence."""
    losses = _expected_losses(optima)
    if len(losses) < 2:
        return "It is the only choice with an optimum."
    best = optima[min(losses, key=lambda key: losses[key])]
    if best is chosen or best.expected_loss is None:
        return "It has the lowest expected loss of all."
    least, words = best.expected_loss.value, "batch size" if best.batch_size != chosen.batch_size else "schedule"
    where = best.batch_size if words == "batch size" else best.schedule
    return (
        f"The lowest expected loss, {least:.3g}, is that of {words} {where}; of what lies as near to it as makes no "
        "difference, this has the largest batch size."
    )


def _expected_losses(optima: Sequence[Optimum]) -> dict[int, float]:
    """Index -> expected loss, of the optima that have one."""
    return {
        index: optimum.expected_loss.value
        for index, optimum in enumerate(optima)
        if optimum.expected_loss is not None and optimum.optimal_lr is not None
    }


def fresh_seeds(space: SearchSpace) -> list[int]:
    """The seeds of the verification."""
    return [space.base_seed + FRESH_FROM + number for number in range(FRESH_SEEDS)]


def verification_trials(
    space: SearchSpace, contest: Contest, defaults: Sequence[float], metric: str, finished: Sequence[TrialResult]
) -> list[Trial]:
    """The next round of verification: the choice on every fresh seed, each default on one; then the better default."""
    cell = Cell(batch_size=contest.batch_size, schedule=contest.schedule)
    seeds = fresh_seeds(space)
    first = [full_trial(space, cell, contest.peak_lr, seed) for seed in seeds]
    first += [full_trial(space, cell, lr, seeds[0]) for lr in defaults]
    if not finished:
        return list(dict.fromkeys(first))
    losses = {result.trial: result.final_loss(metric) for result in finished}
    better = _better_default(space, cell, defaults, seeds[0], losses)
    second = [full_trial(space, cell, better, seed) for seed in seeds[1:]]
    return [trial for trial in second if trial not in losses]


def recommend(
    space: SearchSpace, contest: Contest, defaults: Sequence[float], metric: str, finished: Sequence[TrialResult]
) -> Recommendation | None:
    """What the verification shows; None while any of its trials is missing.

    Where the default did better in the mean, the default is recommended, also where the noise leaves it open.
    """
    cell = Cell(batch_size=contest.batch_size, schedule=contest.schedule)
    seeds = fresh_seeds(space)
    results = {result.trial: result for result in finished}
    losses = {trial: result.final_loss(metric) for trial, result in results.items()}
    if any(full_trial(space, cell, lr, seeds[0]) not in losses for lr in defaults):
        return None
    default = _better_default(space, cell, defaults, seeds[0], losses)
    ours = [results.get(full_trial(space, cell, contest.peak_lr, seed)) for seed in seeds]
    theirs = [results.get(full_trial(space, cell, default, seed)) for seed in seeds]
    if any(result is None for result in (*ours, *theirs)):
        return None
    mine, usual = [r for r in ours if r is not None], [r for r in theirs if r is not None]
    gain = _paired_gain(mine, usual, metric)
    default_wins = gain.value < 0
    best = usual if default_wins else mine
    found = f"{contest.peak_lr:.3g}"
    return Recommendation(
        batch_size=cell.batch_size,
        peak_lr=default if default_wins else contest.peak_lr,
        schedule=cell.schedule,
        loss=mean_estimate([result.final_loss(metric) for result in best]),
        default_loss=mean_estimate([result.final_loss(metric) for result in usual]),
        gain=_paired_gain(best, usual, metric),
        default_lr=default,
        train_loss=mean_estimate([result.train_loss for result in best]),
        default_train_loss=mean_estimate([result.train_loss for result in usual]),
        metrics=_metric_estimates(best),
        default_metrics=_metric_estimates(usual),
        seeds=tuple(seeds),
        reason=f"On fresh seeds this default did better than the rate that was found, {found}."
        if default_wins
        else contest.reason,
        verdict=f"{f'At {found}: ' if default_wins else ''}{_verdict(mine, usual, default)}",
    )


def _paired_gain(ours: Sequence[TrialResult], theirs: Sequence[TrialResult], metric: str) -> Estimate:
    """By how much the loss of `theirs` is above that of `ours`, seed by seed."""
    pairs = [(one.final_loss(metric), other.final_loss(metric)) for one, other in zip(ours, theirs, strict=True)]
    return mean_estimate([their - our if math.isfinite(our) else -math.inf for our, their in pairs])


def mean_estimate(values: Sequence[float]) -> Estimate:
    """The mean with its central 80 % interval by Student's t; open ends for one value, infinite where any is."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    if not math.isfinite(mean) or len(array) < 2:
        return Estimate(mean, None, None)
    half = float(stats.t.ppf(0.5 + COVERAGE / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return Estimate(mean, mean - half, mean + half)


def _better_default(
    space: SearchSpace, cell: Cell, defaults: Sequence[float], seed: int, losses: dict[Trial, float]
) -> float:
    return min(defaults, key=lambda lr: losses[full_trial(space, cell, lr, seed)])


def _metric_estimates(results: Sequence[TrialResult]) -> dict[str, Estimate]:
    names = results[0].metrics
    return {name: mean_estimate([result.metrics.get(name, math.nan) for result in results]) for name in names}


def _verdict(ours: Sequence[TrialResult], theirs: Sequence[TrialResult], default: float) -> str:
    """A sentence for each loss: by what share the choice is below the default, or that nothing was gained."""
    sentences = [_gain("training loss", [r.train_loss for r in ours], [r.train_loss for r in theirs], default)]
    if ours[0].initial_val_loss is not None:
        pairs = [r.final_loss("val_loss") for r in ours], [r.final_loss("val_loss") for r in theirs]
        sentences.append(_gain("validation loss", *pairs, default))
    return " ".join(sentences)


def _gain(what: str, ours: Sequence[float], theirs: Sequence[float], default: float) -> str:
    if not np.all(np.isfinite(ours)):
        return f"A run of the recommendation diverged, so its {what} is not below that of the default {default:g}."
    if not np.all(np.isfinite(theirs)):
        return f"The default {default:g} diverged; the recommendation's {what} is {np.mean(ours):.3g}."
    gain = mean_estimate([their - our for our, their in zip(ours, theirs, strict=True)])
    numbers = f"{np.mean(ours):.3g} against {np.mean(theirs):.3g} at the default {default:g}"
    if gain.low is not None and gain.low > 0:
        positive = min(*ours, *theirs) > 0
        by = _percent(gain.value / float(np.mean(theirs))) if positive else f"{gain.value:.3g}"
        return f"The {what} is {by} lower: {numbers}."
    if gain.high is not None and gain.high < 0:
        return f"The {what} is not lower but higher: {numbers}."
    return f"Nothing was gained in {what} beyond the noise: {numbers}."


def _percent(share: float) -> str:
    """A share as percent, with as many digits as tell it from 0 and from 100.

    >>> _percent(0.53), _percent(0.0004), _percent(0.9934)
    ('53 %', '0.04 %', '99.3 %')
    """
    percent = 100 * share
    digits = 0 if 1 <= percent < 99 else 1
    return f"{percent:.1g} %" if percent < 1 else f"{min(percent, 99.9):.{digits}f} %"
