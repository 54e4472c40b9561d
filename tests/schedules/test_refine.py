"""Refinement against its closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules.refine import refine_rates, refine_schedule

STEPS = 10_000
STEP = np.arange(STEPS)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_constant_norms_give_linear_decay(optimizer):
    refined = refine_schedule(np.full(STEPS, 3.0), optimizer=optimizer)
    np.testing.assert_allclose(refined.rates, 1 - STEP / (STEPS - 1), atol=1e-9)
    assert refined.warmup_share == 0


def test_norms_that_fall_over_the_first_tenth_give_a_warmup_of_a_tenth():
    norms = np.where(STEP < 0.1 * STEPS, 15 - 14 * STEP / (0.1 * STEPS), 1.0)
    assert refine_schedule(norms).warmup_share == pytest.approx(0.1, abs=0.005)


def test_growing_norms_give_the_published_decay():
    rates = refine_schedule(2 ** (STEP / STEPS)).rates
    assert rates[[STEPS // 2, 3 * STEPS // 4, 9 * STEPS // 10]] == pytest.approx([0.173, 0.050, 0.015], abs=0.0007)


def test_adam_weights_by_the_inverse_norm():
    rates = refine_schedule(2 ** (STEP / STEPS), optimizer="adam", window=0.001).rates
    x = 0.5
    assert rates[STEPS // 2] == pytest.approx(2**-x * (2**-x - 0.5) / 0.5, abs=2e-3)


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=50), st.floats(0.01, 100))
def test_rates_have_peak_one_end_at_zero_and_forget_the_scale(weights, factor):
    rates = refine_rates(weights)
    assert rates.max() == pytest.approx(1)
    assert rates[-1] == 0
    assert (rates >= 0).all()
    np.testing.assert_allclose(refine_rates(np.multiply(factor, weights)), rates, rtol=1e-9, atol=1e-12)


def test_a_log_of_every_tenth_step_gives_the_same_schedule():
    norms = 1 + np.exp(-STEP / 500)
    whole = refine_schedule(norms)
    tenth = refine_schedule(norms[::10], step=STEP[::10], total_steps=STEPS)
    np.testing.assert_allclose(tenth.rates, whole.rates[::10], atol=0.01)


def test_norms_that_are_not_finite_are_left_out():
    norms = np.full(100, 2.0)
    norms[[3, 50]] = np.nan, np.inf
    refined = refine_schedule(norms)
    assert len(refined.step) == 98
    assert np.isfinite(refined.rates).all()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"grad_norm": np.ones(5)}, "10 gradient norms"),
        ({"grad_norm": np.ones(50), "optimizer": "lion"}, "optimizer"),
        ({"grad_norm": np.ones(50), "window": 0}, "window"),
        ({"grad_norm": np.ones(50), "total_steps": 20}, "total_steps"),
        ({"grad_norm": np.ones(3), "step": [0, 2, 1]}, "increasing"),
        ({"grad_norm": np.ones(50), "total_steps": float("nan")}, "total_steps"),
        ({"grad_norm": np.ones(50), "step": np.arange(50) * np.nan}, "rows of one length of numbers"),
        ({"grad_norm": "many"}, "rows of one length of numbers"),
        ({"grad_norm": np.repeat([1e300, 1e-300], 25)}, "weights are not finite"),
    ],
)
def test_bad_input_is_refused(arguments, names):
    with pytest.raises(InvalidInput, match=names):
        refine_schedule(**arguments)
