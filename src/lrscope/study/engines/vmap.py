"""Several trials of a batch size as one program: what a small model costs to start is paid once for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from lrscope.study.bench import Bench, one_thread
from lrscope.study.engines.base import Engine, NotStackable, Stacking
from lrscope.study.engines.certify import certify
from lrscope.study.engines.loop import train_trial
from lrscope.study.engines.program import How, Programs
from lrscope.study.engines.stack import train_stack
from lrscope.study.trial import Trial, TrialResult


class VmapEngine(Engine):
    """Stacks of trials; a batch size that cannot be stacked is trained by the plain loop.

    Arguments:
        stackings: batch size → how its trials are stacked, None for not at all. Left out, it is found out.
    """

    name = "vmap"

    def __init__(self, stackings: Mapping[int, Stacking | None] | None = None) -> None:
        self._stackings = {} if stackings is None else stackings

    def jobs(self, trials: Sequence[Trial], workers: int) -> list[tuple[Trial, ...]]:
        """Stacks as wide as they may be with every worker busy, of trials that end together; the most work first."""
        by_size: dict[int, list[Trial]] = {}
        for trial in sorted(trials, key=lambda trial: (-trial.stop_at, trial.seed, trial)):
            by_size.setdefault(trial.batch_size, []).append(trial)
        work = sum(trial.examples for trial in trials)
        jobs = []
        for size, group in by_size.items():
            share = workers * sum(trial.examples for trial in group) / work
            stacks = max(min(len(group), math.ceil(share)), math.ceil(len(group) / self._width(size)))
            borders = [len(group) * number // stacks for number in range(stacks + 1)]
            jobs += [tuple(group[start:end]) for start, end in pairwise(borders)]
        return sorted(jobs, key=lambda job: -sum(trial.examples for trial in job))

    def train(self, bench: Bench, trials: Sequence[Trial]) -> list[TrialResult]:
        """Train stack after stack."""
        results: dict[Trial, TrialResult] = {}
        with one_thread():
            for size in dict.fromkeys(trial.batch_size for trial in trials):
                group = [trial for trial in trials if trial.batch_size == size]
                stacking = self._stacking(bench, size)
                if stacking is None:
                    results |= {trial: train_trial(bench, trial) for trial in group}
                    continue
                for stack in _stacks(group, stacking):
                    programs = programs_of(bench, "compiled" if stacking.compiled else "traced")
                    trained = train_stack(programs, stack, stacking)
                    results |= {result.trial: replace(result, engine=self.name) for result in trained}
        return [results[trial] for trial in trials]

    def _width(self, batch_size: int) -> int:
        stacking = self._stackings.get(batch_size, Stacking())
        return 1 if stacking is None else stacking.widths[-1]

    def _stacking(self, bench: Bench, batch_size: int) -> Stacking | None:
        if batch_size in self._stackings:
            return self._stackings[batch_size]
        return _find_out(bench, batch_size)


def programs_of(bench: Bench, how: How = "traced") -> Programs:
    """The programs of a bench, made once a process."""
    return _programs(bench, how)


@lru_cache(maxsize=2)
def _programs(bench: Bench, how: How) -> Programs:
    return Programs(bench, how)


@lru_cache(maxsize=16)
def _find_out(bench: Bench, batch_size: int) -> Stacking | None:
    try:
        return certify(programs_of(bench), batch_size)
    except NotStackable:
        return None


def _stacks(trials: Sequence[Trial], stacking: Stacking) -> list[tuple[Trial, ...]]:
    """The trials of a batch size in stacks, of one seed each where seeds cannot be mixed."""
    widest = stacking.widths[-1]
    groups: dict[int | None, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(None if stacking.mixes_seeds else trial.seed, []).append(trial)
    return [tuple(group[start : start + widest]) for group in groups.values() for start in range(0, len(group), widest)]
