"""From a fitted cell to a choice: what is called found, and what keeps clear of cliffs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscope.scaling.u_curve import fit_u_curve
from lrscope.study.cell_fit import choose_lr, fine_rates, judge
from lrscope.study.space import Cell, SearchSpace

CELL = Cell(batch_size=64, schedule="cosine")


def space(**changes) -> SearchSpace:
    return SearchSpace(cells=(CELL,), total_steps={64: 1000}, **changes)


def fitted(octaves, losses):
    return fit_u_curve(2.0 ** np.asarray(octaves, dtype=float), losses, initial_loss=2.3)


@given(st.floats(-12, 0), st.floats(0.01, 0.2))
@settings(max_examples=25, deadline=None)
def test_an_enclosed_minimum_is_found_within_its_interval(octave, curvature):
    octaves = octave + np.array([-1.5, -0.6, 0.3, 1.1])
    choice = judge(fitted(octaves, 0.3 + curvature * (octaves - octave) ** 2), space())
    assert choice.status == "found"
    assert choice.optimal_lr.low <= choice.optimal_lr.value <= choice.optimal_lr.high
    assert 2.0**octave in choice.optimal_lr
    assert choice.expected_regret <= 0.03


def test_an_edge_at_the_end_of_the_range_stays_one():
    octaves = np.array([-6.0, -5.0, -4.0, -3.0])
    choice = judge(fitted(octaves, 1.0 - 0.05 * octaves), space(lr_low=2.0**-6, lr_high=2.0**-3))
    assert choice.status == "edge"
    assert choice.optimal_lr.high is None


def test_an_edge_where_nothing_is_to_be_gained_is_found():
    choice = judge(fitted([-6.0, -5.0, -4.0], [0.32, 0.3004, 0.3]), space())
    assert choice.status == "found"
    assert choice.expected_regret <= 0.01


def test_a_choice_that_may_lose_much_is_not_called_found():
    rates = 2.0 ** np.repeat(np.arange(-6.0, -1.0), 3)
    losses = 1.0 + 0.5 * np.random.default_rng(0).standard_normal(15)
    choice = judge(fit_u_curve(rates, losses, initial_loss=2.3), space(tolerance=1e-4))
    assert choice.status != "found"


def test_the_choice_keeps_clear_of_a_cliff_and_of_what_is_above_the_rates_tried():
    cliff = fitted([-5.0, -4.0, -3.0, -2.0], [0.40, 0.34, 0.31, 2.3])
    assert fine_rates(cliff).tolist() == (2.0 ** np.array([-5.0, -4.0, -3.0])).tolist()
    assert -4.5 <= math.log2(choose_lr(cliff)) <= -2.75
    unseen = fitted([-5.0, -4.0, -3.0], [0.40, 0.34, 0.31])
    assert math.log2(choose_lr(unseen)) <= -3.0


def test_one_lucky_seed_does_not_make_a_rate_good():
    rates = 2.0 ** np.array([-5.0, -4.0, -3.0, -3.0, -3.0])
    curve = fit_u_curve(rates, [0.40, 0.34, 0.30, 2.2, 1.9], initial_loss=2.3, seed=[0, 0, 0, 1, 2])
    assert math.log2(choose_lr(curve)) < -3.25


@pytest.mark.parametrize("losses", [[math.inf] * 3, [math.nan] * 3])
def test_all_diverged_has_no_rate(losses):
    choice = judge(fitted([-3.0, -2.0, -1.0], losses), space())
    assert (choice.status, choice.optimal_lr) == ("all_diverged", None)


def test_the_loss_expected_is_that_of_the_choice():
    curve = fitted([-6.0, -5.0, -4.0, -3.0], [0.40, 0.32, 0.30, 0.41])
    choice = judge(curve, space())
    assert choice.expected_loss == curve.expected_loss_at(choice.optimal_lr.value)
    assert choice.expected_loss.high - choice.expected_loss.low > 0.01  # another seed differs by half a percent


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.01])
def test_a_task_that_learns_nothing_has_no_optimum(noise):
    losses = 2.3 + noise * np.random.default_rng(0).standard_normal(8)
    choice = judge(fitted(np.arange(-9.0, -1.0), losses), space())
    assert choice.status == "inconclusive"
    assert (choice.optimal_lr.low, choice.optimal_lr.high) == (None, None)
    if noise:
        assert "No learning rate lowered the loss" in choice.advice


def test_rates_that_do_equally_well_are_said_to_and_have_no_narrow_interval():
    losses = 0.3 + 0.001 * np.array([0.3, -1.0, 0.8, -0.4, 0.6, -0.9, 0.9, -0.2])
    choice = judge(fitted(np.arange(-9.0, -1.0), losses), space())
    assert (choice.status, choice.optimal_lr.low, choice.optimal_lr.high) == ("found", None, None)
    assert "none is better" in choice.advice


@given(st.lists(st.floats(0.1, 2.4), min_size=2, max_size=6), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_an_end_is_never_the_choice_itself(losses, failing):
    shown = [math.inf if index == failing else loss for index, loss in enumerate(losses)]
    choice = judge(fitted(np.arange(-7.0, -7.0 + len(losses)), shown), space()).optimal_lr
    assert choice.value not in (choice.low, choice.high)
