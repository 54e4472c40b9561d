"""The laws of the optimum against the batch size: planted ones come back, few points leave them undecided."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.scaling.batch_law import fit_batch_law, fit_group_laws, predict_many, predict_optimal_lr
from lrscope.scaling.laws import LAWS

SIZES = np.array([8.0, 16, 32, 64, 128, 256, 512])


def planted(name, theta=0.0, sizes=SIZES, deviation=0.05, seed=None):
    """Optima of a law at a level of 2^-8, with intervals as wide as their scatter."""
    shape = next(law for law in LAWS if law.name == name)
    octaves = -8 + shape.shape(np.log2(sizes), np.array([theta]))
    if seed is not None:
        octaves = octaves + np.random.default_rng(seed).normal(scale=deviation, size=octaves.shape)
    return [Estimate(2**x, 2 ** (x - 1.28 * deviation), 2 ** (x + 1.28 * deviation)) for x in octaves.ravel()]


@pytest.mark.parametrize(
    ("name", "theta"), [("constant", 0), ("linear", 0), ("square-root", 0), ("power", 0.3), ("surge", 6.0)]
)
def test_a_planted_law_is_ranked_first(name, theta):
    laws = fit_batch_law(SIZES, planted(name, theta))
    assert laws[0].name == name
    assert sum(law.weight for law in laws) == pytest.approx(1)
    assert [law.weight for law in laws] == sorted((law.weight for law in laws), reverse=True)


def test_a_planted_exponent_and_noise_batch_size_come_back():
    power = next(law for law in fit_batch_law(SIZES, planted("power", 0.3)) if law.name == "power")
    assert power.parameters["p"].low < 0.3 < power.parameters["p"].high
    saturating = next(
        law for law in fit_batch_law(SIZES, planted("linear-saturating", 5.0)) if law.name == "linear-saturating"
    )
    assert saturating.parameters["B_n"].low < 32 < saturating.parameters["B_n"].high
    assert saturating.parameters["η_max"].low < 2**-8 < saturating.parameters["η_max"].high
    assert saturating.deviation < 0.1


@settings(max_examples=10, deadline=None)
@given(st.floats(-3, 3), st.integers(-3, 3))
def test_scaling_rates_or_batch_sizes_scales_the_prediction(rate_octaves, size_octaves):
    optima = planted("power", 0.4, seed=1)
    plain = predict_optimal_lr(fit_batch_law(SIZES, optima), 2048)
    factor = 2**rate_octaves
    scaled = [Estimate(o.value * factor, o.low * factor, o.high * factor) for o in optima]
    assert predict_optimal_lr(fit_batch_law(SIZES, scaled), 2048).value == pytest.approx(plain.value * factor, rel=5e-3)
    moved = fit_batch_law(SIZES * 2.0**size_octaves, optima)
    assert predict_optimal_lr(moved, 2048 * 2.0**size_octaves).value == pytest.approx(plain.value, rel=0.03)


def test_intervals_hold_where_optima_scatter_about_a_law():
    held = []
    for seed in range(40):
        optima = planted("square-root", sizes=SIZES[:5], deviation=0.15, seed=seed)
        held.append(2**-8 * math.sqrt(512) in predict_optimal_lr(fit_batch_law(SIZES[:5], optima), 512))
    assert np.mean(held) >= 0.8


def test_predictions_widen_away_from_the_data_and_many_agree_with_one():
    laws = fit_batch_law(SIZES, planted("square-root"))
    widths = [math.log2(found.high / found.low) for found in predict_many(laws, [64, 1024, 4096])]
    assert widths == sorted(widths)
    assert predict_many(laws, [1024])[0] == predict_optimal_lr(laws, 1024)


def test_two_batch_sizes_leave_the_laws_undecided():
    laws = fit_batch_law([16, 64], [Estimate(0.01, 0.008, 0.0125), Estimate(0.02, 0.016, 0.025)])
    assert laws[0].weight < 0.6
    found = predict_optimal_lr(laws, 1024)
    assert found.high / found.low > 4


def test_one_batch_size_and_open_ends_are_ordinary_input():
    (found,) = predict_many(fit_batch_law([64], [Estimate(0.1, None, 0.2)]), [256])
    assert found.low < 0.2 < found.high


def test_groups_share_their_exponents_and_one_that_nobody_ran_is_predicted():
    rows = [(size, params) for params in (1e6, 4e6, 16e6) for size in (16.0, 32.0, 64.0, 128.0)]
    octaves = [-8 + 0.5 * math.log2(size / 16) - 0.6 * math.log2(params / 1e6) for size, params in rows]
    optima = [Estimate(2**x, 2 ** (x - 0.06), 2 ** (x + 0.06)) for x in octaves]
    shared = fit_group_laws([size for size, _ in rows], optima, [[params] for _, params in rows], ["n_params"])
    laws = shared.at([8e6])
    exponent = next(law for law in laws if law.name == "power").parameters["exponent of n_params"]
    assert exponent.low < -0.6 < exponent.high
    found = predict_optimal_lr(laws, 64)
    assert 2 ** (-8 + 1 - 1.8) in found
    with pytest.raises(InvalidInput, match="one positive number each of n_params"):
        shared.at([1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fit_batch_law([], []), "at least one"),
        (lambda: fit_batch_law([16], []), "one optimum per batch size"),
        (lambda: fit_batch_law([-16], [Estimate(0.1, 0.1, 0.1)]), "positive and finite"),
        (lambda: fit_batch_law([16], [Estimate(0.0, 0.0, 0.1)]), "positive and finite"),
        (lambda: predict_optimal_lr([], 16), "at least one law"),
        (lambda: predict_optimal_lr(fit_batch_law([16], [Estimate(0.1, 0.1, 0.1)]), 0), "batch size"),
        (lambda: fit_group_laws([16], [Estimate(0.1, 0.1, 0.1)], [[0.0]], ["n"]), "positive and finite"),
        (lambda: fit_group_laws([16], [Estimate(0.1, 0.1, 0.1)], [[1.0, 2.0]], ["n"]), "rows of 1 columns"),
    ],
)
def test_bad_input_is_one_sentence(call, says):
    with pytest.raises(InvalidInput, match=says):
        call()
