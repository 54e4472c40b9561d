"""The fit of loss against learning rate: planted optima come back, and what is far away does not bend them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.scaling.u_curve import fit_u_curve


def u(lr, optimum, curvature=0.05, bottom=0.4, skew=0.0):
    """A U in log₂ of the rate, steeper to the right for a positive skew."""
    d = np.log2(np.asarray(lr) / optimum)
    shape = d**2 / 2 if skew == 0 else (np.expm1(skew * d) - skew * d) / skew**2
    return bottom + curvature * shape


octaves = st.floats(-14.0, 2.0)


@given(octaves, st.floats(1e-3, 10.0), st.sampled_from([0.0, 0.3, 0.7]), st.sampled_from([0.5, 1.0]))
@settings(max_examples=40, deadline=None)
def test_a_planted_optimum_comes_back(octave, curvature, skew, spacing):
    optimum = 2.0**octave
    lr = optimum * 2.0 ** (spacing * np.arange(-3, 4) + 0.2)
    fitted = fit_u_curve(lr, u(lr, optimum, curvature, skew=skew))
    assert fitted.status == "found"
    assert abs(math.log2(fitted.optimal_lr.value / optimum)) <= 0.15
    assert fitted.optimal_lr.low <= fitted.optimal_lr.value <= fitted.optimal_lr.high
    begun = fit_u_curve(lr, u(lr, optimum, curvature, skew=skew), initial_loss=0.4 + 20 * curvature)
    assert float(begun.expected_regret(begun.optimal_lr.value)) <= 0.01


@given(octaves, st.floats(1e-4, 1e4))
@settings(max_examples=25, deadline=None)
def test_scaling_the_rates_scales_the_optimum(octave, factor):
    lr = 2.0 ** (octave + np.arange(6))
    loss = u(lr, 2.0 ** (octave + 2.3), skew=0.3)
    first, second = fit_u_curve(lr, loss), fit_u_curve(lr * factor, loss)
    assert second.status == first.status
    assert second.optimal_lr.value == pytest.approx(first.optimal_lr.value * factor, rel=1e-6)
    assert second.optimal_lr.high == pytest.approx(first.optimal_lr.high * factor, rel=1e-6)


@given(st.floats(1e-3, 1e3), st.floats(-5, 5))
@settings(max_examples=25, deadline=None)
def test_scaling_or_shifting_the_losses_leaves_the_optimum(factor, shift):
    lr = 2.0 ** np.arange(-8, -1)
    loss = u(lr, 2.0**-4.4, skew=0.3)
    first, second = fit_u_curve(lr, loss), fit_u_curve(lr, shift + factor * loss)
    assert second.optimal_lr.value == pytest.approx(first.optimal_lr.value, rel=1e-3)


@given(st.permutations(range(9)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_runs_does_not_matter(order):
    lr = np.repeat(2.0 ** np.arange(-3, 0), 3)
    loss = u(lr, 0.3) + np.tile([0.0, 0.001, -0.002], 3)
    first, second = fit_u_curve(lr, loss), fit_u_curve(lr[order], loss[order])
    assert second.optimal_lr.value == pytest.approx(first.optimal_lr.value, rel=1e-6)


@pytest.mark.parametrize("height", [3.0, 100.0, 1e6, math.inf, math.nan])
def test_a_cliff_does_not_bend_the_optimum(height):
    lr = 2.0 ** np.arange(-8, -2)
    loss = u(lr, 2.0**-5)
    plain = fit_u_curve(lr, loss)
    cliff = fit_u_curve([*lr, 2.0**-2, 2.0**-1, 1.0], [*loss, height, height, height])
    assert cliff.status == "found"
    assert abs(math.log2(cliff.optimal_lr.value / plain.optimal_lr.value)) <= 0.1


def test_the_far_left_does_not_bend_the_optimum():
    lr = 2.0 ** np.arange(-8, -2)
    loss = u(lr, 2.0**-5)
    far = 2.0 ** np.arange(-20, -8)
    plateau = np.full(len(far), 1.0)  # nothing is learned there: far below what the parabola would say
    fitted = fit_u_curve([*far, *lr], [*plateau, *loss])
    assert abs(math.log2(fitted.optimal_lr.value / 2.0**-5)) <= 0.25


def test_a_finite_loss_far_above_the_initial_one_has_diverged():
    lr = 2.0 ** np.arange(-6, 0)
    fitted = fit_u_curve(lr, [1.0, 0.6, 0.5, 0.6, 40.0, 90.0], initial_loss=2.3)
    assert fitted.diverged_lr.tolist() == lr[-2:].tolist()
    assert fitted.status == "found"


def test_the_optimum_is_below_a_run_that_diverged():
    fitted = fit_u_curve([0.1, 0.2, 0.4], [0.8, 0.5, math.inf])
    assert fitted.optimal_lr.value < 0.4
    assert fitted.edge != "high"


@pytest.mark.parametrize(("slope", "edge"), [(-0.1, "high"), (0.1, "low")])
def test_monotone_losses_are_an_edge(slope, edge):
    lr = 2.0 ** np.arange(-8, -2)
    fitted = fit_u_curve(lr, 1.0 + slope * np.arange(6))
    assert (fitted.status, fitted.edge) == ("edge", edge)
    assert all((tried > lr.max()) if edge == "high" else (tried < lr.min()) for tried in fitted.next_lrs)
    assert (fitted.optimal_lr.high if edge == "high" else fitted.optimal_lr.low) is None


@pytest.mark.parametrize("losses", [[0.5], [0.5] * 6, [0.5, 0.5]])
def test_one_rate_or_flat_losses_are_inconclusive(losses):
    fitted = fit_u_curve(2.0 ** np.arange(len(losses)), losses)
    assert fitted.status == "inconclusive"
    assert fitted.next_lrs
    assert fitted.advice


def test_two_points_are_never_found_without_a_bound():
    assert fit_u_curve([0.1, 0.2], [0.5, 0.4]).status in ("edge", "inconclusive")
    assert fit_u_curve([0.1, 0.2], [0.4, 0.5]).status in ("edge", "inconclusive")


@pytest.mark.parametrize("loss", [math.inf, math.nan])
def test_all_diverged(loss):
    fitted = fit_u_curve([0.1, 0.2, 0.4], [loss] * 3)
    assert fitted.status == "all_diverged"
    assert fitted.optimal_lr is None
    assert max(fitted.next_lrs) < 0.1
    assert np.isnan(fitted(0.1))


@pytest.mark.parametrize("rates", [5, 8, 15])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("initial_loss", [None, 1.0, 5.0])
def test_pure_noise_is_not_found(rates, seeds, initial_loss):
    rng = np.random.default_rng(rates)
    lr, seed = np.repeat(2.0 ** np.arange(-rates, 0), seeds), np.tile(np.arange(seeds), rates)
    fits = [
        fit_u_curve(lr, 1.0 + 0.01 * rng.standard_normal(lr.size), initial_loss=initial_loss, seed=seed)
        for _ in range(20)
    ]
    assert sum(fitted.status == "inconclusive" for fitted in fits) >= 12
    assert sum(fitted.status == "found" for fitted in fits) <= 8
    assert any("noise" in fitted.advice for fitted in fits)


def test_losses_that_nothing_was_gained_in_have_no_cliff():
    fitted = fit_u_curve([0.01, 0.1, 1.0], [2.3, 2.3, 2.3], initial_loss=2.3)
    assert (fitted.status, fitted.failed_lr) == ("inconclusive", None)
    assert fitted.advice.startswith("The losses do not differ")


@pytest.mark.parametrize("losses", [[2.1, 0.5, math.nan], [0.5, 0.5, math.nan]])
def test_an_end_is_never_the_value_itself(losses):
    optimum = fit_u_curve([0.01, 0.1, 0.1], losses, initial_loss=2.3, seed=[0, 0, 1]).optimal_lr
    assert optimum.value not in (optimum.low, optimum.high)


def test_the_expected_loss_is_that_of_runs_at_the_optimum_and_of_any_seed():
    lr = 2.0 ** np.arange(-8, -1)
    fitted = fit_u_curve(lr, u(lr, 2.0**-4.4, curvature=0.02, bottom=0.01), initial_loss=2.3)
    expected, (low, high) = fitted.expected_loss, fitted.interval(fitted.optimal_lr.value)
    assert expected.value == pytest.approx(0.01, abs=0.005)
    assert 0 < expected.low < low[0]  # one seed says little of another
    assert high[0] < expected.high < 0.06
    elsewhere = fitted.expected_loss_at(2.0**-2.4)
    assert elsewhere.value == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("losses", [(0.002, 0.001), (0.9, 0.02), (1.0, 0.3, 0.01), (0.5, 0.001, 0.0004, 0.0005)])
def test_a_positive_loss_is_expected_to_be_positive(losses):
    lr = 2.0 ** np.arange(-8.0, -8.0 + len(losses))
    expected = fit_u_curve(lr, losses, initial_loss=2.3).expected_loss
    assert 0 < expected.low < expected.value < expected.high
    shifted = fit_u_curve(lr, np.array(losses) - 5, initial_loss=-2.7).expected_loss
    assert shifted.low + 5 < expected.low  # which a loss that may be negative is not held to


def test_intervals_hold_on_noisy_planted_curves():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(100):
        optimum = 2.0 ** rng.uniform(-0.5, 0.5)
        lr = 2.0 ** np.arange(-2.0, 2.5)
        loss = u(lr, optimum, 0.05, skew=rng.uniform(0, 0.6)) + 0.01 * rng.standard_normal(lr.size)
        best = fit_u_curve(lr, loss).optimal_lr
        inside += (best.low or 0.0) <= optimum <= (best.high or math.inf)
    assert 65 <= inside <= 98


def test_what_a_seed_adds_everywhere_is_taken_out():
    lr = np.repeat(2.0 ** np.arange(-3, 2), 3)
    seed = np.tile([0, 1, 2], 5)
    loss = u(lr, 0.5) + np.array([0.0, 0.3, -0.3])[seed]
    with_seeds, without = fit_u_curve(lr, loss, seed=seed), fit_u_curve(lr, loss)
    assert with_seeds.status == "found"
    assert without.status == "inconclusive"  # the seeds differ by more than the rates do
    assert math.log2(with_seeds.optimal_lr.high / with_seeds.optimal_lr.low) < 2


@pytest.mark.parametrize(
    ("lr", "loss", "says"),
    [
        ([], [], "at least one"),
        ([0.1, 0.2], [1.0], "2 rates, 1 losses"),
        ([0.1, -0.2], [1.0, 1.0], "-0.2"),
        ([0.1, math.nan], [1.0, 1.0], "positive and finite"),
    ],
)
def test_bad_input_is_named(lr, loss, says):
    with pytest.raises(InvalidInput, match=says):
        fit_u_curve(lr, loss)


def test_losses_too_large_to_square_count_as_diverged() -> None:
    rates = [0.001 * 2**k for k in range(8)]
    assert fit_u_curve(rates, [1e300 * (2 + k) for k in range(8)]).status == "all_diverged"
