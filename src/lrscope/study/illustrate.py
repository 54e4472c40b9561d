"""Short runs that show the lecture's four curves, very high, high, good and low, where the study has not met them.

A study that saves its runs seldom trains at a rate that is far too high or far too low. The whole schedule compressed
into an eighth of the run shows what such a rate does at an eighth of the cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from lrscope.diagnosis.regime import REGIMES
from lrscope.study.recommend import FRESH_FROM, FRESH_SEEDS
from lrscope.study.regimes import regimes_of
from lrscope.study.result import Optimum
from lrscope.study.space import SearchSpace
from lrscope.study.trial import Trial, TrialResult

SHARE = 1 / 8  # of a full run's updates
SHORTEST = 32  # updates that make a curve worth looking at
FIRST = (1 / 6, 1.0, 8.0)  # times the best rate
FURTHER = 8.0
MOST_TRIALS = 8  # and never more than one full run in all


def illustration_trials(
    space: SearchSpace, optima: Sequence[Optimum], schedule: str, others: Sequence[TrialResult]
) -> list[Trial]:
    """The next round: first around the best rate, then wherever a regime is still missing; empty when all are shown.

    Arguments:
        optima: of all cells. schedule: the one to show, at the smallest batch size, which makes the most updates.
        others: every result so far, the illustration's own among them.
    """
    known = [optimum for optimum in optima if optimum.schedule == schedule and optimum.optimal_lr is not None]
    if not known or any(_shows_all(space, optimum, others) for optimum in known):
        return []
    shown = min(known, key=lambda optimum: optimum.batch_size)
    assert shown.optimal_lr is not None  # as all that are known
    full = space.total_steps[shown.batch_size]
    steps = min(full, max(SHORTEST, math.ceil(SHARE * full)))
    seed = space.base_seed + FRESH_FROM + FRESH_SEEDS
    most = min(MOST_TRIALS, full // steps)
    mine = [result for result in others if result.trial.seed == seed and result.trial.total_steps == steps]
    if most <= len(REGIMES) or len(mine) >= most:
        return []
    best = shown.optimal_lr.value
    wanted = _missing(mine) if mine else [best * factor for factor in FIRST]
    tried = {result.trial.peak_lr for result in mine}
    return [
        Trial(
            batch_size=shown.batch_size, peak_lr=lr, schedule=schedule, seed=seed, total_steps=steps, stop_at=steps
        )
        for lr in wanted
        if space.lr_low <= lr <= space.lr_high and lr not in tried
    ][: most - len(mine)]  # fmt: skip


def _shows_all(space: SearchSpace, optimum: Optimum, results: Iterable[TrialResult]) -> bool:
    """Whether the full runs of a cell show every regime already."""
    full = [
        result
        for result in results
        if space.is_full(result.trial)
        and (result.trial.batch_size, result.trial.schedule) == (optimum.batch_size, optimum.schedule)
    ]
    return set(regimes_of(full).values()) == set(REGIMES)


def _missing(finished: Sequence[TrialResult]) -> list[float]:
    """Rates at which the regimes that are missing are to be looked for."""
    regimes = regimes_of(finished)
    rates = list(regimes)
    wanted = []
    if "low" not in regimes.values():
        wanted.append(rates[0] / FURTHER)
    too_high = [lr for lr, regime in regimes.items() if regime == "very_high"]
    if not too_high:
        wanted.append(rates[-1] * FURTHER)
    elif "high" not in regimes.values():
        below = [lr for lr in rates if lr < min(too_high)]
        if below:
            wanted.append(math.sqrt(max(below) * min(too_high)))
    return wanted
