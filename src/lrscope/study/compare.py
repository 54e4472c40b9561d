"""Schedules side by side on fresh seeds, each at its own best learning rate; and what a warm-up is good for.

The search finds each schedule's optimum with as few runs as it can, some with more, some with fewer; what they are
worth is told by runs on the same seeds, which no choice was made on. Where a schedule is studied with a warm-up and
without, both are also run at rates far above their best, for that is where a warm-up shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from lrscope.study.recommend import FRESH_FROM, FRESH_SEEDS
from lrscope.study.result import Optimum
from lrscope.study.space import Cell, SearchSpace, full_trial
from lrscope.study.trial import Trial

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


def comparison_trials(space: SearchSpace, optima: Sequence[Optimum], chosen: Optimum) -> list[Trial]:
    """All trials of the comparison, at the batch size of the choice; none where it is the only schedule."""
    known = {
        optimum.schedule: optimum.optimal_lr.value
        for optimum in optima
        if optimum.batch_size == chosen.batch_size and optimum.optimal_lr is not None
    }
    if len(known) < 2:
        return []
    seeds = [space.base_seed + FRESH_FROM + number for number in range(FRESH_SEEDS)]
    trials = [
        full_trial(space, Cell(batch_size=chosen.batch_size, schedule=schedule), lr, seed)
        for schedule, lr in known.items()
        for seed in seeds
    ]
    pair = warmup_pair(chosen.schedule, list(known))
    if pair is not None:
        best = max(known[schedule] for schedule in pair)
        trials += [
            full_trial(space, Cell(batch_size=chosen.batch_size, schedule=schedule), best * factor, seeds[0])
            for schedule in pair
            for factor in ABOVE
            if best * factor <= space.lr_high
        ]
    return list(dict.fromkeys(trials))


def warmup_pair(first: str, schedules: Sequence[str]) -> tuple[str, str] | None:
    """A schedule with a warm-up and the same without, both among these; the one that `first` belongs to, if any."""
    pairs = [(one, rest) for one in schedules if (rest := without_warmup(one)) is not None and rest in schedules]
    return next((pair for pair in pairs if first in pair), pairs[0] if pairs else None)
