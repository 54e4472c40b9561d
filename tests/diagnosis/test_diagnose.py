"""The verdict: what it holds, what it must never say, and what it does with curves that decide nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscope.curves.curve import Curve
from lrscope.diagnosis.diagnose import BOUNDS, decide, diagnose, diagnose_all
from lrscope.diagnosis.model import VARIANTS, load_model
from lrscope.diagnosis.regime import REGIMES

STEP = np.arange(500)
FALLING = 0.1 + 2.2 * np.exp(-STEP / 30) + 0.01 * np.random.default_rng(0).normal(size=500)
SLOW = 2.3 - 1e-4 * STEP + 0.001 * np.random.default_rng(1).normal(size=500)
LOST = np.where(STEP < 40, 2.3 - STEP / 100, np.nan)


def curve(loss: np.ndarray, name: str = "run", **more: object) -> Curve:
    return Curve(name=name, step=STEP[: len(loss)], loss=loss, **more)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=0, max_size=80), st.booleans())
def test_any_curve_gets_a_whole_verdict(loss: list[float], rated: bool) -> None:
    lr = np.abs(np.nan_to_num(np.array(loss), posinf=1.0, neginf=1.0)) if rated else None
    with np.errstate(all="ignore"):
        verdict = diagnose(curve(np.array(loss), lr=lr))
    assert verdict.regime in (*REGIMES, "inconclusive")
    assert math.isclose(sum(verdict.probabilities.values()), 1.0, abs_tol=1e-9)
    assert verdict.advice.endswith(".")
    assert all(item.says.endswith(".") for item in verdict.evidence)
    factor = verdict.lr_factor
    assert factor.value > 0
    least, most = BOUNDS[verdict.regime]
    assert least * 0.999 <= factor.value <= most * 1.001
    assert factor.low is None or factor.low <= factor.value
    assert factor.high is None or factor.value <= factor.high


def test_the_four_regimes_by_their_textbook_curves() -> None:
    wander = np.convolve(np.random.default_rng(2).normal(size=519), np.full(20, 0.05), "valid")
    bouncing = 1.5 + 0.8 * np.exp(-STEP / 3) + 0.6 * np.abs(wander) * (STEP > 0)
    rising = np.r_[2.3, 30.0 + np.random.default_rng(3).normal(size=499)]
    found = [diagnose(curve(loss)).regime for loss in (LOST, rising, bouncing, SLOW)]
    assert found == ["very_high", "very_high", "high", "low"]
    zero = 2.3 / (1 + STEP) + 1e-3
    assert diagnose(curve(zero)).regime == "good"


def test_what_is_read_is_the_richest_that_the_log_has() -> None:
    lr = np.full(500, 0.1)
    measured = np.where(STEP % 50 == 0, 0.5, np.nan)
    assert diagnose(curve(FALLING)).variant == "loss"
    assert diagnose(curve(FALLING, lr=lr)).variant == "lr"
    assert diagnose(curve(FALLING, lr=lr, grad_norm=lr)).variant == "gradient"
    assert diagnose(curve(FALLING, lr=lr, grad_norm=lr, alpha=measured)).variant == "monitor"
    assert diagnose(curve(FALLING, lr=np.full(500, np.nan))).variant == "loss"
    assert diagnose(curve(FALLING, lr=lr), variant="loss").variant == "loss"


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (np.array([]), "The log has 0 finite points"),
        (np.full(6, 2.0) - np.arange(6) / 10, "The log has 6 finite points"),
        (np.full(100, 2.3), "The loss does not change at all"),
        (np.round(2.3 - STEP / 1000, 1), "too few digits"),
    ],
)
def test_too_little_to_decide(loss: np.ndarray, reason: str) -> None:
    verdict = diagnose(curve(loss))
    assert verdict.regime == "inconclusive"
    assert reason in verdict.evidence[0].says
    assert reason in verdict.advice


def test_a_plan_that_has_hardly_begun_decides_nothing_but_divergence() -> None:
    assert diagnose(curve(SLOW, total_steps=100_000)).regime == "inconclusive"
    assert diagnose(curve(LOST, total_steps=100_000)).regime == "very_high"


def test_a_plateau_under_a_rate_that_has_decayed_is_not_high() -> None:
    lr = 0.1 * 0.5 * (1 + np.cos(np.pi * np.minimum(1.0, STEP / 300)))
    loss = 0.02 + 2.28 * np.exp(-np.cumsum(lr) / 1.5) + 0.002 * np.random.default_rng(0).normal(size=500)
    verdict = diagnose(curve(loss, lr=lr, optimizer="sgd"))
    assert verdict.regime not in ("high", "very_high")


def test_a_warm_up_is_not_low() -> None:
    lr = 0.3 * np.minimum(1.0, (STEP + 1) / 100)
    loss = 0.03 + 2.27 / (1 + np.cumsum(lr) / 2) ** 1.5 + 0.003 * np.random.default_rng(0).normal(size=500)
    assert diagnose(curve(loss, lr=lr, optimizer="sgd")).regime == "good"


def test_good_is_taken_in_doubt_and_nothing_where_all_is_open() -> None:
    p = np.array([[0.1, 0.5, 0.4, 0.0], [0.1, 0.8, 0.1, 0.0], [0.3, 0.3, 0.2, 0.2]])
    assert decide(p, doubt=0.45, good_bonus=1.5).tolist() == [2, 1, 4]
    assert decide(p, doubt=0.45, good_bonus=1.0).tolist() == [1, 1, 4]


def test_the_document_of_a_run() -> None:
    document = diagnose(curve(SLOW, "slow")).to_json()
    assert list(document) == ["name", "regime", "probabilities", "lr_factor", "evidence", "advice"]
    assert [d.name for d in diagnose_all([curve(SLOW, "a"), curve(LOST, "b")])] == ["a", "b"]


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_the_model_is_whole_and_small(variant: str) -> None:
    model = load_model(variant)
    assert model.names == VARIANTS[variant]
    inputs = len(model.names) * (1 + len(model.knots))
    assert model.coefficients.shape == (4, inputs)
    assert model.factor_coefficients.shape == (4, inputs)
    assert np.all(model.factor_spread[:, 0] <= model.factor_spread[:, 1])
    at_centre = model.probabilities(model.centre)
    np.testing.assert_allclose(model.probabilities(np.full(len(model.names), np.nan)), at_centre)
    assert inputs <= 250
