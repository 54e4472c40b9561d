"""Schedules are compared on the same fresh seeds, each at its own best rate; a warm-up also far above it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from lrscope.estimate import Estimate
from lrscope.study.compare import (
    ABOVE,
    comparison_trials,
    contest_from_fact,
    contest_to_fact,
    difference,
    open_contest,
    settle_contest,
    warmup_pair,
    without_warmup,
)
from lrscope.study.recommend import FRESH_FROM, FRESH_SEEDS
from lrscope.study.result import Contest, Optimum
from lrscope.study.space import Cell, SearchSpace
from lrscope.study.trial import Trial, TrialResult

WARM, COLD, OTHER = "warmup(5%) -> cosine", "cosine", "warmup(5%) -> linear"


def optimum(schedule: str, lr: float | None, batch_size: int = 64, loss: float = 0.5) -> Optimum:
    return Optimum(
        batch_size=batch_size, schedule=schedule, status="found", initial_loss=2.0, expected_regret=0.001, runs=3,
        optimal_lr=None if lr is None else Estimate(lr, None, None), full_run_equivalents=3.0, curve=(),
        expected_loss=None if lr is None else Estimate(loss, loss - 0.01, loss + 0.01),
    )  # fmt: skip


def space(*schedules: str) -> SearchSpace:
    cells = tuple(Cell(batch_size=size, schedule=schedule) for size in (16, 64) for schedule in schedules)
    return SearchSpace(cells=cells, total_steps={16: 1600, 64: 400})


def contest(**peak_lrs: float) -> Contest:
    rates = {{"warm": WARM, "cold": COLD, "other": OTHER}[name]: lr for name, lr in peak_lrs.items()}
    return Contest(batch_size=64, schedule=next(iter(rates)), peak_lrs=rates, reason="It is expected to.")


def ended(trial: Trial, loss: float) -> TrialResult:
    none = np.empty(0)
    return TrialResult(
        trial=trial, status="finished", diverged_at=None, initial_train_loss=2.0, initial_val_loss=None,
        train_loss=loss, val_loss=None, metrics={}, loss=none, lr=none, probe_step=none.astype(int), grad_norm=none,
        update_ratio=none, eval_step=none.astype(int), eval_loss=none, seconds=1.0, eval_seconds=0.0, examples=640,
    )  # fmt: skip


def run(one: Contest, losses: dict[str, list[float]]) -> dict[Trial, TrialResult]:
    """Runs of every schedule at its best rate, with these losses seed by seed."""
    left = {schedule: list(values) for schedule, values in losses.items()}
    trials = [
        trial
        for trial in comparison_trials(space(*losses), one)
        if trial.peak_lr == one.peak_lrs[trial.schedule]
    ]  # fmt: skip
    return {trial: ended(trial, left[trial.schedule].pop(0)) for trial in trials}


def test_a_contest_is_of_all_schedules_at_the_batch_size_of_the_best_optimum() -> None:
    optima = [optimum(WARM, 0.1, loss=0.1), optimum(COLD, 0.03), optimum(OTHER, None), optimum(COLD, 0.2, 16)]
    opened = open_contest(optima, 0.01)
    assert opened == Contest(
        batch_size=64,
        schedule=WARM,
        peak_lrs={WARM: 0.1, COLD: 0.03},
        reason="It has the lowest expected loss of all.",
    )
    assert contest_from_fact(json.loads(json.dumps(contest_to_fact(opened)))) == opened
    assert open_contest([optimum(WARM, None)], 0.01) is None


def test_one_schedule_is_compared_with_nothing() -> None:
    assert comparison_trials(space(WARM), contest(warm=0.1)) == []


def test_each_schedule_runs_at_its_own_best_rate_on_the_seeds_of_the_verification() -> None:
    one = contest(other=0.1, cold=0.03)
    trials = comparison_trials(space(OTHER, COLD), one)
    seeds = {FRESH_FROM + number for number in range(FRESH_SEEDS)}
    for schedule, lr in one.peak_lrs.items():
        mine = [trial for trial in trials if trial.schedule == schedule]
        assert {trial.peak_lr for trial in mine} == {lr}
        assert {trial.seed for trial in mine} == seeds
    assert {(trial.batch_size, trial.total_steps, trial.stop_at) for trial in trials} == {(64, 400, 400)}


def test_a_warm_up_is_also_looked_at_far_above_the_best_rates_with_it_and_without() -> None:
    trials = comparison_trials(space(WARM, COLD, OTHER), contest(other=0.05, warm=0.1, cold=0.03))
    for schedule in (WARM, COLD):
        high = [trial.peak_lr for trial in trials if trial.schedule == schedule and trial.peak_lr > 0.1]
        assert high == [pytest.approx(0.1 * factor) for factor in ABOVE]
    assert len(trials) == 3 * FRESH_SEEDS + 2 * len(ABOVE)


@pytest.mark.parametrize(
    ("expected", "rival", "settled"),
    [
        ([0.50, 0.60, 0.40], [0.45, 0.55, 0.35], COLD),  # better on every seed, though the seeds differ by more
        ([0.50, 0.60, 0.40], [0.40, 0.62, 0.45], OTHER),  # better in the mean, but not to be told apart
        ([0.50, 0.60, 0.40], [0.55, 0.65, 0.45], OTHER),
        ([0.50, math.inf, 0.40], [0.55, 0.65, 0.45], COLD),
        ([0.50, 0.60, 0.40], [0.10, math.inf, 0.10], OTHER),
        ([math.inf] * 3, [math.inf] * 3, OTHER),
    ],
)
def test_the_schedule_that_the_same_seeds_show_to_be_better_wins(
    expected: list[float], rival: list[float], settled: str
) -> None:
    one = contest(other=0.1, cold=0.03)
    ended = settle_contest(space(OTHER, COLD), one, "train_loss", run(one, {OTHER: expected, COLD: rival}))
    assert ended.schedule == settled
    assert ended.peak_lr == one.peak_lrs[settled]
    assert ("On the same fresh seeds" in ended.reason) == (settled == COLD)
    assert settle_contest(space(OTHER, COLD), one, "train_loss", {}) == one


def test_losses_are_compared_seed_by_seed() -> None:
    apart = difference([0.51, 0.61, 0.40], [0.50, 0.60, 0.39])
    assert apart.value == pytest.approx(0.01)
    assert apart.low == pytest.approx(0.01)
    assert difference([0.5, math.inf], [0.5, 0.6]).value == math.inf
    assert difference([0.5, 0.5], [0.5, math.inf]).value == -math.inf


def test_pairs_of_schedules_with_a_warm_up_and_without() -> None:
    assert without_warmup(WARM) == "cosine"
    assert without_warmup("warmup_cosine(5%) -> constant -> linear(20%)") == "constant -> linear(20%)"
    assert without_warmup(COLD) is None
    assert warmup_pair(COLD, [COLD, OTHER, WARM]) == (WARM, COLD)
    assert warmup_pair(OTHER, [COLD, OTHER, WARM]) == (WARM, COLD)
    assert warmup_pair(WARM, [WARM, OTHER]) is None
