"""Curves made light keep their ends, their peaks and their look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.report.extract.thin import finite_start, largest_triangles, smoothed


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(3, 60))
def test_the_indices_rise_hold_both_ends_and_are_as_many_as_asked(values: list[float], points: int) -> None:
    kept = largest_triangles(np.arange(len(values)), values, points)
    assert len(kept) == min(points, len(values))
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert (np.diff(kept) > 0).all()


def test_a_spike_among_ten_thousand_points_survives() -> None:
    values = np.sin(np.linspace(0, 20, 10_000))
    values[7321] = 9.0
    kept = largest_triangles(np.arange(10_000), values, 300)
    assert 7321 in kept
    redrawn = np.interp(np.arange(10_000), kept, values[kept])
    assert np.abs(redrawn - values).mean() < 0.02


def test_too_few_points_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"'points' of largest_triangles must be an int >= 3. Got 2"):
        largest_triangles(range(9), range(9), points=2)


def test_smoothing_is_an_average_without_a_bias_at_the_start() -> None:
    noise = 1 + np.random.default_rng(0).normal(0, 0.5, 5000)
    smooth = smoothed(noise)
    assert smooth[0] == pytest.approx(noise[0])
    assert smooth.std() < 0.2 * noise.std()
    step = np.r_[np.zeros(500), np.ones(500)]
    assert smoothed(step)[499 + 10] == pytest.approx(0.5, abs=0.05)  # the half-life is 1 % of 1,000
    assert smoothed([]).shape == (0,)


def test_a_curve_ends_where_it_is_not_finite() -> None:
    assert finite_start([1.0, np.nan, 1.0]) == 1
    assert finite_start([np.inf]) == 0
    assert finite_start([1.0, 2.0]) == 2
