"""A longer run never changes what has been done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_strategies import schedules

from lrscope.errors import InvalidInput
from lrscope.schedules import Constant, CosineDecay, LinearWarmup, Schedule, WarmupStableDecay, parse_schedule

POLICIES = ["hold", "cool_down", "stretch"]


@settings(max_examples=150, deadline=None)
@given(
    schedule=schedules.filter(lambda one: one.length is not None),
    policy=st.sampled_from(POLICIES),
    done=st.integers(0, 60),
    more=st.integers(0, 60),
)
def test_the_past_is_kept_to_the_bit(schedule: Schedule, policy: str, done: int, more: int) -> None:
    longer = schedule.extend(done + more, policy, at=done)
    past = np.arange(done)
    assert np.array_equal(longer(past), schedule(past))
    assert parse_schedule(str(longer)) == longer
    if more:
        assert longer.length == done + more


@given(done=st.integers(1, 40), more=st.integers(1, 40))
def test_holding_cooling_and_stretching(done: int, more: int) -> None:
    run = LinearWarmup(5).then(CosineDecay(60))
    level = run(done - 1)
    later = np.arange(done, done + more)
    assert (run.extend(done + more, "hold", at=done)(later) == level).all()
    cooled = run.extend(done + more, "cool_down", at=done)(later)
    assert cooled[-1] == pytest.approx(0)
    assert cooled == pytest.approx(level * (1 - np.arange(1, more + 1) / more))
    stretched = run.extend(65 + more, "stretch", at=done)
    assert stretched(65 + more - 1) == pytest.approx(0.0, abs=1e-12)
    if done >= 5:  # the warm-up is over
        assert (np.diff(stretched(np.arange(done, 65 + more))) <= 1e-12).all()


def test_a_plateau_is_carried_on_before_its_cool_down() -> None:
    run = WarmupStableDecay(2, 4, total_steps=10)
    longer = run.extend(16, "hold", at=6)
    assert longer(np.arange(6, 16)).tolist() == [1.0] * 10


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'constant' has no end: say which update has been reached"):
        Constant().extend(10)
    with pytest.raises(InvalidInput, match=r"The 'total_steps' of extend must be an int from 8 to 2\^53\. Got 5"):
        CosineDecay(10).extend(5, at=8)
    with pytest.raises(InvalidInput, match="The policy of extend must be 'hold', 'cool_down' or 'stretch'"):
        CosineDecay(10).extend(20, "shrink")
