"""What the study's page draws, as plain rows."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from lrscope.report.extract.study import (
    full_runs,
    lecture_curves,
    main_optima,
    main_schedule,
    schedules,
    training_curves,
    update_ratios,
    wants_log_scale,
)
from lrscope.study.result import StudyResult


def test_the_page_is_about_the_recommended_schedule(schedules_study: StudyResult) -> None:
    assert schedules_study.recommended is not None
    assert main_schedule(schedules_study) == schedules_study.recommended.schedule
    without = replace(schedules_study, recommended=None)
    least = min(
        (one for one in without.optima if one.expected_loss is not None),
        key=lambda one: one.expected_loss.value,  # type: ignore[union-attr]
    )
    assert main_schedule(without) == least.schedule
    assert len(schedules(schedules_study)) == 3
    assert [one.batch_size for one in main_optima(schedules_study)] == [16, 64]


def test_full_runs_leave_shorter_ones_out(study: StudyResult, fake: ModuleType) -> None:
    short = fake.fake_trial(16, 0.01, steps=40)
    more = replace(study, trials=(*study.trials, short))
    assert short not in full_runs(more, 16, fake.MAIN)
    assert full_runs(more, 16, fake.MAIN) == full_runs(study, 16, fake.MAIN)
    keys = [(run.trial.peak_lr, run.trial.seed) for run in full_runs(study, 16, fake.MAIN)]
    assert keys == sorted(keys)


def test_there_is_one_light_curve_a_rate(study: StudyResult) -> None:
    for optimum in study.optima:
        curves = training_curves(study, optimum, points=50)
        assert [curve.lr for curve in curves] == [point.lr for point in optimum.curve]
        assert all(len(curve.step) <= 50 and np.isfinite(curve.loss).all() for curve in curves)
        assert {curve.seed for curve in curves} == {0}


def test_the_four_curves_are_of_one_sweep_in_the_lectures_order(study: StudyResult) -> None:
    curves = lecture_curves(study)
    assert [curve.regime for curve in curves] == ["very_high", "high", "good", "low"]
    rates = [curve.lr for curve in curves]
    assert rates == sorted(rates, reverse=True)
    assert len({(curve.batch_size, curve.total_steps) for curve in curves}) == 1
    losses = {curve.regime: curve.final_loss for curve in curves}
    assert losses["good"] < min(losses["high"], losses["low"])


def test_short_runs_are_shown_where_they_show_more(study: StudyResult, fake: ModuleType) -> None:
    good = [run for run in study.trials if run.status == "finished" and run.final_loss("val_loss") < 0.3]
    short = tuple(fake.fake_trial(64, lr, steps=200) for lr in (0.001, 0.3, 0.55, 2.0))
    curves = lecture_curves(replace(study, trials=(*good, *short)))
    assert {curve.total_steps for curve in curves} == {200}
    assert len(curves) >= 3
    assert lecture_curves(replace(study, trials=())) == ()


def test_a_higher_rate_moves_the_weights_further(study: StudyResult) -> None:
    points = update_ratios(study)
    for size in (16, 64, 256):
        mine = [point for point in points if point.batch_size == size]
        assert len(mine) >= 3
        ratios = [point.ratio for point in mine]
        assert ratios == sorted(ratios)
        slope = np.polyfit(np.log([point.lr for point in mine]), np.log(ratios), 1)[0]
        assert slope == pytest.approx(0.9, abs=0.05)  # as planted


def test_a_logarithmic_scale_is_for_losses_that_fall_far() -> None:
    assert wants_log_scale([0.01, 0.1], 2.0)
    assert not wants_log_scale([0.5, 0.6], 2.0)
    assert not wants_log_scale([-0.5, 0.6], 20.0)
    assert not wants_log_scale([math.inf], 2.0)
