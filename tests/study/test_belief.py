"""What is believed: a prior that gives way to evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.study.belief import DEGREES, GRID, USUAL_SPREAD, believe, quantile, usual_octave


@given(st.floats(-15, 5), st.lists(st.tuples(st.floats(-15, 5), st.floats(0.3, 2)), max_size=3))
def test_is_a_distribution_that_moves_with_everything_in_it(usual, evidence):
    chance = believe(usual, evidence)
    assert np.all(np.diff(chance) >= 0)
    assert chance[-1] == 1
    moved = believe(usual + 1, [(octave + 1, spread) for octave, spread in evidence])
    assert quantile(moved, 0.5) == pytest.approx(quantile(chance, 0.5) + 1, abs=0.05)


def test_is_the_product_of_a_student_t_and_a_normal():
    from scipy import stats

    density = stats.t.pdf(GRID, DEGREES, -5.0, USUAL_SPREAD) * stats.norm.pdf(GRID, -8.0, 0.7)
    expected = np.cumsum(density) / density.sum()
    assert believe(-5.0, [(-8.0, 0.7)]) == pytest.approx(expected, abs=1e-9)


def test_far_evidence_is_believed():
    assert quantile(believe(-5.0, [(-15.0, 1.0)]), 0.5) == pytest.approx(-15.0, abs=0.5)


def test_momentum_is_worth_its_reach():
    assert usual_octave(0.9, 64) == pytest.approx(usual_octave(0.0, 64) - np.log2(10))
    assert usual_octave(None, 64) < usual_octave(0.9, 64)


def test_the_usual_rate_grows_with_the_batch_as_its_root_under_sgd_and_more_slowly_under_adam():
    assert usual_octave(0.9, 1024) - usual_octave(0.9, 64) == pytest.approx(2.0)
    assert 0 < usual_octave(None, 1024) - usual_octave(None, 64) < 2.0
