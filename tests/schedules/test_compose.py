"""Phases one after another, and products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_strategies import leaves, schedules

from lrscope.errors import InvalidInput
from lrscope.schedules import Constant, CosineDecay, LinearDecay, LinearWarmup, Schedule, Sequence, StepDecay
from lrscope.schedules.compose import Product

few = settings(max_examples=60, deadline=None)


@few
@given(first=leaves, second=leaves, at=st.integers(0, 40), side=st.sampled_from(["later", "earlier"]))
def test_each_phase_holds_up_to_its_boundary(first: Schedule, second: Schedule, at: int, side: str) -> None:
    local = first.then(second, at=at, boundary=side)
    edge = at if side == "later" else at + 1
    steps, later = np.arange(edge), np.arange(edge, 80)
    if edge:
        assert np.array_equal(local(steps), first(steps))
    if not (at and getattr(second, "elapsed", 0.0) is None):  # it asks for the updates before it
        assert np.array_equal(local(later), second(later - at))
    run_clock = first.then(second, at=at, clock="global", boundary=side)
    assert np.array_equal(run_clock(later), second(later))


@few
@given(first=leaves, second=leaves, third=leaves, cuts=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_chains_are_flat_and_mean_the_same(first, second, third, cuts) -> None:
    a, b = sorted(cuts)
    flat = first.then(second, at=a).then(third, at=b)
    assert isinstance(flat, Sequence)
    assert len(flat.phases) == 3
    steps = np.arange(70)
    values = np.where(steps < a, first(steps), 0.0)
    for phase, start, stop in ((flat.phases[1], a, b), (flat.phases[2], b, 10**9)):
        inside = (steps >= start) & (steps < stop)
        values[inside] = phase(steps[inside] - start)
    assert np.array_equal(flat(steps), values)


@given(warmup=st.integers(0, 50), decay=st.integers(1, 50), end=st.floats(0, 1))
def test_joins_of_warm_up_and_decay_are_smooth(warmup: int, decay: int, end: float) -> None:
    for rest in (LinearDecay(decay + 1, end_factor=end), CosineDecay(decay + 1, end_factor=end)):
        run = LinearWarmup(warmup).then(rest)
        assert run(warmup) == 1.0
        assert run.length == warmup + decay + 1
        if warmup:
            assert run(warmup - 1) == 1.0
        assert run(warmup + decay) == pytest.approx(end)


def test_phases_of_no_length_are_passed_over() -> None:
    run = Sequence((Constant(factor=0.1), Constant(factor=0.5), Constant(factor=0.9)), (3, 3))
    assert run([2, 3, 4]).tolist() == [0.1, 0.9, 0.9]
    assert LinearWarmup(0).then(Constant(0, 0.5)).then(LinearDecay(3))([0, 1, 2]).tolist() == [1.0, 0.5, 0.0]


@few
@given(first=schedules, second=schedules, number=st.floats(0, 3))
def test_products_multiply(first: Schedule, second: Schedule, number: float) -> None:
    steps = np.arange(50)
    product = first * second
    assert isinstance(product, Product)
    assert product(steps) == pytest.approx(first(steps) * second(steps))
    assert (number * first)(steps) == pytest.approx(number * first(steps))
    assert not any(isinstance(factor, Product) for factor in product.factors)


def test_a_phase_without_an_end_must_be_told_where_the_next_begins() -> None:
    with pytest.raises(InvalidInput, match=r"'step\(30\)' has no end: say at which step the next phase begins"):
        StepDecay(30).then(LinearDecay(5))
    assert StepDecay(30).then(LinearDecay(5), at=60).length == 65


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (((), ()), "must be one or more schedules"),
        (((Constant(), Constant()), ()), "must be 1 steps in rising order, one fewer"),
        (((Constant(), Constant(), Constant()), (5, 3)), "in rising order"),
        (((Constant(), 3), (5,)), "must be one or more schedules"),
    ],
)
def test_phases_that_make_no_sequence_are_refused(arguments, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        Sequence(*arguments)
