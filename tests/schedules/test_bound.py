"""The convex bound against the published ratios, and the laws that it must keep."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules.bound import convex_bound, extend_run, rank_schedules, transfer_peak_lr

STEP = np.arange(1000)
LINEAR = 1 - STEP / 1000


def wsd(share, shape=lambda p: 1 - p):
    start = 1000 - round(1000 * share)
    return np.where(start > STEP, 1.0, shape(np.clip((STEP - start) / (1000 - start), 0, 1)))


def test_linear_decay_has_the_published_bound_and_base():
    bound = convex_bound(LINEAR)
    assert bound.value == pytest.approx(0.06343, abs=5e-6)
    assert bound.best_base == pytest.approx(0.0315, abs=5e-5)
    assert bound.at(bound.best_base) == pytest.approx(bound.value)


@pytest.mark.parametrize(
    ("rates", "ratio"),
    [
        (0.5 * (1 + np.cos(np.pi * STEP / 1000)), 1.029),
        (wsd(0.6), 1.009),
        (wsd(0.2), 1.083),
        (wsd(0.2, lambda p: 1 - np.sqrt(p)), 1.064),
        (np.ones(1000), 1.452),
    ],
    ids=["cosine", "wsd 60 %", "wsd 20 %", "wsd 20 % 1-sqrt", "constant"],
)
def test_published_ratios_to_linear_decay(rates, ratio):
    assert convex_bound(rates).value / convex_bound(LINEAR).value == pytest.approx(ratio, abs=5e-4)


def reference_bound(eta, norms, distance):
    """The formula as written, in plain loops."""
    total = sum(eta)
    first = distance**2 / (2 * total)
    second = sum(e * e * g * g for e, g in zip(eta, norms, strict=True)) / (2 * total)
    third = 0.0
    for k in range(len(eta) - 1):
        squares = sum(e * e * g * g for e, g in zip(eta[k:], norms[k:], strict=True))
        third += 0.5 * eta[k] / sum(eta[k + 1 :]) * squares / sum(eta[k:])
    return first, second + third


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.1, 10)), min_size=1, max_size=12), st.floats(0.1, 10))
def test_fast_path_equals_the_formula_as_written(pairs, distance):
    eta, norms = zip(*pairs, strict=True)
    bound = convex_bound(eta, grad_norm=norms, distance=distance)
    first, rest = reference_bound(eta, norms, distance)
    assert bound.distance_term == pytest.approx(first)
    assert bound.noise_term == pytest.approx(rest)


@given(st.floats(0.01, 100))
def test_scaling_the_rates_scales_the_best_base_and_keeps_the_bound(factor):
    bound = convex_bound(factor * LINEAR)
    assert bound.value == pytest.approx(convex_bound(LINEAR).value)
    assert factor * bound.best_base == pytest.approx(convex_bound(LINEAR).best_base)


def test_updates_at_rate_zero_are_left_out():
    assert convex_bound(np.append(LINEAR, [0.0, 0.0])) == convex_bound(LINEAR)


def test_ranking_puts_linear_first_and_names_the_best_peak_rates():
    ranking = rank_schedules(["constant", "linear", "wsd"], [np.ones(1000), LINEAR, wsd(0.2)])
    assert [place.name for place in ranking] == ["linear", "wsd", "constant"]
    assert ranking[0].relative_bound == 1.0
    assert 1 / ranking[1].relative_peak_lr == pytest.approx(1.95, abs=0.005)


def test_transfer_from_wsd_to_linear_and_back():
    there = transfer_peak_lr(0.01, wsd(0.2), LINEAR)
    assert there.peak_lr.value == pytest.approx(0.0195, abs=5e-5)
    assert there.peak_lr.low < there.peak_lr.value < there.peak_lr.high
    assert transfer_peak_lr(there.peak_lr.value, LINEAR, wsd(0.2)).peak_lr.value == pytest.approx(0.01)


def test_transfer_to_a_longer_run_follows_the_square_root():
    longer = 1 - np.arange(4000) / 4000
    assert transfer_peak_lr(1.0, LINEAR, longer).factor == pytest.approx(0.5, abs=0.005)


def test_extension_lowers_the_plateau_and_beats_going_on_unchanged():
    extension = extend_run(wsd(0.2), 2000)
    assert 0.1 < extension.level < 1
    assert extension.bound < extension.bound_unchanged
    assert len(extension.rates) == 2000
    np.testing.assert_array_equal(extension.rates[:800], 1.0)


@pytest.mark.parametrize("rates", [[], [0, 0], [1, -1], [math.nan, 1], [[1, 2]]])
def test_bad_rates_are_refused(rates):
    with pytest.raises(InvalidInput, match="rates"):
        convex_bound(rates)


def test_other_bad_input_is_refused():
    with pytest.raises(InvalidInput, match=r"'rates' .* must be numbers"):
        convex_bound(["a", "b"])  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="peak_lr"):
        transfer_peak_lr(0.0, LINEAR, LINEAR)
    with pytest.raises(InvalidInput, match="grad_norm"):
        convex_bound(LINEAR, grad_norm=[1, 2])
    with pytest.raises(InvalidInput, match="distance"):
        convex_bound(LINEAR, distance=0)
    with pytest.raises(InvalidInput, match="extend"):
        extend_run(LINEAR, 500)
    with pytest.raises(InvalidInput, match="one name per schedule"):
        rank_schedules(["a"], [LINEAR, LINEAR])


def test_a_rate_that_grows_without_bounds_still_has_a_bound() -> None:
    rates = 1.5 ** np.arange(1000)
    ranked = rank_schedules(["growing", "linear"], [rates, 1 - np.arange(1000) / 1000])
    assert ranked[0].name == "linear"
    assert convex_bound(rates).value == pytest.approx(convex_bound(rates / rates[-1]).value, rel=1e-9)
