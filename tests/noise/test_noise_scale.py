"""The noise scale against problems with known answers, and the algebra that must hold exactly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.noise.noise_scale import NoiseScale, pool_noise_scales
from lrscope.noise.one_place import noise_scale_from_gradients, noise_scale_from_products
from lrscope.noise.pairs import RunningNoiseScale, noise_scale_from_pairs

DIMENSION = 12
SPECTRUM = 1.0 / np.arange(1, DIMENSION + 1)
GRADIENT = SPECTRUM / np.linalg.norm(SPECTRUM)  # |G| = 1


def regression_gradients(rng, examples, noise_scale):
    """Per-example gradients of a linear regression whose B_simple is `noise_scale` exactly."""
    delta = GRADIENT / SPECTRUM
    variance = (noise_scale - 1.0) / SPECTRUM.sum() - delta @ (SPECTRUM * delta)
    x = rng.normal(size=(examples, DIMENSION)) * np.sqrt(SPECTRUM)
    return x * (x @ delta - rng.normal(size=examples) * np.sqrt(variance))[:, None]


def by_pairs(rng, truth):
    small = (regression_gradients(rng, 200 * 4, truth).reshape(200, 4, -1).mean(1) ** 2).sum(1)
    big = (regression_gradients(rng, 200 * 32, truth).reshape(200, 32, -1).mean(1) ** 2).sum(1)
    return noise_scale_from_pairs(small, big, 4, 32)


def by_microbatches(rng, truth):
    parts = regression_gradients(rng, 100 * 32, truth).reshape(100, 8, 4, -1).mean(2)
    return noise_scale_from_pairs((parts**2).sum(2), (parts.mean(1) ** 2).sum(1), 4, 32)


def by_one_accumulation(rng, truth):
    return noise_scale_from_gradients(regression_gradients(rng, 1600, truth).reshape(50, 32, -1).mean(1), 32)


def by_example(rng, truth):
    return noise_scale_from_gradients(regression_gradients(rng, 600, truth))


@pytest.mark.parametrize("estimator", [by_pairs, by_microbatches, by_one_accumulation, by_example])
def test_the_interval_holds_the_chosen_noise_scale_about_80_times_in_100(estimator):
    truth = 25.0
    estimates = [estimator(np.random.default_rng(seed), truth).estimate for seed in range(200)]
    assert np.median([e.value for e in estimates]) == pytest.approx(truth, rel=0.05)
    assert 0.70 <= np.mean([truth in e for e in estimates]) <= 0.90


def test_numerator_and_denominator_are_unbiased_even_where_noise_drowns_the_gradient():
    scales = [by_microbatches(np.random.default_rng(seed), 3000.0) for seed in range(200)]
    squares = np.array([scale.square for scale in scales])
    assert (squares < 0).any()  # nothing is clamped
    assert abs(squares.mean() - 1.0) < 4 * squares.std() / np.sqrt(200)
    assert np.mean([scale.trace for scale in scales]) == pytest.approx(3000.0, rel=0.02)


def test_the_upper_end_is_open_where_the_gradient_may_be_zero():
    rng = np.random.default_rng(0)
    open_ends = [noise_scale_from_gradients(rng.normal(size=(50, 20))).estimate for _ in range(40)]
    assert np.mean([e.high is None for e in open_ends]) >= 0.8
    assert all(e.low is None or e.low > 0 for e in open_ends)


def test_the_standard_errors_match_the_spread_over_seeds():
    scales = [by_example(np.random.default_rng(seed), 100.0) for seed in range(300)]
    for name in ("trace", "square"):
        spread = np.var([getattr(scale, name) for scale in scales])
        assert np.mean([getattr(scale, f"{name}_variance") for scale in scales]) == pytest.approx(spread, rel=0.25)


def test_pairs_of_parts_and_products_of_gradients_are_the_same_numbers():
    gradients = np.random.default_rng(1).normal(size=(6, 9)) + 1.0
    pair = noise_scale_from_pairs([(gradients**2).sum(1)], [(gradients.mean(0) ** 2).sum()], 5, 30)
    products = noise_scale_from_gradients(gradients, 5)
    assert pair.square == pytest.approx(products.square, rel=1e-12)
    assert pair.trace == pytest.approx(products.trace, rel=1e-12)


def test_groups_of_examples_agree_with_single_examples():
    gradients = regression_gradients(np.random.default_rng(2), 2048, 25.0)
    means = gradients.reshape(32, 64, -1).mean(1)
    norms = (gradients**2).sum(1).reshape(32, 64).mean(1)
    grouped = noise_scale_from_products(means @ means.T, norms, 1)
    single = noise_scale_from_gradients(gradients)
    assert grouped.trace == pytest.approx(single.trace, rel=0.01)
    assert grouped.square == pytest.approx(single.square, rel=0.05)
    assert grouped.square_variance == pytest.approx(single.square_variance, rel=0.6)


def test_a_preconditioner_measures_in_its_own_metric_whatever_its_size():
    gradients = regression_gradients(np.random.default_rng(3), 400, 25.0)
    weight = 1.0 / np.sqrt((gradients**2).mean(0))
    scaled = noise_scale_from_gradients(gradients * weight)
    assert noise_scale_from_gradients(gradients, preconditioner=weight).value == pytest.approx(scaled.value)
    assert noise_scale_from_gradients(gradients, preconditioner=7 * weight).value == pytest.approx(scaled.value)
    assert scaled.value > noise_scale_from_gradients(gradients).value


@given(st.floats(0.01, 100.0), st.integers(0, 1000))
def test_scaling_all_gradients_leaves_the_noise_scale(factor, seed):
    gradients = np.random.default_rng(seed).normal(size=(8, 3)) + 2.0
    one, other = noise_scale_from_gradients(gradients), noise_scale_from_gradients(factor * gradients)
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert other.square == pytest.approx(factor**2 * one.square, rel=1e-6)


def test_a_moving_average_is_corrected_for_its_start_and_forgets():
    running = RunningNoiseScale(decay=0.9)
    running.add(3.0, 1.2, small_batch=1, big_batch=8)
    assert running.result().value == pytest.approx((3.0 - 1.2) / (1 - 1 / 8) / ((8 * 1.2 - 3.0) / 7))
    assert running.result().estimate.low is None
    for _ in range(300):
        running.add(2.0, 1.0, small_batch=1, big_batch=8)
    assert running.result().square == pytest.approx((8 - 2) / 7)


def test_drift_does_not_count_as_noise():
    rng = np.random.default_rng(4)
    drift = np.linspace(1.0, 5.0, 200)
    steady = noise_scale_from_pairs(3 + 0.1 * rng.normal(size=200), 1 + 0.1 * rng.normal(size=200), 1, 8)
    moving = noise_scale_from_pairs(3 * drift + 0.1 * rng.normal(size=200), drift + 0.1 * rng.normal(size=200), 1, 8)
    assert moving.square_variance == pytest.approx(steady.square_variance, rel=0.5)


def test_an_overflowed_update_is_left_out():
    running = RunningNoiseScale()
    running.add(3.0, 1.0, small_batch=1, big_batch=8)
    running.add(math.inf, math.nan, small_batch=1, big_batch=8)
    assert (running.observations, running.skipped) == (1, 1)


def test_pooling_averages_apart_and_the_same_examples_do_not_average_out():
    def place(trace, square):
        return NoiseScale(
            trace=trace,
            square=square,
            trace_variance=1.0,
            square_variance=0.04,
            covariance=0.0,
            dof=9,
            observations=10,
        )

    scales = [place(10.0, 4.0), place(20.0, 1.0)]
    fresh = pool_noise_scales(scales, [1, 3])
    assert fresh.value == pytest.approx((10 + 60) / (4 + 3))
    assert fresh.square_variance == pytest.approx(0.04 * (1 / 16 + 9 / 16))
    assert pool_noise_scales(scales, [1, 3], overlap=1.0).square_variance == pytest.approx(0.04)


@given(st.floats(-5.0, 5.0), st.floats(0.1, 3.0))
def test_an_interval_holds_its_value_even_where_the_variances_contradict_each_other(covariance, trace):
    scale = NoiseScale(
        trace=trace,
        square=1.0,
        trace_variance=0.04,
        square_variance=0.01,
        covariance=covariance,
        dof=5.0,
        observations=6,
    )
    assert scale.value in scale.estimate


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: noise_scale_from_pairs([1.0], [1.0], 8, 8), "small_batch < big_batch"),
        (lambda: noise_scale_from_pairs([1.0, 2.0], [1.0], 1, 8), "shapes"),
        (lambda: noise_scale_from_gradients(np.ones((3, 2))), "at least 4"),
        (lambda: noise_scale_from_gradients(np.full((5, 2), np.nan)), "finite"),
        (lambda: RunningNoiseScale(decay=0.0), "decay"),
        (lambda: RunningNoiseScale().result(), "at least one pair"),
        (lambda: pool_noise_scales([]), "at least one noise scale"),
    ],
)
def test_bad_input_is_one_sentence(call, says):
    with pytest.raises(InvalidInput, match=says):
        call()


def test_the_interval_holds_where_noise_lies_along_the_gradient() -> None:
    """Logistic regression on a steep spectrum: most noise lies in a few directions, the gradient's among them."""
    spectrum = 1.0 / np.arange(1, 13) ** 1.5
    truth = np.random.default_rng(5).normal(size=12) * 2.0

    def gradients(count: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(count, 12)) * np.sqrt(spectrum)
        y = rng.random(count) < 1.0 / (1.0 + np.exp(-x @ truth))
        return np.asarray(x * (1.0 / (1.0 + np.exp(-0.6 * (x @ truth))) - y)[:, None])

    many = gradients(600_000, 0)
    mean = many.mean(0)
    known = float(many.var(0).sum() / (mean @ mean))
    found = [noise_scale_from_gradients(gradients(600, seed)).estimate for seed in range(1, 121)]
    too_high = sum(e.low is not None and e.low > known for e in found) / len(found)
    too_low = sum(e.high is not None and e.high < known for e in found) / len(found)
    assert too_high < 0.17
    assert too_low < 0.17
