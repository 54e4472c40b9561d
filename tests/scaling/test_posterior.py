"""The posterior over loss-against-rate curves: its shape function, its scale and what it makes of points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.scaling.posterior import linex, octave_excess, sample_posterior


def sample(x, y, upper=None, runs=None, replicates=(0.0, 0)):
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return sample_posterior(
        x, y, np.ones(len(x)) if runs is None else np.asarray(runs, dtype=float), upper=upper,
        replicate_ss=replicates[0], replicate_dof=replicates[1], draws=500, rng=np.random.default_rng(0),
    )  # fmt: skip


@given(st.floats(-6, 6), st.floats(-1.5, 1.5))
def test_linex_is_a_bowl_with_its_bottom_at_zero(distance, skew):
    value = float(linex(np.array([distance]), skew)[0])
    assert value >= 0
    assert float(linex(np.array([0.0]), skew)[0]) == 0


@given(st.floats(0.1, 5), st.floats(0.05, 1.5))
def test_linex_is_steeper_on_the_right(distance, skew):
    left, right = linex(np.array([-distance, distance]), skew)
    assert right > left


def test_linex_joins_its_parabola():
    distance = np.linspace(-3, 3, 13)
    assert np.allclose(linex(distance, 1e-9), distance**2 / 2)
    assert np.allclose(linex(distance, 3e-4), linex(distance, 4e-4), rtol=1e-3)


def test_the_scale_is_the_excess_an_octave_away():
    x = np.arange(-3.0, 4.0)
    assert octave_excess(x, x**2) == 1.0
    assert octave_excess(np.array([0.0, 0.5]), np.array([0.0, 0.3])) == 0.3  # nothing an octave away: what there is


def test_draws_lie_where_the_points_say():
    x = np.arange(-3.0, 4.0)
    posterior = sample(x, 0.3 + 0.1 * (x - 0.4) ** 2)
    assert np.median(posterior.minimum) == pytest.approx(0.4, abs=0.1)
    assert np.median(posterior.bottom) == pytest.approx(0.3, abs=0.02)
    assert posterior.losses(x).shape == (500, 7)
    assert np.all(posterior.excess(x) >= 0)


def test_nothing_is_drawn_beyond_a_diverged_rate():
    x = np.arange(-3.0, 1.0)
    assert sample(x, 1 - 0.2 * x, upper=1.0).minimum.max() <= 1.0


def test_more_runs_and_quiet_replicates_make_it_narrower():
    x = np.arange(-2.0, 3.0)
    y = 0.1 * x**2 + np.array([0.01, -0.01, 0.0, 0.01, -0.01])
    loud, quiet = sample(x, y, replicates=(0.05, 10)), sample(x, y, replicates=(1e-6, 10))
    assert np.std(quiet.minimum) < np.std(loud.minimum)
    few, many = sample(x, y, replicates=(0.05, 10)), sample(x, y, runs=[9] * 5, replicates=(0.05, 10))
    assert np.std(many.minimum) < np.std(few.minimum)


def test_a_plateau_at_the_level_of_chance_does_not_bend_the_optimum():
    x = np.arange(-4.0, 6.0) * 1.8
    left = np.minimum(0.2 - 0.04 * x * np.tanh(-x), 0.42)
    right = np.minimum(0.2 + 0.025 * x**2, 0.5)  # a model that guesses loses 0.5
    drawn = sample(x, np.where(x < 0, left, right))
    low, high = np.quantile(drawn.minimum, [0.1, 0.9])
    assert low < 0 < high
    assert high - low < 1.2
