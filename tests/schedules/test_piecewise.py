"""Schedules given by their values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules import PiecewiseConstant, PiecewiseLinear, Tabulated


def test_a_boundary_belongs_to_the_later_piece_or_to_the_earlier() -> None:
    assert PiecewiseConstant((3,), (1.0, 0.1))([2, 3, 4]).tolist() == [1.0, 0.1, 0.1]
    assert PiecewiseConstant((3,), (1.0, 0.1), boundary="earlier")([2, 3, 4]).tolist() == [1.0, 1.0, 0.1]


@given(values=st.lists(st.floats(0, 2), min_size=2, max_size=9))
def test_lines_between_knots_are_numpys(values: list[float]) -> None:
    knots = tuple(range(0, 7 * len(values), 7))
    steps = np.linspace(0, knots[-1] + 10, 101)
    assert PiecewiseLinear(knots, tuple(values))(steps) == pytest.approx(np.interp(steps, knots, values))


def test_half_cosines_meet_at_the_knots_and_in_the_middle() -> None:
    curve = PiecewiseLinear((0, 4, 8), (0.0, 1.0, 0.5), interpolation="cosine")
    assert curve([0, 2, 4, 6, 8, 20]) == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.5])


def test_two_knots_at_one_step_make_a_jump() -> None:
    assert PiecewiseLinear((0, 2, 2, 4), (1.0, 0.5, 0.2, 0.0))([1, 2, 3]).tolist() == [0.75, 0.2, 0.1]


def test_the_last_piece_may_go_on() -> None:
    assert PiecewiseLinear((0, 2), (1.0, 2.0), past_end="continue")(4) == 3.0
    with pytest.raises(InvalidInput, match="Step 3 is past the end"):
        PiecewiseLinear((0, 2), (1.0, 2.0), past_end="error")(3)


@given(values=st.lists(st.floats(0, 2), min_size=1, max_size=30))
def test_a_table_gives_its_values(values: list[float]) -> None:
    table = Tabulated(tuple(values))
    assert table(np.arange(len(values))).tolist() == values
    assert table(len(values) + 5) == values[-1]
    assert table.length == len(values)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PiecewiseConstant((1, 2), (1.0, 0.5)), "must be 3 numbers, one more than the boundaries"),
        (lambda: PiecewiseConstant((2, 1), (1.0, 0.5, 0.1)), "must be finite numbers >= 0 in rising order"),
        (lambda: PiecewiseLinear((0, 1), (1.0,)), "must be 2 numbers, as many as the knots"),
        (lambda: Tabulated(()), "must be finite numbers >= 0, at least 1"),
        (lambda: Tabulated((1.0, float("nan"))), "must be finite numbers >= 0, at least 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(make, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        make()


def test_a_falling_last_piece_goes_on_to_zero_and_no_further() -> None:
    line = PiecewiseLinear((0, 4), (1.0, 0.5), past_end="continue")
    assert line([4, 6, 8, 9, 1000]).tolist() == [0.5, 0.25, 0.0, 0.0, 0.0]
    assert line(1000) == 0.0


def test_a_long_table_with_one_wrong_value_is_refused_in_a_short_sentence() -> None:
    with pytest.raises(InvalidInput, match="The 'values' parameter of Tabulated must be finite numbers >= 0") as caught:
        Tabulated((*[0.5] * 10_000, -1.0))
    assert len(str(caught.value)) < 400
