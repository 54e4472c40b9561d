"""Studies that look like real ones, made in milliseconds: losses by formula, with noise, divergence and seeds."""

from __future__ import annotations

import math

import numpy as np

from lrscope.diagnosis.regime import sweep_regimes
from lrscope.estimate import Estimate
from lrscope.scaling.batch_law import fit_batch_law
from lrscope.scaling.u_curve import fit_u_curve
from lrscope.study.result import Contest, Cost, CurvePoint, FittedPoint, Optimum, Recommendation, StudyResult
from lrscope.study.trial import Trial, TrialResult

INITIAL = 2.31
EXAMPLES = 1437
MAIN = "warmup(5%) -> cosine"


def fake_trial(
    batch_size: int, lr: float, seed: int = 0, schedule: str = MAIN, steps: int | None = None
) -> TrialResult:
    """One training run: the loss falls with the sum of the rates, the noise with the batch size."""
    total = steps or max(30, 14_000 // batch_size)
    rng = np.random.default_rng([batch_size, seed, round(lr * 1e9)])
    time = np.arange(total)
    shape = np.minimum(1, (time + 1) / (0.05 * total)) if "warmup" in schedule else np.ones(total)
    if "cosine" in schedule:
        shape = shape * 0.5 * (1 + np.cos(np.pi * time / total))
    rates = lr * shape
    edge = 0.9 * batch_size / (batch_size + 60) * (1.0 if "warmup" in schedule else 0.5)
    progress = np.cumsum(rates) * 1.4
    mean = 0.02 + (INITIAL - 0.02) / (1 + progress) ** 1.1 + 0.3 * (rates / edge) ** 2 + 0.22 * (lr / edge) ** 5
    final = float(mean[-1]) + 0.06 * (lr / edge) ** 2
    loss = mean * np.exp(rng.normal(0, 0.8 / math.sqrt(batch_size), total))
    diverged_at = None
    if lr > 1.3 * edge:
        start = max(4, int(0.03 * total))
        loss[start:] = loss[start] * np.exp(np.minimum(0.35 * np.arange(total - start), 12))
        diverged_at = min(total - 1, start + 25)
        loss, rates = loss[: diverged_at + 1], rates[: diverged_at + 1]
    probes = np.unique(np.linspace(0, len(loss) - 1, 20).astype(int))
    evaluations = np.unique(np.linspace(1, len(loss), 20).astype(int))
    value = math.inf if diverged_at is not None else final * math.exp(rng.normal(0, 0.02))
    return TrialResult(
        trial=Trial(batch_size=batch_size, peak_lr=lr, schedule=schedule, seed=seed, total_steps=total, stop_at=total),
        status="finished" if diverged_at is None else "diverged",
        diverged_at=diverged_at,
        initial_train_loss=INITIAL,
        initial_val_loss=INITIAL + 0.003,
        train_loss=value,
        val_loss=value + 0.02,
        metrics={"accuracy": math.nan if diverged_at is not None else 1 - value / 4},
        loss=loss,
        lr=rates,
        probe_step=probes,
        grad_norm=np.full(len(probes), 1.1),
        update_ratio=0.03 * rates[probes] ** 0.9 + 1e-9,
        eval_step=evaluations,
        eval_loss=mean[evaluations - 1] + 0.02 if diverged_at is None else np.full(len(evaluations), 2.3),
        seconds=len(loss) * (4e-4 + 1.5e-5 * batch_size),
        eval_seconds=0.05,
        examples=len(loss) * batch_size,
    )


def fake_optimum(batch_size: int, schedule: str, trials: list[TrialResult]) -> Optimum:
    """The optimum of one cell, by the real fit."""
    rates = np.array([item.trial.peak_lr for item in trials])
    losses = np.array([item.final_loss("val_loss") for item in trials])
    fitted = fit_u_curve(rates, losses, initial_loss=INITIAL, seed=np.array([item.trial.seed for item in trials]))
    each = sorted(set(rates.tolist()))
    means = [float(np.mean(losses[rates == lr])) for lr in each]
    regimes = sweep_regimes(each, means, INITIAL)
    drawn: tuple[FittedPoint, ...] = ()
    if fitted.optimal_lr is not None:
        grid = np.geomspace(fitted.optimal_lr.value / 3, fitted.optimal_lr.value * 3, 41)
        drawn = tuple(
            FittedPoint(lr=lr, loss=loss, low=low, high=high)
            for lr, loss, low, high in zip(grid.tolist(), fitted(grid), *fitted.interval(grid), strict=True)
        )
    return Optimum(
        batch_size=batch_size,
        schedule=schedule,
        status=fitted.status,
        optimal_lr=fitted.optimal_lr,
        expected_loss=fitted.expected_loss,
        initial_loss=INITIAL,
        expected_regret=0.004,
        runs=len(trials),
        full_run_equivalents=0.4 * len(trials),
        curve=tuple(
            CurvePoint(lr=lr, loss=loss, regime=regime, seeds=2)
            for lr, loss, regime in zip(each, means, regimes, strict=True)
        ),
        fitted=drawn,
        advice=fitted.advice,
    )


def fake_study(
    name: str = "digits",
    batch_sizes: tuple[int, ...] = (16, 64, 256),
    schedules: tuple[str, ...] = (MAIN,),
    seeds: int = 2,
    rates: int = 11,
    steps: int | None = None,
) -> StudyResult:
    """A study of a half-octave grid at each batch size and schedule."""
    trials, optima = [], []
    for batch_size in batch_sizes:
        centre = 0.25 * batch_size / (batch_size + 60)
        grid = [centre * 2 ** (0.7 * k) for k in range(-rates + 5, 5)]
        for schedule in schedules:
            cell = [fake_trial(batch_size, lr, seed, schedule, steps) for lr in grid for seed in range(seeds)]
            trials += cell
            optima.append(fake_optimum(batch_size, schedule, cell))
    known = [item for item in optima if item.schedule == schedules[0] and item.optimal_lr is not None]
    laws = fit_batch_law([item.batch_size for item in known], [item.optimal_lr for item in known]) if known else ()
    return StudyResult(
        task=name,
        metric="val_loss",
        optimizer="sgd",
        train_examples=EXAMPLES,
        optima=tuple(optima),
        laws=laws,
        recommended=fake_recommendation(known[len(known) // 2]) if known else None,
        cost=Cost(
            runs=len(trials), full_run_equivalents=11.1, search=8.1, verification=3.0, examples=116_000, seconds=40.2
        ),
        trials=tuple(trials),
        engine="loop",
        contest=fake_contest(optima, known[len(known) // 2]) if known else None,
        notes=("The last 29 examples of an epoch are dropped at batch size 64.",),
    )


def fake_contest(optima: list[Optimum], chosen: Optimum) -> Contest:
    """The choice, with the best rate of every schedule at its batch size."""
    return Contest(
        batch_size=chosen.batch_size,
        schedule=chosen.schedule,
        peak_lrs={
            one.schedule: one.optimal_lr.value
            for one in optima
            if one.batch_size == chosen.batch_size and one.optimal_lr is not None
        },
        reason="It has the lowest expected loss of all.",
    )


def fake_recommendation(optimum: Optimum) -> Recommendation:
    """The choice of an optimum, and a default that is far worse."""
    assert optimum.optimal_lr is not None
    assert optimum.expected_loss is not None
    return Recommendation(
        batch_size=optimum.batch_size,
        peak_lr=optimum.optimal_lr.value,
        schedule=optimum.schedule,
        loss=optimum.expected_loss,
        default_loss=Estimate(0.412, 0.39, 0.431),
        gain=Estimate(0.31, 0.29, 0.33),
        default_lr=0.01,
        train_loss=Estimate(0.061, 0.055, 0.068),
        default_train_loss=Estimate(0.371, 0.36, 0.39),
        metrics={"accuracy": Estimate(0.971, 0.966, 0.977)},
        default_metrics={"accuracy": Estimate(0.89, 0.88, 0.91)},
        seeds=(1000, 1001, 1002),
        verdict="The validation loss falls from 0.412 to 0.101 and the training loss from 0.371 to 0.061.",
    )
