"""What every family keeps: both written forms, equality, pickling, and one value however it is asked."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_strategies import FAMILY_STRATEGIES, schedules

import lrscope.schedules as room
from lrscope.errors import InvalidInput
from lrscope.schedules import Schedule, parse_schedule, schedule_from_json
from lrscope.schedules.schedule import FAMILIES, LIMIT, arguments_of

NAMES = sorted(FAMILY_STRATEGIES)
few = settings(max_examples=40, deadline=None)


def test_every_family_is_tested() -> None:
    assert set(FAMILIES) == set(FAMILY_STRATEGIES)


@pytest.mark.parametrize("name", NAMES)
@few
@given(data=st.data())
def test_text_gives_the_schedule_back(name: str, data: st.DataObject) -> None:
    schedule = data.draw(FAMILY_STRATEGIES[name])
    assert parse_schedule(str(schedule)) == schedule


@pytest.mark.parametrize("name", NAMES)
@few
@given(data=st.data())
def test_json_gives_the_schedule_back(name: str, data: st.DataObject) -> None:
    schedule = data.draw(FAMILY_STRATEGIES[name])
    assert schedule_from_json(json.loads(json.dumps(schedule.to_json(), allow_nan=False))) == schedule


@pytest.mark.parametrize("name", NAMES)
@few
@given(data=st.data())
def test_pickle_repr_and_hash_agree_with_equality(name: str, data: st.DataObject) -> None:
    schedule = data.draw(FAMILY_STRATEGIES[name])
    for twin in (pickle.loads(pickle.dumps(schedule)), eval(repr(schedule), vars(room))):
        assert twin == schedule
        assert hash(twin) == hash(schedule)
        steps = np.arange(50)
        assert np.array_equal(twin(steps), schedule(steps))


@pytest.mark.parametrize("name", NAMES)
@few
@given(data=st.data())
def test_a_number_and_an_array_give_the_same_bits(name: str, data: st.DataObject) -> None:
    schedule = data.draw(FAMILY_STRATEGIES[name])
    steps = np.array([*range(45), 60.0, 61.5, 97, 1000, 10**6, 123_456_789_012, 10**12])
    together = schedule(steps)
    assert together.dtype == np.float64
    assert np.isfinite(together).all()
    singly = np.array([schedule(float(step)) for step in steps])
    assert np.array_equal(together, singly)
    shuffled = np.random.default_rng(0).permutation(steps.size)
    assert np.array_equal(schedule(steps[shuffled]), together[shuffled])
    assert np.array_equal(schedule(np.repeat(steps, 2)[::2]), together)  # strided
    assert np.array_equal(schedule(steps[:1]), together[:1])


@few
@given(schedule=schedules)
def test_any_kind_of_number_and_any_shape(schedule: Schedule) -> None:
    whole = np.arange(12)
    expected = schedule(whole)
    assert isinstance(schedule(3), float)
    assert schedule(3) == schedule(3.0) == schedule(np.int32(3)) == schedule(np.float64(3.0)) == expected[3]
    for kind in (np.int32, np.uint8, np.int64, np.float32):
        assert np.array_equal(schedule(whole.astype(kind)), expected)
    assert np.array_equal(schedule(whole.reshape(3, 4)), expected.reshape(3, 4))
    assert np.array_equal(schedule(whole.tolist()), expected)
    assert schedule(np.array(3)).shape == ()
    assert schedule([]).shape == (0,)


@few
@given(schedule=schedules)
def test_no_share_is_below_zero_and_the_schedule_is_pure(schedule: Schedule) -> None:
    steps = np.arange(100)
    first = schedule(steps)
    assert np.array_equal(schedule(steps), first)
    if "continue" not in str(schedule):  # a last line that goes on may cross zero
        assert (first >= -1e-12).all()


@pytest.mark.parametrize("step", [-1, float("nan"), float("inf"), LIMIT * 2, [3, -2], [0.5, float("nan")]])
def test_a_step_that_is_none_is_refused_in_one_sentence(step: object) -> None:
    with pytest.raises(InvalidInput, match=r"^A step of Constant must be between 0 and 2\^53\. Got .+\.$"):
        room.Constant()(step)  # type: ignore[call-overload]


@pytest.mark.parametrize("step", ["3", None, [None], ["a"]])
def test_a_step_that_is_no_number_is_refused(step: object) -> None:
    with pytest.raises(InvalidInput, match="must be a number or an array of numbers"):
        room.Constant()(step)  # type: ignore[call-overload]


WRONG = [float("nan"), float("inf"), -1, "x", [], {}]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"product", "sequence", "stretch"}))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_wrong_argument_is_named_in_one_sentence(name: str, data: st.DataObject) -> None:
    schedule = data.draw(FAMILY_STRATEGIES[name])
    family = type(schedule)
    for argument in arguments_of(family):
        given_arguments = {f.name: getattr(schedule, f.name) for f in arguments_of(family)}
        for wrong in WRONG:
            if argument.name in ("lower", "upper") and wrong == -1:
                continue
            if argument.name in ("milestones", "boundaries") and wrong in ([], {}):
                continue
            with pytest.raises(InvalidInput) as caught:
                family(**(given_arguments | {argument.name: wrong}))
            sentence = str(caught.value)
            assert sentence.startswith(f"The '{argument.name}' parameter of {family.__name__} must be ")
            assert sentence.endswith(".")
            assert sentence.count(" Got ") == 1
            assert "\n" not in sentence
