"""Warm-ups: counted from one or from zero, up to their full share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.schedules import CosineWarmup, LinearWarmup, LogWarmup, PolynomialWarmup, SqrtWarmup
from lrscope.schedules.warmup import Warmup

FAMILIES: list[type[Warmup]] = [LinearWarmup, CosineWarmup, SqrtWarmup, PolynomialWarmup, LogWarmup]


@pytest.mark.parametrize("family", FAMILIES)
@given(steps=st.integers(1, 300), start=st.floats(0, 1), end=st.floats(1, 2))
def test_rises_to_the_end_by_its_last_update_and_stays(family, steps: int, start: float, end: float) -> None:
    shares = family(steps, start, end)(np.arange(steps + 5))
    assert (np.diff(shares) >= -1e-15).all()
    assert shares[steps - 1 :] == pytest.approx(end)
    assert shares[0] >= start
    if steps > 1 and family is not LogWarmup:
        assert shares[0] > start or start == end or np.isclose(start, end)


@pytest.mark.parametrize("family", [LinearWarmup, CosineWarmup, SqrtWarmup, PolynomialWarmup])
@given(steps=st.integers(1, 300))
def test_counting_from_zero_wastes_the_first_update(family, steps: int) -> None:
    from_zero, from_one = family(steps, offset=0), family(steps)
    assert from_zero(0) == 0.0
    assert from_zero(steps) == 1.0
    assert np.array_equal(from_zero(np.arange(1, steps + 1)), from_one(np.arange(steps)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_warm_up_of_no_updates_is_at_its_end(family) -> None:
    assert family(0, 0.2, 0.7)([0, 1]).tolist() == [0.7, 0.7]


def test_known_values() -> None:
    assert LinearWarmup(5)([0, 4]).tolist() == [0.2, 1.0]
    assert CosineWarmup(4, offset=0)(2) == pytest.approx(0.5)
    assert SqrtWarmup(4)(2) == pytest.approx(0.5)
    assert LogWarmup(8)([0, 1, 3, 7]) == pytest.approx([0, 1 / 3, 2 / 3, 1])
