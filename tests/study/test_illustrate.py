"""The four curves are shown: by the runs there are, else by few short ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from lrscope.estimate import Estimate
from lrscope.study.illustrate import illustration_trials
from lrscope.study.recommend import FRESH_FROM
from lrscope.study.regimes import by_rate, regimes_of
from lrscope.study.result import Optimum
from lrscope.study.space import Cell, SearchSpace, full_trial
from lrscope.study.trial import Trial, TrialResult

STEPS = {16: 1600, 64: 400}
CELLS = tuple(Cell(batch_size=size, schedule="cosine") for size in STEPS)
SPACE = SearchSpace(cells=CELLS, total_steps=STEPS)
BEST = 0.1


def optimum(batch_size: int, lr: float | None = BEST) -> Optimum:
    return Optimum(
        batch_size=batch_size, schedule="cosine", status="found", initial_loss=2.0, expected_regret=0.001, runs=3,
        optimal_lr=None if lr is None else Estimate(lr, None, None), full_run_equivalents=3.0, curve=(),
        expected_loss=None if lr is None else Estimate(0.1, None, None),
    )  # fmt: skip


def ended(trial: Trial, cliff: float) -> TrialResult:
    """A run whose loss is least at BEST, higher beside it, and not finite beyond the cliff."""
    lost = trial.peak_lr > cliff
    loss = math.nan if lost else min(1.99, 0.1 + 0.3 * abs(math.log2(trial.peak_lr / BEST)))
    series, none = np.full(trial.total_steps, loss), np.empty(0)
    return TrialResult(
        trial=trial, status="diverged" if lost else "finished", diverged_at=5 if lost else None,
        initial_train_loss=2.0, initial_val_loss=None, train_loss=math.inf if lost else loss, val_loss=None, metrics={},
        loss=series, lr=series, probe_step=none.astype(int), grad_norm=none, update_ratio=none,
        eval_step=none.astype(int), eval_loss=none, seconds=1.0, eval_seconds=0.0, examples=1,
    )  # fmt: skip


def shown(cliff: float, space: SearchSpace = SPACE, optima: tuple[Optimum, ...] = (optimum(16), optimum(64))) -> list:
    """All that the illustration runs, round by round."""
    results: list[TrialResult] = []
    while asked := illustration_trials(space, optima, "cosine", results):
        assert len(results) < 20
        results += [ended(trial, cliff) for trial in asked]
    return results


@pytest.mark.parametrize("cliff", [0.13, 0.2, 0.5, 1.0, 5.0])
def test_all_four_regimes_are_met_by_few_short_runs_of_the_smallest_batch(cliff: float) -> None:
    results = shown(cliff)
    assert set(regimes_of(results).values()) == {"very_high", "high", "good", "low"}
    assert {(one.trial.batch_size, one.trial.total_steps) for one in results} == {(16, 200)}
    assert len(results) <= 8
    assert all(one.trial.seed > FRESH_FROM for one in results)


def test_rates_outside_the_range_are_not_tried() -> None:
    space = SearchSpace(cells=CELLS, total_steps=STEPS, lr_low=0.05, lr_high=0.4)
    assert all(0.05 <= one.trial.peak_lr <= 0.4 for one in shown(math.inf, space))


def test_nothing_is_run_where_the_full_runs_show_all_four() -> None:
    rates = (0.01, 0.1, 0.3, 4.0)
    full = [ended(full_trial(SPACE, CELLS[1], lr, 0), 1.0) for lr in rates]
    assert set(regimes_of(full).values()) == {"very_high", "high", "good", "low"}
    assert illustration_trials(SPACE, [optimum(16), optimum(64)], "cosine", full) == []
    assert illustration_trials(SPACE, [optimum(16), optimum(64)], "cosine", full[:3]) != []


def test_nothing_is_run_where_it_would_cost_more_than_a_full_run_or_there_is_no_optimum() -> None:
    short = SearchSpace(cells=CELLS, total_steps={16: 100, 64: 25})
    assert shown(1.0, short) == []
    assert shown(1.0, optima=(optimum(16, None), optimum(64, None))) == []
    assert {one.trial.batch_size for one in shown(1.0, optima=(optimum(16, None), optimum(64)))} == {64}


def test_regimes_are_averaged_over_seeds_by_rate(trial: Callable[..., Trial]) -> None:
    results = [ended(trial(peak_lr=lr, seed=seed), 1.0) for lr in (0.3, 0.1, 2.0) for seed in (1, 0)]
    assert list(by_rate(results)) == [0.1, 0.3, 2.0]
    assert [one.trial.seed for one in by_rate(results)[0.1]] == [0, 1]
    assert regimes_of(results) == {0.1: "good", 0.3: "high", 2.0: "very_high"}
    assert regimes_of([]) == {}
