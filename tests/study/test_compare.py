"""Schedules are compared on the same fresh seeds, each at its own best rate; a warm-up also far above it."""

from __future__ import annotations

import pytest

from lrscope.estimate import Estimate
from lrscope.study.compare import ABOVE, comparison_trials, warmup_pair, without_warmup
from lrscope.study.recommend import FRESH_FROM, FRESH_SEEDS
from lrscope.study.result import Optimum
from lrscope.study.space import Cell, SearchSpace

WARM, COLD, OTHER = "warmup(5%) -> cosine", "cosine", "warmup(5%) -> linear"


def optimum(schedule: str, lr: float | None, batch_size: int = 64) -> Optimum:
    return Optimum(
        batch_size=batch_size, schedule=schedule, status="found", initial_loss=2.0, expected_regret=0.001, runs=3,
        optimal_lr=None if lr is None else Estimate(lr, None, None), full_run_equivalents=3.0, curve=(),
        expected_loss=None if lr is None else Estimate(0.1, None, None),
    )  # fmt: skip


def space(*schedules: str) -> SearchSpace:
    cells = tuple(Cell(batch_size=size, schedule=schedule) for size in (16, 64) for schedule in schedules)
    return SearchSpace(cells=cells, total_steps={16: 1600, 64: 400})


def test_one_schedule_is_compared_with_nothing() -> None:
    assert comparison_trials(space(WARM), [optimum(WARM, 0.1)], optimum(WARM, 0.1)) == []
    alone = [optimum(WARM, 0.1), optimum(COLD, None), optimum(COLD, 0.1, batch_size=16)]
    assert comparison_trials(space(WARM, COLD), alone, alone[0]) == []


def test_each_schedule_runs_at_its_own_best_rate_on_the_seeds_of_the_verification() -> None:
    optima = [optimum(OTHER, 0.1), optimum(COLD, 0.03)]
    trials = comparison_trials(space(OTHER, COLD), optima, optima[0])
    seeds = {FRESH_FROM + number for number in range(FRESH_SEEDS)}
    for one in optima:
        mine = [trial for trial in trials if trial.schedule == one.schedule]
        assert one.optimal_lr is not None
        assert {trial.peak_lr for trial in mine} == {one.optimal_lr.value}
        assert {trial.seed for trial in mine} == seeds
    assert {(trial.batch_size, trial.total_steps, trial.stop_at) for trial in trials} == {(64, 400, 400)}


def test_a_warm_up_is_also_looked_at_far_above_the_best_rates_with_it_and_without() -> None:
    optima = [optimum(WARM, 0.1), optimum(COLD, 0.03), optimum(OTHER, 0.05)]
    trials = comparison_trials(space(WARM, COLD, OTHER), optima, optima[2])
    for schedule in (WARM, COLD):
        high = [trial.peak_lr for trial in trials if trial.schedule == schedule and trial.peak_lr > 0.1]
        assert high == [pytest.approx(0.1 * factor) for factor in ABOVE]
    assert len(trials) == 3 * FRESH_SEEDS + 2 * len(ABOVE)


def test_pairs_of_schedules_with_a_warm_up_and_without() -> None:
    assert without_warmup(WARM) == "cosine"
    assert without_warmup("warmup_cosine(5%) -> constant -> linear(20%)") == "constant -> linear(20%)"
    assert without_warmup(COLD) is None
    assert warmup_pair(COLD, [COLD, OTHER, WARM]) == (WARM, COLD)
    assert warmup_pair(OTHER, [COLD, OTHER, WARM]) == (WARM, COLD)
    assert warmup_pair(WARM, [WARM, OTHER]) is None
