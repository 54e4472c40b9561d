"""Searches replayed on real training: every trial is trained once, kept, and compared with the dense grid.

Trials are kept in `.cache/replay/<task>` (or under the folder that LRSCOPE_REPLAY_CACHE names).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from benchmarks.tasks import TASKS
from benchmarks.truth import FOLDER, read_truth

from lrscope.scaling.u_curve import UCurve, fit_u_curve
from lrscope.study.bench import Bench
from lrscope.study.engines.loop import LoopEngine
from lrscope.study.load import TaskSource
from lrscope.study.plan import DEFAULT_SCHEDULE, StudyPlan, make_plan
from lrscope.study.space import full_trial
from lrscope.study.store import Store, open_store
from lrscope.study.trial import Trial, TrialResult

CACHE = Path(os.environ.get("LRSCOPE_REPLAY_CACHE", Path(__file__).parents[1] / ".cache" / "replay"))


class Trainer:
    """A task whose trials are trained at most once, in this process, on one thread."""

    def __init__(self, name: str, store: Store) -> None:
        self.name = name
        self.source = TaskSource.of(TASKS[name].reference)
        self._store = store
        self._known = store.trials()

    @cached_property
    def bench(self) -> Bench:
        """The task set up on its device."""
        return Bench(self.source.load())

    def plan(self, **options: object) -> StudyPlan:
        """The plan that `lrscope study` would make of these options."""
        given = {"batch_sizes": None, "schedules": (DEFAULT_SCHEDULE,), "lr": None, "metric": None, "seeds": 3}
        given |= {"seed": 0, "search": "adaptive", "tolerance": 0.01}
        return make_plan(self.bench, self.source, (), **(given | options))

    def train(self, trials: Sequence[Trial]) -> dict[Trial, TrialResult]:
        """The results of the trials, trained or remembered."""
        for trial in trials:
            if trial not in self._known:
                (self._known[trial],) = LoopEngine().train(self.bench, [trial])
                self._store.add(self._known[trial])
        return {trial: self._known[trial] for trial in trials}


@contextmanager
def open_trainer(name: str) -> Iterator[Trainer]:
    """A task's trainer; one process at a time."""
    with open_store(CACHE / name) as store:
        yield Trainer(name, store)


def drive(trainer: Trainer, ask: Callable[[dict[Trial, TrialResult]], list[Trial]]) -> dict[Trial, TrialResult]:
    """Ask and train by rounds until nothing is asked for."""
    seen: dict[Trial, TrialResult] = {}
    while asked := ask(seen):
        seen |= trainer.train(sorted(asked))
    return seen


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """One batch size's dense grid under one metric: rates ascending, (rates, seeds) losses.

    inf = diverged, NaN = a seed that only the rates near the best one have.
    """

    lr: np.ndarray
    losses: np.ndarray
    initial: float

    @property
    def mean(self) -> np.ndarray:
        """(rates,) the mean loss over the seeds; a diverged run counts as one that learned nothing."""
        return np.nanmean(np.minimum(self.losses, self.initial), axis=1)

    @cached_property
    def fit(self) -> UCurve:
        """The curve fitted to the whole grid."""
        rates, seeds = np.nonzero(~np.isnan(self.losses))
        return fit_u_curve(self.lr[rates], self.losses[rates, seeds], initial_loss=self.initial, seed=seeds)

    def regret(self, lr: float, losses: Sequence[float] | None = None) -> float:
        """(L(lr) − L(best)) / (L_init − L(best)), the best being the grid's; L(lr) read between its rates along log η,
        or the mean of `losses` where the rate was trained on the grid's seeds."""
        mean = self.mean
        best = float(mean.min())
        if losses is None:
            at = float(np.interp(math.log2(lr), np.log2(self.lr), mean, left=self.initial, right=self.initial))
        else:
            at = float(np.mean([loss if math.isfinite(loss) else self.initial for loss in losses]))
        return (min(at, self.initial) - best) / (self.initial - best)

    def loss_of(self, regret: float) -> float:
        """The mean loss of a choice of such a regret."""
        best = float(self.mean.min())
        return best + regret * (self.initial - best)


def read_truths(name: str, metric: str) -> dict[int, Truth]:
    """Batch size -> its dense grid."""
    table = read_truth(FOLDER / f"{name}.csv")
    truths = {}
    for size in np.unique(table["batch_size"]).astype(int):
        rows = table["batch_size"] == size
        lr, seeds = np.unique(table["lr"][rows]), np.unique(table["seed"][rows])
        losses = np.full((len(lr), len(seeds)), math.nan)
        at = np.searchsorted(lr, table["lr"][rows]), np.searchsorted(seeds, table["seed"][rows])
        losses[at] = table[metric][rows]
        truths[int(size)] = Truth(lr=lr, losses=losses, initial=float(table[f"initial_{metric}"][rows].mean()))
    return truths


def metrics_of(name: str) -> tuple[str, ...]:
    """The metrics that a task's table has."""
    table = read_truth(FOLDER / f"{name}.csv")
    return ("train_loss",) if np.isnan(table["val_loss"]).all() else ("val_loss", "train_loss")


def train_choice(trainer: Trainer, plan: StudyPlan, batch_size: int, lr: float) -> list[float]:
    """The losses of a chosen rate on the grid's three seeds, by real training."""
    cell = next(cell for cell in plan.space.cells if cell.batch_size == batch_size)
    trials = [full_trial(plan.space, cell, lr, seed) for seed in range(3)]
    return [result.final_loss(plan.metric) for result in trainer.train(trials).values()]
