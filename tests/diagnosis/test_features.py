"""What every feature must obey, and what some say of curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.curves.curve import Curve
from lrscope.diagnosis import evidence, features
from lrscope.diagnosis.evidence import Record, bounce
from lrscope.diagnosis.model import VARIANTS, feature_vector
from lrscope.diagnosis.sentences import SENTENCES
from lrscope.diagnosis.shape import Shape, make_shape

STEP = np.arange(400)


def shape_of(loss: np.ndarray, step: np.ndarray = STEP) -> Shape:
    shape = make_shape(Curve(name="run", step=step, loss=loss))
    assert shape is not None
    return shape


def falling(power: float, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """2.3 (1 + t)^−power, with noise."""
    rng = np.random.default_rng(seed)
    return np.asarray(2.3 * (1.0 + STEP) ** -power + noise * rng.normal(size=len(STEP)))


@given(
    st.floats(0.05, 1.5), st.floats(1e-3, 1e3), st.integers(1, 50), st.floats(0, 0.3), st.integers(0, 100)
)  # fmt: skip
def test_features_do_not_depend_on_the_unit_of_the_loss_or_the_steps(
    power: float, unit: float, stretch: int, noise: float, seed: int
) -> None:
    loss = np.abs(falling(power, noise, seed)) + 1e-3
    first, second = shape_of(loss), shape_of(loss * unit, STEP * stretch)
    for feature in features.LOSS_FEATURES:
        assert feature(first) == pytest.approx(feature(second), rel=1e-6, abs=1e-6), feature.__name__


@given(st.floats(0.05, 1.5), st.floats(0, 0.3), st.integers(0, 100))
def test_features_that_are_not_of_the_level_ignore_an_offset(power: float, noise: float, seed: int) -> None:
    loss = np.abs(falling(power, noise, seed)) + 1e-3
    first, second = shape_of(loss), shape_of(loss + 1.7)
    for feature in features.LOSS_FEATURES:
        if "(level)" not in (feature.__doc__ or ""):
            assert feature(first) == pytest.approx(feature(second), rel=1e-6, abs=1e-6), feature.__name__


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=60),
    st.lists(st.floats(0, 1e6), min_size=60, max_size=60),
)
def test_every_feature_is_finite_on_any_curve(loss: list[float], other: list[float]) -> None:
    series = np.array(other[: len(loss)])
    curve = Curve(
        name="any", step=np.arange(len(loss)), loss=np.array(loss), lr=series, grad_norm=series, grad_norm_l1=series,
        update_ratio=series, alpha=series - 1, gradient_cosine=np.cos(series),
    )  # fmt: skip
    shape = make_shape(curve)
    if shape is not None:
        with np.errstate(all="ignore"):
            values = feature_vector(curve, shape, "monitor")
        assert not np.isinf(values).any()
        assert np.isfinite(values[: len(VARIANTS["loss"])]).all()


def test_every_feature_has_a_sentence_that_is_true_of_any_value() -> None:
    for name in VARIANTS["monitor"]:
        for value in (-1.0, 0.0, 0.5, 3.0):
            sentence = SENTENCES[name](value)
            assert not sentence[0].islower()
            assert sentence.endswith(".")


def test_a_power_law_shows_its_power() -> None:
    assert features.power(shape_of(falling(0.5))) == pytest.approx(0.5, abs=0.05)


def test_a_slow_run_falls_to_its_end_and_a_plateau_does_not() -> None:
    slow, plateau = shape_of(2.3 - 1e-3 * STEP), shape_of(0.5 + 1.8 * np.exp(-STEP / 5.0))
    assert features.last_half(slow) == pytest.approx(0.5, abs=0.05)
    assert features.last_half(plateau) == pytest.approx(0.0, abs=0.01)
    assert features.lowest_time(slow) == 1.0
    assert features.trend(slow) > 3
    assert features.half_time(plateau) < -1.5 < -0.5 < features.half_time(slow)


def test_the_start_is_known_even_where_the_loss_shoots_up_at_once() -> None:
    loss = np.r_[2.3, np.full(2999, 50.0)]
    shape = shape_of(loss, np.arange(3000))
    assert shape.initial == 2.3
    assert features.learned_nothing(shape) == 1.0


def test_a_log_that_begins_late_is_of_a_run_that_began_before_it() -> None:
    late = shape_of(falling(0.5)[100:], STEP[100:])
    assert features.first_seen(late) == pytest.approx(np.log10(0.25), abs=0.01)
    assert features.power(late) == pytest.approx(features.power(shape_of(falling(0.5))), abs=0.05)
    fragment = shape_of(falling(0.5), STEP + 10_000)  # a run that counts on from another
    assert features.first_seen(fragment) < -2


def test_bouncing_explains_the_floor_of_a_noisy_parabola() -> None:
    # x ← x − η (λ x + noise): around the minimum the mean loss is η σ² / (4 − 2 η λ), a quarter of η |g|² for small η
    rng, lr, curvature, steps = np.random.default_rng(0), 0.02, 1.0, 40_000
    x, loss, norm = 5.0, np.empty(steps), np.empty(steps)
    for k in range(steps):
        gradient = curvature * x + rng.normal()
        loss[k], norm[k] = 0.5 * curvature * x * x, abs(gradient)
        x -= lr * gradient
    curve = Curve(
        name="parabola", step=np.arange(steps), loss=loss, lr=np.full(steps, lr), grad_norm=norm, optimizer="sgd"
    )
    shape = make_shape(curve)
    assert shape is not None
    predicted = 0.25 * lr * float(np.mean(norm[20_000:] ** 2))
    assert predicted == pytest.approx(float(loss[20_000:].mean()), rel=0.1)
    share = 10 ** evidence.bounce(evidence.Record(curve=curve, shape=shape)) * shape.scale
    assert share == pytest.approx(predicted, rel=0.6)  # the feature takes the median of |g|², not its mean


def test_a_plan_that_is_not_done_is_seen() -> None:
    curve = Curve(name="cut", step=STEP, loss=falling(0.3), lr=np.full(400, 0.1), total_steps=1600)
    shape = make_shape(curve)
    assert shape is not None
    assert evidence.planned_left(evidence.Record(curve=curve, shape=shape)) == pytest.approx(0.75)


@pytest.mark.parametrize("name", ["momentum", "MomentumOptimizer", "momentum SGD", "momentum0.9"])
def test_every_optimizer_with_momentum_has_a_gain(name: str) -> None:
    steps = np.arange(50)
    logged = Curve(
        name="run", step=steps, loss=np.exp(-steps / 20), lr=np.full(50, 0.1), grad_norm=np.ones(50), optimizer=name
    )
    shape = make_shape(logged)
    assert shape is not None
    assert bounce(Record(curve=logged, shape=shape)) == pytest.approx(
        np.log10(0.25 * 0.1 / (1 - 0.9) / shape.scale), abs=1e-9
    )
