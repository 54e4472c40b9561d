"""Decays without an end of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.schedules import (
    Constant,
    ExponentialDecay,
    InverseSqrtDecay,
    InverseTimeDecay,
    LinearGrowth,
    LinearWarmup,
    MultiStepDecay,
    PowerDecay,
    StepDecay,
)

steps = st.integers(0, 10**7)


@given(step=steps, every=st.integers(1, 5000))
def test_steps_fall_at_whole_multiples_exactly(step: int, every: int) -> None:
    assert StepDecay(every, 0.5)(step) == 0.5 ** (step // every)
    earlier = StepDecay(every, 0.5, boundary="earlier")
    assert earlier(step) == 0.5 ** (max(0, step - 1) // every)


def test_step_boundaries_hold_on_a_token_clock() -> None:
    clock = 10**12
    decay = StepDecay(clock // 7, 0.5)
    for turn in range(1, 7):
        edge = turn * (clock // 7)
        assert (decay(edge - 1), decay(edge)) == (0.5 ** (turn - 1), 0.5**turn)


@given(
    milestones=st.lists(st.integers(0, 50), max_size=6).map(sorted),
    side=st.sampled_from(["later", "earlier"]),
    step=st.integers(0, 60),
)
def test_milestones_are_counted(milestones: list[int], side: str, step: int) -> None:
    passed = sum(m <= step if side == "later" else m < step for m in milestones)
    assert MultiStepDecay(tuple(milestones), 0.5, boundary=side)(step) == 0.5**passed


@given(gamma=st.floats(0.1, 0.99), every=st.integers(1, 50), step=st.integers(0, 400))
def test_exponentials(gamma: float, every: int, step: int) -> None:
    assert ExponentialDecay(gamma, every)(step) == pytest.approx(gamma ** (step / every))
    assert ExponentialDecay(gamma, every, staircase=True)(step) == pytest.approx(gamma ** (step // every))
    assert ExponentialDecay(gamma, every, end_factor=0.5)(step) >= 0.5
    assert ExponentialDecay(1 / gamma, every, end_factor=1.5)(step) <= 1.5


@given(every=st.integers(1, 50), rate=st.floats(0, 5), step=st.integers(0, 400), stairs=st.booleans())
def test_growth_is_one_over_the_inverse_time(every: int, rate: float, step: int, stairs: bool) -> None:
    growth, decay = LinearGrowth(every, rate, stairs)(step), InverseTimeDecay(every, rate, stairs)(step)
    assert growth * decay == pytest.approx(1.0)
    assert growth == pytest.approx(1 + rate * (step // every if stairs else step / every))


@given(warmup=st.integers(1, 1000), step=st.integers(0, 10**6))
def test_after_a_warm_up_the_inverse_root_is_that_of_the_run(warmup: int, step: int) -> None:
    run = LinearWarmup(warmup).then(InverseSqrtDecay(warmup))
    assert run(warmup + step) == pytest.approx((warmup / (warmup + step)) ** 0.5)
    squared = LinearWarmup(warmup).then(PowerDecay(warmup, exponent=1.0))
    assert squared(warmup + step) == pytest.approx(run(warmup + step) ** 2)


def test_a_horizon_free_decay_needs_no_warm_up() -> None:
    assert InverseSqrtDecay(100, elapsed=100)([0, 300]).tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    "decay",
    [StepDecay(3, steps=7), ExponentialDecay(0.9, steps=7), InverseTimeDecay(3, steps=7), PowerDecay(3, steps=7)],
)
def test_a_phase_with_a_length_holds_its_last_update(decay) -> None:
    assert decay.length == 7
    assert np.array_equal(decay([6, 7, 100]), np.full(3, decay(6)))


def test_a_constant_may_be_any_share() -> None:
    assert Constant(factor=0.0)([0, 10**12]).tolist() == [0.0, 0.0]
    assert Constant(0).length == 0
