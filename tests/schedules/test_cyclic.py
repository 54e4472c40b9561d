"""Cycles are counted with whole numbers: their starts are right however far they lie."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules import CosineRestarts, Cyclic, LinearDecay, OneCycle, PolynomialDecay, Tabulated


@given(first=st.integers(1, 50), mult=st.sampled_from([2, 3, 5, 10]), cycle=st.integers(0, 12))
def test_growing_cycles_begin_where_whole_numbers_say(first: int, mult: int, cycle: int) -> None:
    start = first * (mult**cycle - 1) // (mult - 1)
    restarts = CosineRestarts(first, mult, end_at="total")
    assert restarts(start) == 1.0
    if start > 1 or (start == 1 and first > 1):
        assert restarts(start - 1) < 1.0


@pytest.mark.parametrize("mult", [3, 10])
def test_starts_are_right_where_a_logarithm_misses_them(mult: int) -> None:
    powers = [power for power in range(1, 30) if mult**power < 2**53]
    missed = [power for power in powers if int(math.log(mult**power) / math.log(mult)) != power]
    assert missed
    restarts = CosineRestarts(mult - 1, mult, end_at="total")
    assert [restarts(mult**power - 1) for power in powers] == [1.0] * len(powers)


@given(first=st.integers(2, 10**6), turn=st.integers(0, 10**6))
def test_equal_cycles_begin_exactly_on_a_token_clock(first: int, turn: int) -> None:
    restarts = CosineRestarts(first, end_at="total")
    assert restarts(first * turn) == 1.0
    assert restarts(first * turn + first - 1) < 1.0


def test_cycles_of_a_half_step_too_many() -> None:
    growing = CosineRestarts(10, 1.5, end_at="total")
    starts = [Fraction(10) * (Fraction(3, 2) ** k - 1) / Fraction(1, 2) for k in range(8)]
    for start in starts:
        assert growing(float(start)) == 1.0


@settings(max_examples=50)
@given(cycles=st.integers(1, 9), steps=st.integers(1, 500))
def test_cycles_may_share_a_run_without_dividing_it(cycles: int, steps: int) -> None:
    restarts = CosineRestarts(cycles=cycles, steps=steps, end_at="total")
    for step in range(steps):
        done = Fraction(cycles * step % steps, steps)
        assert restarts(step) == pytest.approx(0.5 * (1 + np.cos(np.pi * float(done))))
    assert restarts(steps) == 0.0


def test_each_restart_may_be_lower() -> None:
    peaks = CosineRestarts(4, cycle_decay=0.5, end_factor=0.1, end_at="total")([0, 4, 8])
    assert peaks.tolist() == [1.0, 0.5, 0.25]
    ranges = CosineRestarts(4, cycle_decay=0.5, decays="range", end_factor=0.2, end_at="total")([0, 4, 8])
    assert ranges == pytest.approx([1.0, 0.6, 0.4])


def test_after_the_last_cycle_it_holds_goes_on_or_refuses() -> None:
    assert CosineRestarts(4, cycles=2)([7, 8, 100]).tolist() == [0.0, 0.0, 0.0]
    assert CosineRestarts(4, cycles=2, end_at="total", past_end="continue")(8) == 1.0
    with pytest.raises(InvalidInput, match="Step 8 is past the end"):
        CosineRestarts(4, cycles=2, past_end="error")(8)
    never = CosineRestarts(4, cycles=2, end_at="never")
    assert never(8) == never(7) > 0


def test_any_decay_may_repeat() -> None:
    sawtooth = CosineRestarts(5, decay=LinearDecay(1))
    assert sawtooth(np.arange(10)).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0] * 2
    curved = CosineRestarts(4, end_at="total", decay=PolynomialDecay(1, power=2))
    assert curved([0, 2, 6]).tolist() == [1.0, 0.25, 0.25]


def test_restarts_without_any_length_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'first_cycle_steps' parameter of CosineRestarts must be a number of steps"):
        CosineRestarts()
    with pytest.raises(InvalidInput, match=">= 1 where the number of cycles is not given"):
        CosineRestarts(10, 0.5)
    with pytest.raises(InvalidInput, match="a whole number where the cycles grow"):
        CosineRestarts(10, 2, cycles=1.5)


@given(up=st.integers(1, 30), down=st.integers(1, 30), step=st.integers(0, 10**6))
def test_triangles(up: int, down: int, step: int) -> None:
    inside, turn = step % (up + down), step // (up + down)
    height = inside / up if inside <= up else (up + down - inside) / down
    assert Cyclic(up, down)(step) == pytest.approx(height)
    assert Cyclic(up, down, 0.2, 0.8)(step) == pytest.approx(0.2 + 0.6 * height)
    if turn < 60:
        assert Cyclic(up, down, mode="triangular2")(step) == pytest.approx(height / 2**turn)
    assert Cyclic(up, down, mode="exp_range", gamma=0.99)(step) == pytest.approx(height * 0.99**step)


def test_a_cycle_may_be_scaled_by_any_schedule() -> None:
    halves = Tabulated((1.0, 0.5, 0.0))
    assert Cyclic(2, scale=halves)([2, 6, 10]).tolist() == [1.0, 0.5, 0.0]
    assert Cyclic(2, scale=halves, scale_by="step")([1, 2]).tolist() == [0.25, 0.0]


@given(total=st.integers(12, 400), pct=st.floats(0.1, 0.45), three=st.booleans())
def test_one_cycle_starts_peaks_and_ends_where_it_says(total: int, pct: float, three: bool) -> None:
    cycle = OneCycle(total, pct, div_factor=10, final_div_factor=100, three_phase=three)
    shares = cycle(np.arange(total + 3))
    assert shares[0] == pytest.approx(0.1)
    assert cycle(pct * total - 1) == pytest.approx(1.0)
    assert shares[total - 1 :] == pytest.approx(0.001)
    peak = int(np.argmax(shares))
    assert abs(peak - (pct * total - 1)) <= 1
    assert (np.diff(shares[:peak]) >= 0).all()
    assert (np.diff(shares[peak:]) <= 1e-15).all()
    if three:
        assert cycle(2 * pct * total - 2) == pytest.approx(0.1)


@pytest.mark.parametrize("total", [0, 1, 2, 3])
def test_one_cycle_of_a_few_updates_is_a_number(total: int) -> None:
    for three in (False, True):
        assert np.isfinite(OneCycle(total, three_phase=three)([0, 1, 2, 3])).all()


@given(total=st.integers(2, 9), pct=st.floats(0.01, 0.99), three=st.booleans())
def test_one_cycle_of_a_few_updates_takes_the_first_phase_that_has_not_ended(
    total: int, pct: float, three: bool
) -> None:
    assume(pct * total != 1)  # a first phase of no length has no share of its own
    ends = [pct * total - 1, 2 * pct * total - 2, total - 1] if three else [pct * total - 1, total - 1]
    factors = [0.5, 1.0, 0.5, 0.1] if three else [0.5, 1.0, 0.1]
    cycle = OneCycle(total, pct, "linear", 2.0, 5.0, three)
    for step in range(total):
        phase = next((i for i, end in enumerate(ends) if step <= end), len(ends) - 1)
        begin = ends[phase - 1] if phase else 0.0
        p = (step - begin) / (ends[phase] - begin)
        expected = factors[phase] + (factors[phase + 1] - factors[phase]) * p
        assert cycle(step) == pytest.approx(expected, abs=1e-9)
