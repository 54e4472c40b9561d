"""Tuners that stop runs early, on real training: Optuna's Hyperband, and one epoch of every rate before the best three.

Rates are rounded to quarter octaves, so that trials are shared between methods and seeds; what is paid is counted as if
each run had stopped where the method stopped it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from benchmarks.replay import Trainer

from lrscope.study.plan import DEFAULT_SCHEDULE
from lrscope.study.trial import Trial

LOW, HIGH = 1e-6, 10.0
TRIALS = 20  # of Hyperband
GRID = 12  # rates of the race, of which KEPT run on after an epoch
KEPT = 3
Race = tuple[float | None, float]  # the rate chosen, and the full-run equivalents


def _full(trainer: Trainer, size: int, rate: float, seed: int, stop_at: int | None = None) -> Trial:
    steps = trainer.bench.task.total_steps(size, trainer.bench.train_examples)
    rate = 2.0 ** (round(4 * math.log2(rate)) / 4)
    return Trial(
        batch_size=size, peak_lr=rate, schedule=DEFAULT_SCHEDULE, seed=seed, total_steps=steps,
        stop_at=steps if stop_at is None else min(stop_at, steps),
    )  # fmt: skip


def hyperband(trainer: Trainer, size: int, metric: str, seed: int) -> Race:
    """Optuna's TPE sampler with its HyperbandPruner, told the loss at every evaluation of a run."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed), pruner=optuna.pruners.HyperbandPruner(max_resource=8)
    )
    paid, best = 0.0, (math.inf, None)
    for _ in range(TRIALS):
        asked = study.ask()
        trial = _full(trainer, size, asked.suggest_float("lr", LOW, HIGH, log=True), seed)
        result = trainer.train([trial])[trial]
        spent, final = result.examples / size, result.final_loss(metric)
        for number, (step, loss) in enumerate(zip(result.eval_step[:-1], result.eval_loss[:-1], strict=True), 1):
            asked.report(float(loss) if math.isfinite(loss) else 1e9, number)
            if asked.should_prune():
                spent, final = float(step), None
                break
        paid += spent / trial.total_steps
        if final is None:
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
            continue
        study.tell(asked, min(final, 1e9))
        best = min(best, (final, trial.peak_lr), key=lambda pair: pair[0])
    return best[1], paid


def epoch_race(trainer: Trainer, size: int, metric: str, seed: int) -> Race:
    """One epoch at each of twelve rates, the best three run to the end."""
    epoch = max(1, trainer.bench.train_examples // size)
    trials = [_full(trainer, size, float(rate), seed, epoch) for rate in np.geomspace(LOW, HIGH, GRID)]
    first = trainer.train(trials)
    ahead = sorted(first, key=lambda trial: first[trial].final_loss(metric))[:KEPT]
    runs = trainer.train([_full(trainer, size, trial.peak_lr, seed) for trial in ahead])
    paid = sum(result.examples for result in (*first.values(), *runs.values())) / size / trials[0].total_steps
    best = min(runs, key=lambda trial: runs[trial].final_loss(metric))
    return best.peak_lr, paid


RACES: dict[str, Callable[[Trainer, int, str, int], Race]] = {
    "Optuna Hyperband": hyperband,
    "one epoch, top 3": epoch_race,
}
