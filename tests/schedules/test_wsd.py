"""Warm-up, stable, decay: three of its four lengths, and the parts they make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules import Constant, Cooldown, LinearWarmup, WarmupStableDecay
from lrscope.schedules.decay import SHAPES
from lrscope.schedules.wsd import LENGTHS

length = st.integers(0, 50)


@given(warmup=length, stable=length, decay=length, left_out=st.sampled_from([*LENGTHS, "total_steps"]))
def test_the_fourth_length_follows_from_three(warmup: int, stable: int, decay: int, left_out: str) -> None:
    given_lengths = {"warmup_steps": warmup, "stable_steps": stable, "decay_steps": decay}
    everything = given_lengths | {"total_steps": warmup + stable + decay}
    told = {name: value for name, value in everything.items() if name != left_out}
    assert WarmupStableDecay(**told) == WarmupStableDecay(**everything)


@pytest.mark.parametrize("shape", SHAPES)
@given(warmup=length, stable=length, decay=length)
def test_is_its_three_phases(shape: str, warmup: int, stable: int, decay: int) -> None:
    whole = WarmupStableDecay(warmup, decay, stable, shape=shape, end_factor=0.1)
    parts = LinearWarmup(warmup).then(Constant(stable)).then(Cooldown(decay, end_factor=0.1, shape_name=shape))
    steps = np.arange(warmup + stable + decay + 5)
    assert np.array_equal(whole(steps), parts(steps))


def test_lengths_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(InvalidInput, match="must be the sum of the phases' lengths, 9, or more"):
        WarmupStableDecay(4, 5, total_steps=8)
    with pytest.raises(InvalidInput, match=r"needs all but one of .* As text: wsd\(decay=20%\)"):
        WarmupStableDecay(4)
    assert WarmupStableDecay(decay_steps=5, total_steps=20).warmup_steps == 0


def test_lengths_that_pass_the_largest_step_together_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"The 'total_steps' parameter .* must be an int from 0 to 2\^53"):
        WarmupStableDecay(21, 2**53, 0)
