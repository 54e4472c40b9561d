"""The cliff: its place between runs that failed and runs that did not, and what it does to a choice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.scaling.cliff import SAFE_OCTAVES, failed_runs, failure_cost, find_cliff, lowest_failing
from lrscope.scaling.edge import find_edge
from lrscope.scaling.u_curve import fit_u_curve


def cliff_of(fine, failing):
    x = np.array([*fine, *failing], dtype=float)
    failed = np.array([False] * len(fine) + [True] * len(failing))
    return find_cliff(x, failed, 1.0, 1000, np.random.default_rng(0))


def test_none_is_near_where_nothing_failed():
    cliff = cliff_of([-4, -3], [])
    assert not cliff.seen
    assert cliff.failing(np.array([-3.5]))[0] < 0.02


@given(st.floats(-12, 2), st.floats(0.25, 3))
def test_it_lies_between_fine_and_failing_runs(fine, gap):
    cliff = cliff_of([fine - 1, fine], [fine + gap])
    assert fine - 0.5 <= np.median(cliff.places) <= fine + gap + 0.5
    chances = cliff.failing(fine + np.linspace(-2, gap + 2, 9))
    assert np.all(np.diff(chances) >= 0)
    assert chances[0] < 0.02
    assert chances[-1] > 0.9


def test_more_runs_that_did_not_fail_make_a_rate_safer():
    one, three = cliff_of([-3], [-2]), cliff_of([-3, -3, -3], [-2])
    assert three.failing(np.array([-3.0]))[0] < one.failing(np.array([-3.0]))[0]


def test_a_run_has_failed_where_a_quarter_of_the_progress_is_gone():
    x, loss = np.array([-4.0, -3.0, -2.0, -1.0]), np.array([0.5, 0.1, 0.3, 0.9])
    assert failed_runs(x, loss, 2.1).tolist() == [False, False, False, True]
    assert failed_runs(x, np.array([0.5, 0.1, math.nan, math.inf]), None).tolist() == [False, False, True, True]


def test_a_run_below_the_best_rate_has_failed_where_a_lower_rate_did_better():
    x, loss = np.array([-1.0, -2.0, -3.0, -4.0]), np.array([0.1, 1.5, 0.4, 1.9])
    assert failed_runs(x, loss, 2.1).tolist() == [False, True, False, False]


def test_seeds_that_differ_below_the_best_rate_have_not_failed():
    x, loss = np.array([-6.0, -6.0, -5.0, -5.0, -4.0]), np.array([0.5, 1.6, 0.4, 0.9, 0.1])
    assert not failed_runs(x, loss, 2.1).any()


def test_none_has_failed_where_nothing_was_gained():
    assert not failed_runs(np.array([-2.0, -1.0]), np.array([2.2, 2.5]), 2.1).any()


def test_a_failure_costs_what_failures_did_and_at_first_everything():
    loss = np.array([0.1, 0.6, math.inf])
    assert failure_cost(np.array([False, True, False]), loss, 1.1) == pytest.approx(0.75)
    assert failure_cost(np.array([False, True, True]), loss, 1.1) == pytest.approx(2.5 / 3)
    assert failure_cost(np.array([False, False, False]), loss, 1.1) == 1.0


def test_most_runs_must_fail_at_a_rate_before_it_is_one_to_stay_below():
    x, failed = np.array([-3.0, -2.0, -2.0, -1.0, -1.0, -1.0]), np.array([True, False, True, True, True, False])
    assert lowest_failing(x, failed, -3.0) == -1.0
    assert lowest_failing(x, failed, -1.0) == math.inf


def test_failures_far_apart_make_rates_below_them_less_safe():
    def cliff_with(failures):
        x = np.array([*np.linspace(-6, -3, 7), -2.0, -1.0, -1.0, 0.0])
        failed = np.array([False] * 7 + failures)
        return find_cliff(x, failed, 1.0, 1000, np.random.default_rng(0))

    sharp, ragged = cliff_with([False, True, True, True]), cliff_with([True, True, False, False])
    below = np.array([-4.0])
    assert np.median(sharp.spreads) == 0.25 < np.median(ragged.spreads)
    assert ragged.failing(below)[0] > 10 * sharp.failing(below)[0]


def test_a_fitted_optimum_keeps_clear_of_it():
    lr = 2.0 ** np.array([-5.0, -4.0, -3.0, -2.0])
    fitted = fit_u_curve(lr, [0.5, 0.3, 0.2, 2.2], initial_loss=2.3)
    assert np.quantile(np.log2(fitted.optimal_lr_samples), 0.9) < -2.0 - SAFE_OCTAVES / 2
    assert float(fitted.expected_regret(2.0**-2)) > 0.5
    assert float(fitted.expected_regret(2.0**-4)) < 0.15


@given(st.floats(-10, 0), st.floats(0.1, 100))
def test_the_edge_moves_with_the_rates_and_not_with_the_losses(shift, factor):
    losses = {-5.0: 1.5, -4.0: 1.0, -3.0: 0.9, -2.0: 1.2, -1.0: math.inf}
    edge = find_edge(losses, 2.3)
    moved = find_edge({octave + shift: factor * loss for octave, loss in losses.items()}, factor * 2.3)
    assert moved.octave == pytest.approx(edge.octave + shift)
    assert -3.0 < edge.octave < -2.0


def test_there_is_no_edge_where_nothing_is_lost():
    assert find_edge({-3.0: 1.0, -2.0: 0.5, -1.0: 0.45}, 2.3) is None
    assert find_edge({-3.0: math.inf}, 2.3) is None
