"""Schedules side by side on fresh seeds, each at its own best learning rate; and what a warm-up is good for.

The search finds each schedule's optimum with as few runs as it can, some with more, some with fewer; what they are
worth is told by runs on the same seeds, which no rate was chosen on. The schedule that they show to be the best is
recommended, else the one that the fits expect to be. Where a schedule is studied with a warm-up and without, both are
also run at rates far above their best, for that is where a warm-up shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from lrscope.estimate import Estimate
from lrscope.study.recommend import choose_optimum, fresh_seeds, mean_estimate, reason
from lrscope.study.result import Contest, Optimum
from lrscope.study.space import Cell, SearchSpace, full_trial
from lrscope.study.trial import Trial, TrialResult

ABOVE = (2.0, 4.0, 8.0)
"""The rates at which a warm-up is looked at, times the higher of the two best ones; those that diverge end early."""
WARMUP, THEN = "warmup", " -> "


def without_warmup(schedule: str) -> str | None:
    """The text of a schedule without the warm-up it begins with; None where it begins with none.

    >>> without_warmup("warmup(5%) -> cosine"), without_warmup("cosine")
    ('cosine', None)
    """
    head, _, rest = schedule.partition(THEN)
    return rest if head.startswith(WARMUP) and rest else None


def open_contest(optima: Sequence[Optimum], tolerance: float) -> Contest | None:
    """The contest of the schedules at the batch size of the best optimum; None where there is no optimum."""
    chosen = choose_optimum(optima, tolerance)
    if chosen is None:
        return None
    peak_lrs = {
        optimum.schedule: optimum.optimal_lr.value
        for optimum in optima
        if optimum.batch_size == chosen.batch_size and optimum.optimal_lr is not None
    }
    return Contest(
        batch_size=chosen.batch_size, schedule=chosen.schedule, peak_lrs=peak_lrs, reason=reason(optima, chosen)
    )


def comparison_trials(space: SearchSpace, contest: Contest) -> list[Trial]:
    """All trials of the comparison; none where there is only one schedule."""
    known = contest.peak_lrs
    if len(known) < 2:
        return []
    seeds = fresh_seeds(space)
    trials = [
        full_trial(space, Cell(batch_size=contest.batch_size, schedule=schedule), lr, seed)
        for schedule, lr in known.items()
        for seed in seeds
    ]
    pair = warmup_pair(contest.schedule, list(known))
    if pair is not None:
        best = max(known[schedule] for schedule in pair)
        trials += [
            full_trial(space, Cell(batch_size=contest.batch_size, schedule=schedule), best * factor, seeds[0])
            for schedule in pair
            for factor in ABOVE
            if best * factor <= space.lr_high
        ]
    return list(dict.fromkeys(trials))


def contest_losses(
    space: SearchSpace, contest: Contest, metric: str, results: Mapping[Trial, TrialResult]
) -> dict[str, list[float]]:
    """Schedule -> its losses at its best rate, fresh seed by fresh seed, of the schedules that have run on them all."""
    losses: dict[str, list[float]] = {}
    for schedule, lr in contest.peak_lrs.items():
        cell = Cell(batch_size=contest.batch_size, schedule=schedule)
        trials = [full_trial(space, cell, lr, seed) for seed in fresh_seeds(space)]
        if all(trial in results for trial in trials):
            losses[schedule] = [results[trial].final_loss(metric) for trial in trials]
    return losses


def difference(losses: Sequence[float], others: Sequence[float]) -> Estimate:
    """By how much losses lie above others on the same seeds, with an interval; infinite where one of them does."""
    if not np.all(np.isfinite(losses)) or not np.all(np.isfinite(others)):
        one, other = float(np.mean(losses)), float(np.mean(others))
        return Estimate(0.0 if one == other else one - other, None, None)
    return mean_estimate([loss - other for loss, other in zip(losses, others, strict=True)])


def settle_contest(space: SearchSpace, contest: Contest, metric: str, results: Mapping[Trial, TrialResult]) -> Contest:
    """The contest with the schedule that its runs show to be the best, where they show one to be better than it had."""
    losses = contest_losses(space, contest, metric, results)
    if contest.schedule not in losses:
        return contest
    best = min(losses, key=lambda schedule: (math.fsum(losses[schedule]), schedule != contest.schedule))
    lead = difference(losses[contest.schedule], losses[best])
    if best == contest.schedule or not (lead.value == math.inf or (lead.low is not None and lead.low > 0)):
        return contest
    by = "" if lead.low is None else f"by {lead.value:.2g} (80 %: {lead.low:.2g} to {lead.high:.2g}) "
    return replace(
        contest,
        schedule=best,
        reason=f"On the same fresh seeds, each at its own best rate, its loss is {by}below that of "
        f"{contest.schedule}, which the search led to expect the best.",
    )


def contest_from_fact(fact: Mapping[str, Any]) -> Contest:
    """The contest that a study has kept."""
    return Contest(**fact)


def contest_to_fact(contest: Contest) -> dict[str, Any]:
    """The contest as plain values, to keep."""
    return asdict(contest)


def warmup_pair(first: str, schedules: Sequence[str]) -> tuple[str, str] | None:
    """A schedule with a warm-up and the same without, both among these; the one that `first` belongs to, if any."""
    pairs = [(one, rest) for one in schedules if (rest := without_warmup(one)) is not None and rest in schedules]
    return next((pair for pair in pairs if first in pair), pairs[0] if pairs else None)
