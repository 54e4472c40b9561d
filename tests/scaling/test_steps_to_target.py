"""Steps to a target against the batch size: planted trades come back, saturation that is not there is left open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.scaling.steps_to_target import fit_steps_to_target
from lrscope.scaling.table import scale_steps

SIZES = 2.0 ** np.arange(3, 13)


@given(st.floats(10, 1e5), st.floats(20, 2000))
def test_a_planted_trade_comes_back(least, critical):
    law = fit_steps_to_target(SIZES, least * (1 + critical / SIZES))
    assert law.min_steps.value == pytest.approx(least, rel=1e-3)
    assert law.critical_batch_size.value == pytest.approx(critical, rel=1e-3)
    steps = law(SIZES)
    examples = steps * SIZES
    product = (steps / law.min_steps.value - 1) * (examples / law.min_examples.value - 1)
    np.testing.assert_allclose(product, 1, rtol=1e-3)


def test_intervals_hold_at_a_tenth_of_noise():
    held = []
    for seed in range(100):
        steps = 1000 * (1 + 300 / SIZES) * np.exp(0.1 * np.random.default_rng(seed).normal(size=SIZES.size))
        held.append(300 in fit_steps_to_target(SIZES, steps).critical_batch_size)
    assert 0.7 <= np.mean(held) <= 0.9


def test_steps_that_only_halve_leave_the_critical_batch_open():
    law = fit_steps_to_target([8, 16, 32, 64], [8000, 4000, 2000, 1000])
    assert law.critical_batch_size.high is None
    assert "S =" in law.formula


@pytest.mark.parametrize(
    ("sizes", "steps", "says"),
    [
        ([8, 16], [2, 1], "three batch sizes"),
        ([8, 16, 32], [2, 1], "three batch sizes or more"),
        ([8, 16, -1], [2, 1, 1], "positive and finite"),
    ],
)
def test_bad_input_is_one_sentence(sizes, steps, says):
    with pytest.raises(InvalidInput, match=says):
        fit_steps_to_target(sizes, steps)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([100, 100, 100, 100], "do not fall as the batch grows from 16 on"),
        ([100, 200, 300, 400], "do not fall as the batch grows from 16 on"),
        ([800, 400, 200, 100], "the critical batch size lies beyond"),
    ],
)
def test_what_the_points_say_nothing_of_is_left_open(steps, says):
    sizes = np.array([16.0, 32, 64, 128])
    law = fit_steps_to_target(sizes, steps)
    assert law.critical_batch_size.low is None
    (group,) = scale_steps(sizes, np.array(steps, dtype=float), {}).groups
    assert says in group.notes[0]
