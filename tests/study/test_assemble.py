"""From trials to a result: pure, so that a page can be made again from a stored study at any time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from lrscope.scaling.batch_law import fit_batch_law
from lrscope.study.assemble import assemble, equivalents, observe
from lrscope.study.bench import Bench
from lrscope.study.engines.base import make_engine
from lrscope.study.load import TaskSource
from lrscope.study.plan import StudyPlan, make_plan
from lrscope.study.recommend import FRESH_FROM
from lrscope.study.space import full_trial
from lrscope.study.trial import Trial, TrialResult

SCHEDULES = ("cosine", "constant")
RATES = (0.01, 0.04, 0.16, 1e4)

Trained = tuple[StudyPlan, dict[Trial, TrialResult]]


@pytest.fixture(scope="module")
def trained(tiny: ModuleType, reference: Callable[[str], str]) -> Trained:
    """A plan of two batch sizes and schedules, with full runs of every cell at four rates and two seeds."""
    source = TaskSource(reference=reference("regression"))
    bench = Bench(source.load())
    plan = make_plan(
        bench, source, (0.001, 0.01), batch_sizes=None, schedules=SCHEDULES, lr=None, metric=None, seeds=2, seed=0,
        search="grid", tolerance=0.01,
    )  # fmt: skip
    trials = [
        full_trial(plan.space, cell, lr, seed) for cell in plan.space.cells for lr in RATES for seed in (0, FRESH_FROM)
    ]
    results = make_engine("loop").train(bench, trials)
    return plan, {result.trial: result for result in results}


def test_every_cell_has_its_optimum_sorted_by_batch_size_then_schedule(trained: Trained) -> None:
    result = assemble(*trained, "loop", 12.5)
    assert [(one.batch_size, one.schedule) for one in result.optima] == [
        (size, schedule) for size in (8, 32) for schedule in sorted(SCHEDULES)
    ]
    assert (result.engine, result.cost.seconds, result.train_examples) == ("loop", 12.5, 96)
    assert result.recommended is None  # its trials are not among these
    assert len(result.trials) == result.cost.runs == 32


def test_the_search_alone_counts_for_an_optimum_and_all_full_runs_are_on_its_curve(trained: Trained) -> None:
    plan, results = trained
    optimum = assemble(plan, results, "loop", 0.0).optima[0]
    assert optimum.runs == 4
    mine = [run for run in results.values() if optimum.batch_size == run.trial.batch_size]
    searched = [run for run in mine if run.trial.schedule == optimum.schedule and run.trial.seed == 0]
    assert optimum.full_run_equivalents == pytest.approx(sum(equivalents(plan, run) for run in searched))
    assert [point.lr for point in optimum.curve] == list(RATES)
    assert [point.seeds for point in optimum.curve] == [2, 2, 2, 2]
    assert optimum.curve[-1].regime == "very_high"
    assert optimum.curve[-1].loss == math.inf
    assert "good" in [point.regime for point in optimum.curve]


def test_the_fit_is_drawn_with_its_band_and_not_up_the_cliff(trained: Trained) -> None:
    plan, _ = trained
    for optimum in assemble(*trained, "loop", 0.0).optima:
        rates = [point.lr for point in optimum.fitted]
        assert rates == sorted(rates)
        assert rates[0] >= plan.space.lr_low
        assert rates[-1] <= plan.space.lr_high
        assert all(point.low <= point.loss <= point.high for point in optimum.fitted)


def test_costs_are_shares_of_full_runs(trained: Trained) -> None:
    plan, results = trained
    result = assemble(plan, results, "loop", 0.0)
    assert result.cost.full_run_equivalents == pytest.approx(result.cost.search + result.cost.verification)
    assert result.cost.examples == sum(run.examples for run in results.values())
    whole = next(run for run in results.values() if run.status == "finished")
    assert equivalents(plan, whole) == 1.0
    diverged = next(run for run in results.values() if run.status == "diverged")
    assert equivalents(plan, diverged) == diverged.examples / (
        diverged.trial.batch_size * plan.space.total_steps[diverged.trial.batch_size]
    )


def test_before_a_run_has_ended_nothing_is_concluded(trained: Trained) -> None:
    plan, _ = trained
    result = assemble(plan, {}, "loop", 0.0)
    assert {(one.status, one.advice) for one in result.optima} == {("inconclusive", "No full run has ended yet.")}
    assert all(math.isnan(one.initial_loss) for one in result.optima)
    assert result.laws == ()
    assert result.cost.runs == 0


def test_a_law_needs_two_batch_sizes(trained: Trained) -> None:
    plan, results = trained
    assert assemble(plan, results, "loop", 0.0).laws
    cells = tuple(cell for cell in plan.space.cells if cell.batch_size == 8)
    alone = replace(plan, space=replace(plan.space, cells=cells, total_steps={8: 48}))
    mine = {trial: run for trial, run in results.items() if trial.batch_size == 8}
    assert assemble(alone, mine, "loop", 0.0).laws == ()


def test_the_laws_are_of_the_schedule_that_the_page_draws(trained: Trained) -> None:
    plan, results = trained
    first = plan.space.cells[0].schedule
    worse = {
        trial: replace(run, val_loss=run.val_loss + (0.5 if trial.schedule == first else 0.0))
        for trial, run in results.items()
    }
    result = assemble(plan, worse, "loop", 0.0)
    mine = [one for one in result.optima if one.schedule != first]
    rates = [one.optimal_lr for one in mine if one.optimal_lr is not None]
    expected = fit_batch_law([one.batch_size for one in mine], rates)
    assert [law.parameters for law in result.laws] == [law.parameters for law in expected]


def test_the_search_sees_infinity_where_a_run_diverged(trained: Trained) -> None:
    seen = observe(trained[1], "val_loss")
    losses = {one.trial: one.loss for one in seen}
    for trial, run in trained[1].items():
        assert losses[trial] == (run.val_loss if run.status == "finished" else math.inf)
    assert all(np.isfinite(one.initial_loss) for one in seen)
