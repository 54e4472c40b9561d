"""Decays with an end: where they begin, where they end, and what comes after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules import Cooldown, CosineDecay, LinearDecay, PolynomialDecay, Rex, TanhDecay
from lrscope.schedules.decay import SHAPES, Decay

FAMILIES: list[type[Decay]] = [LinearDecay, PolynomialDecay, CosineDecay, Rex]
EVERY = [lambda n, family=family, **more: family(n, **more) for family in FAMILIES] + [
    lambda n, shape=shape, **more: Cooldown(n, shape_name=shape, **more) for shape in SHAPES
]
steps_of = st.integers(2, 500)


@pytest.mark.parametrize("make", EVERY)
@given(n=steps_of, start=st.floats(0.5, 2), end=st.floats(0, 0.4))
def test_goes_from_start_to_end_and_never_up(make, n: int, start: float, end: float) -> None:
    decay = make(n, start_factor=start, end_factor=end)
    shares = decay(np.arange(n + 5))
    assert shares[0] == pytest.approx(start)
    assert shares[n - 1 :] == pytest.approx(end)
    assert (np.diff(shares) <= 1e-15).all()


@pytest.mark.parametrize("make", EVERY)
@given(n=steps_of)
def test_the_end_is_at_the_last_update_at_the_total_or_never(make, n: int) -> None:
    at_last, at_total, never = (make(n, end_at=end_at) for end_at in ("last_update", "total", "never"))
    assert at_last(n - 1) == pytest.approx(0.0, abs=1e-12)
    assert at_total(n - 1) == never(n - 1) > 0
    assert at_total(n) == pytest.approx(0.0, abs=1e-12)
    assert never(n) == never(10**9) == never(n - 1)


@pytest.mark.parametrize("make", EVERY)
@given(n=steps_of)
def test_an_offset_of_one_moves_the_curve_one_update_forward(make, n: int) -> None:
    early = make(n, end_at="total", offset=1)
    assert np.array_equal(early(np.arange(n)), make(n, end_at="total")(np.arange(1, n + 1)))
    assert early(n - 1) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("make", EVERY)
def test_a_decay_of_no_or_one_update_is_at_its_end(make) -> None:
    for n in (0, 1):
        assert make(n, end_factor=0.3)([0, 1, 5]).tolist() == [0.3, 0.3, 0.3]


def test_past_the_end_it_holds_goes_on_or_refuses() -> None:
    assert CosineDecay(5)(7) == pytest.approx(0)
    assert CosineDecay(5, past_end="continue")(8) == pytest.approx(1)
    assert CosineDecay(5, past_end="error")(4) == pytest.approx(0)
    with pytest.raises(InvalidInput, match=r"^Step 5 is past the end of 'cosine\(5, past_end=error\)', which has 5"):
        CosineDecay(5, past_end="error")(5)
    with pytest.raises(InvalidInput, match="Step 9 is past the end"):
        CosineDecay(5, past_end="error")([0, 9, 3])


@given(n=st.integers(2, 30), power=st.floats(0.5, 3), step=st.integers(0, 200))
def test_a_cycling_polynomial_ends_at_every_multiple_of_its_length(n: int, power: float, step: int) -> None:
    decay = PolynomialDecay(n, end_at="total", past_end="cycle", power=power)
    turns = max(1, -(-step // n))
    assert decay(step) == pytest.approx((1 - step / (n * turns)) ** power)
    assert decay(n * (step + 1)) == pytest.approx(0.0, abs=1e-12)
    by_last_update = PolynomialDecay(n, past_end="cycle", power=power)
    assert by_last_update(n * (step + 1) - 1) == pytest.approx(0.0, abs=1e-12)


def test_known_shapes() -> None:
    quarter = {"linear": 0.75, "cosine": 0.5 + 0.25 * 2**0.5, "sqrt": 0.5, "square": 15 / 16}
    for shape, share in quarter.items():
        assert Cooldown(5, shape_name=shape)(1) == pytest.approx(share)
    line, cosine, mirror = (Cooldown(101, shape_name=s)(np.arange(101)) for s in ("linear", "cosine", "mirror_cosine"))
    assert mirror + cosine == pytest.approx(2 * line, abs=1e-12)
    assert Rex(101)(50) == pytest.approx(0.5 / 0.75)
    assert TanhDecay(101)(70) == pytest.approx(0.5)
    assert LinearDecay(11, k_decay=2)(5) == pytest.approx(0.75)


def test_refuses_a_tangent_that_goes_nowhere() -> None:
    with pytest.raises(InvalidInput, match=r"^The 'lower' parameter of TanhDecay must be below upper, 1\. Got 2\.0\.$"):
        TanhDecay(5, lower=2.0, upper=1.0)


def test_a_decay_that_goes_on_past_its_end_is_never_below_zero() -> None:
    for shape in SHAPES:
        cooldown = Cooldown(3, end_at="total", past_end="continue", shape_name=shape)
        assert (cooldown(np.arange(12)) >= 0).all(), shape
