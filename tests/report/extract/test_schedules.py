"""The ranking of schedules: by runs on the same seeds where there are any, else by what the fits expect."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from lrscope.report.extract.schedules import rank_schedules, warmup_gains
from lrscope.report.page import Page
from lrscope.report.sections.schedules import add_schedules
from lrscope.report.study import study_page
from lrscope.study.result import StudyResult

MAIN = "warmup(5%) -> cosine"
SEEDS = (1000, 1001, 1002)
SCHEDULES = (MAIN, "cosine", "constant")


def studied(fake: ModuleType, offsets: dict[str, float]) -> StudyResult:
    """A study with runs on fresh seeds, the loss of each schedule moved by so much."""
    result = fake.fake_study(batch_sizes=(64,), schedules=SCHEDULES)
    assert result.recommended is not None
    runs = []
    for optimum in result.optima:
        assert optimum.optimal_lr is not None
        for seed in SEEDS:
            run = fake.fake_trial(64, optimum.optimal_lr.value, seed, optimum.schedule)
            noise = 0.001 * (seed % 3)
            runs.append(replace(run, val_loss=0.1 + noise + offsets[optimum.schedule]))
    return replace(result, trials=(*result.trials, *runs), recommended=replace(result.recommended, seeds=SEEDS))


def test_measured_losses_rank_and_pairs_of_seeds_tell_apart(fake: ModuleType) -> None:
    rows = rank_schedules(studied(fake, {MAIN: 0.0, "cosine": 0.0, "constant": 0.01}))
    assert [row.rank for row in rows] == [1, 2, 3]
    assert all(row.measured for row in rows)
    assert rows[1].tied
    assert rows[2].schedule == "constant"
    assert not rows[2].tied  # 0.01 worse on every seed, though the seeds differ by 0.002
    assert rows[2].loss.value == pytest.approx(0.111)


def test_a_rate_that_may_lose_as_much_is_not_held_against_its_schedule(fake: ModuleType) -> None:
    sure = studied(fake, {MAIN: 0.0, "cosine": 0.01, "constant": 0.03})
    unsure = replace(sure, optima=tuple(replace(one, expected_regret=0.01) for one in sure.optima))  # of about 2.2
    known = replace(sure, optima=tuple(replace(one, expected_regret=0.0) for one in sure.optima))
    assert [row.tied for row in rank_schedules(known)] == [False, False, False]
    assert [row.tied for row in rank_schedules(unsure)] == [False, True, False]
    behind = rank_schedules(known)[1].behind
    assert behind is not None
    assert behind.value == pytest.approx(behind.low) == pytest.approx(0.01)
    wide = rank_schedules(unsure)[1].behind
    assert wide is not None
    assert wide.value == behind.value
    assert wide.low < 0 < 0.03 < wide.high  # type: ignore[operator]


def test_without_fresh_runs_the_fits_rank(fake: ModuleType) -> None:
    rows = rank_schedules(fake.fake_study(batch_sizes=(64,), schedules=SCHEDULES))
    assert not any(row.measured for row in rows)
    assert [row.loss.value for row in rows] == sorted(row.loss.value for row in rows)


def test_what_a_warm_up_buys_is_told_seed_by_seed_and_at_rates_tried_with_both(fake: ModuleType) -> None:
    (gain,) = warmup_gains(studied(fake, {MAIN: -0.02, "cosine": 0.0, "constant": 0.0}))
    assert (gain.schedule, gain.without) == (MAIN, "cosine")
    assert gain.loss_change.value == pytest.approx(-0.02)
    assert gain.loss_change.high is not None
    assert gain.loss_change.high < 0
    assert gain.widest_at is not None
    assert gain.loss_there < gain.loss_there_without  # without it the runs are lost at half the rate


def test_the_page_ranks_schedules_and_shows_the_warm_up(fake: ModuleType) -> None:
    page = study_page(studied(fake, {MAIN: 0.0, "cosine": 0.03, "constant": 0.05})).html()
    assert "Which schedule?" in page
    assert "What the warm-up buys" in page
    assert "on the same fresh seeds" in page
    assert "0.03 lower" in page


def test_one_schedule_needs_no_section(fake: ModuleType) -> None:
    page = Page("title")
    add_schedules(page, fake.fake_study(batch_sizes=(64,)))
    assert "Which schedule?" not in page.html()
