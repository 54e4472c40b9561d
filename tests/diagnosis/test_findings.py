"""What else is named when it is seen, and is not named when it is not there."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lrscope.curves.curve import Curve
from lrscope.diagnosis.findings import Finding, find_all
from lrscope.diagnosis.shape import make_shape

STEP = np.arange(1000)


def healthy(seed: int = 0, noise: float = 0.03) -> np.ndarray:
    return np.asarray(0.2 + 2.1 * np.exp(-STEP / 100) + noise * np.random.default_rng(seed).normal(size=1000))


def look(loss: np.ndarray, **more: object) -> dict[str, Finding]:
    curve = Curve(name="run", step=STEP, loss=loss, **more)  # type: ignore[arg-type]
    return {finding.what: finding for finding in find_all(curve, make_shape(curve))}


@given(st.integers(0, 500), st.floats(0.0, 0.1))
def test_a_healthy_run_has_none(seed: int, noise: float) -> None:
    lr = 0.1 * np.minimum(1.0, (STEP + 1) / 50) * (1 - STEP / 1000)
    falling = Curve(
        name="run",
        step=STEP,
        loss=healthy(seed, noise),
        lr=lr,
        val_step=STEP[::50],
        val_loss=healthy(seed, 0.0)[::50] + 0.1,
    )
    assert find_all(falling, make_shape(falling)) == ()


def test_spikes_are_counted_and_placed() -> None:
    loss = healthy()
    loss[[300, 301, 700]] += 4.0
    spikes = look(loss)["loss_spikes"]
    assert spikes.value == 2
    assert spikes.steps == (300, 700)
    assert "2 times, first at step 300" in spikes.says


def test_late_divergence_says_where_it_turned() -> None:
    finding = look(np.where(STEP < 600, healthy(), healthy() + (STEP - 600) / 200))["late_divergence"]
    assert 500 <= finding.steps[0] <= 650
    lost = look(np.where(STEP < 600, healthy(), np.nan))["late_divergence"]
    assert "is not finite any more" in lost.says


def test_overfitting_says_where_to_stop() -> None:
    at = STEP[::50]
    finding = look(healthy(), val_step=at, val_loss=1.0 + np.abs(at - 400) / 500)["overfitting"]
    assert finding.steps == (400,)


def test_a_decay_that_comes_too_early() -> None:
    lr = 0.1 * np.maximum(1e-3, 1 - STEP / 300)
    loss = 2.3 - 0.5 * np.log10(1 + np.cumsum(lr)) + 0.005 * np.random.default_rng(0).normal(size=1000)
    assert look(loss, lr=lr)["decays_too_early"].value < 0.35
    assert "decays_too_early" not in look(loss, lr=0.1 * (1 - STEP / 1000))


def test_a_warm_up_that_was_not_needed() -> None:
    lr = 0.1 * np.minimum(1.0, (STEP + 1) / 500)
    assert look(healthy(), lr=lr)["wasted_warmup"].steps == (499,)
    assert "wasted_warmup" not in look(healthy(), lr=0.1 * np.minimum(1.0, (STEP + 1) / 50))
