"""What follows from a noise scale: learning rates, steps against examples, critical batch sizes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.noise.critical_batch import (
    critical_batch_size,
    predict_learning_rate,
    step_efficiency,
    steps_and_examples,
)
from lrscope.noise.noise_scale import NoiseScale


def place(noise_scale, relative_error=0.02, square=1.0):
    return NoiseScale(
        trace=noise_scale * square,
        square=square,
        trace_variance=(relative_error * noise_scale * square) ** 2,
        square_variance=(relative_error * square) ** 2,
        covariance=0.0,
        dof=30.0,
        observations=31,
    )


def test_half_of_the_gain_at_the_noise_scale():
    assert step_efficiency([1e-9, 50, 1e12], 50.0) == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_the_rate_is_linear_far_below_the_noise_scale_and_constant_far_above():
    far_below, far_above = Estimate(1e9, 1e8, 1e10), Estimate(1e-3, 1e-4, 1e-2)
    assert predict_learning_rate(0.1, 8, 64, far_below).value == pytest.approx(0.8)
    assert predict_learning_rate(0.1, 8, 64, far_above).value == pytest.approx(0.1, rel=1e-3)


@given(st.floats(1, 1e4), st.floats(1, 1e4), st.floats(1, 1e5))
def test_there_and_back_again_is_the_same_rate(one, other, noise):
    scale = Estimate(noise, noise, noise)
    there = predict_learning_rate(0.1, one, other, scale).value
    assert predict_learning_rate(there, other, one, scale).value == pytest.approx(0.1)


def test_an_uncertain_rate_widens_the_prediction():
    scale = Estimate(100.0, 80.0, 130.0)
    sure = predict_learning_rate(0.1, 32, 256, scale)
    unsure = predict_learning_rate(Estimate(0.1, 0.07, 0.14), 32, 256, scale)
    assert unsure.low < sure.low < unsure.value == pytest.approx(sure.value)
    assert unsure.high > sure.high
    assert predict_learning_rate(Estimate(0.1, None, 0.2), 32, 256, scale).low is None


@given(st.floats(1, 1e5), st.floats(1, 1e5))
def test_steps_and_examples_lie_on_the_hyperbola(batch, critical):
    trade = steps_and_examples(batch, Estimate(critical, critical, critical))
    assert (trade.steps.value - 1) * (trade.examples.value - 1) == pytest.approx(1)


def test_the_critical_batch_weighs_updates_by_what_they_gain():
    # McCandlish 2018, appendix D: the examples spent per noise-free update, over the noise-free updates made.
    scales, batch = [place(20.0), place(2000.0)], 64
    gain = [1 / (1 + 20 / batch), 1 / (1 + 2000 / batch)]
    expected = (gain[0] * 20 + gain[1] * 2000) / sum(gain)
    found = critical_batch_size(scales, batch)
    assert found.value == pytest.approx(expected)
    assert expected in found
    assert found.high < 1.1 * expected


def test_a_place_without_gradient_adds_its_examples_and_no_gain():
    dead = NoiseScale(
        trace=100.0,
        square=-0.1,
        trace_variance=1.0,
        square_variance=0.1,
        covariance=0.0,
        dof=9,
        observations=10,
    )
    assert math.isfinite(critical_batch_size([place(50.0), dead], 64).value)
    assert critical_batch_size([dead], 64).high is None


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: step_efficiency(0, 10.0), "batch_size"),
        (lambda: critical_batch_size([], 8), "at least one"),
    ],
)
def test_bad_input_is_one_sentence(call, says):
    with pytest.raises(InvalidInput, match=says):
        call()
