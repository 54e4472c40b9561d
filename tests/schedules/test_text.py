"""The text form: what is read, what is left to fill in, and what is said when it cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules import (
    Constant,
    CosineDecay,
    CosineRestarts,
    LinearDecay,
    LinearWarmup,
    MultiStepDecay,
    PiecewiseConstant,
    StepDecay,
    Tabulated,
    WarmupStableDecay,
    parse_schedule,
    schedule_from_json,
)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("warmup(5%) -> cosine", LinearWarmup(50).then(CosineDecay(950))),
        ("warmup(5%) → cosine(end=0.1)", LinearWarmup(50).then(CosineDecay(950, end_factor=0.1))),
        ("warmup(20) -> constant -> linear(10%)", LinearWarmup(20).then(Constant(880)).then(LinearDecay(100))),
        ("wsd(warmup=5%, decay=20%)", WarmupStableDecay(50, 200, total_steps=1000)),
        ("wsd(decay_steps=20%, shape=sqrt)", WarmupStableDecay(None, 200, total_steps=1000, shape="sqrt")),
        ("step(30%)", StepDecay(300)),
        ("multistep(50%, 75%)", MultiStepDecay((500, 750))),
        ("multistep(5, 11, 17, gamma=0.5)", MultiStepDecay((5, 11, 17), 0.5)),
        ("multistep(5)", MultiStepDecay((5,))),
        ("multistep([50%, 750], 0.2)", MultiStepDecay((500, 750), 0.2)),
        ("tabulated(1, 0.5, 0.1)", Tabulated((1.0, 0.5, 0.1))),
        ("piecewise([50%], [1, 0.1])", PiecewiseConstant((500,), (1.0, 0.1))),
        ("restarts(cycles=4)", CosineRestarts(cycles=4, steps=1000)),
        ("0.5 * cosine", 0.5 * CosineDecay(1000)),
        ("(warmup(10) -> cosine) * 0.5", LinearWarmup(10).then(CosineDecay(990)) * 0.5),
        ("  warmup( 5 % )->cosine ", LinearWarmup(50).then(CosineDecay(950))),
        ("constant(factor=50%)", Constant(factor=0.5)),
        ("warmup(1_0 steps) -> linear(past_end=error)", LinearWarmup(10).then(LinearDecay(990, past_end="error"))),
    ],
)
def test_reads(text: str, schedule: object) -> None:
    assert parse_schedule(text, total_steps=1000) == schedule


@given(total=st.integers(1, 10**6), share=st.integers(1, 99))
def test_shares_are_rounded_down_to_at_least_one_and_add_up(total: int, share: int) -> None:
    warmup = max(1, share * total // 100)
    if warmup <= total:
        schedule = parse_schedule(f"warmup({share}%) -> cosine", total_steps=total)
        assert schedule.length == total
        assert schedule.phases[0].length == warmup


def test_the_warm_up_may_come_on_top_of_the_total() -> None:
    assert parse_schedule("warmup(10) -> cosine", total_steps=100).length == 100
    assert parse_schedule("warmup(10) -> cosine", total_steps=100, total="without_warmup").length == 110


def test_an_inverse_root_takes_its_timescale_from_the_warm_up() -> None:
    schedule = parse_schedule("warmup(4) -> inverse_sqrt", total_steps=100)
    assert schedule(16) == 0.5
    assert str(schedule) == "warmup(4) -> inverse_sqrt(4, elapsed=4)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lacks a schedule's name at its end"),
        ("cosin", "names 'cosin', which is no schedule. Known: "),
        ("cosine(", "lacks"),
        ("cosine) ", "cannot be read at ')"),
        ("cosine(ends=1)", "gives 'cosine' an argument 'ends'; it takes decay_steps, "),
        ("cosine(10, decay_steps=5)", "gives the argument 'decay_steps' of 'cosine' twice"),
        ("cosine(decay_steps=5, 10)", "has an argument without a name after one with a name"),
        ("step(10, 0.1, 5, later, hold, 3)", "gives 'step' 6 arguments; it takes at most 5"),
        ("warmup(5%) -> cosine -> linear", "has two phases without a length"),
        ("warmup(200) -> cosine", "has phases of 200 updates together, but the run has 100"),
        ("warmup(150%) -> cosine", "has a share of the run outside 0% to 100%: 150%"),
        ("warmup(3 epochs) -> cosine", "has a length in epochs: give a plan"),
        ("warmup(0.05) -> cosine", "A share of the run is written with a percent sign, as 5%."),
        ("cosine(end=5 epochs)", "gives the argument 'end_factor' in epochs, but it is no length"),
        ("inverse_sqrt", "The schedule 'inverse_sqrt' needs its argument 'timescale'"),
        ("step", "needs its argument 'step_size'"),
        ("cosine(end=-0.1)", "The 'end_factor' parameter of CosineDecay must be a finite number >= 0. Got -0.1."),
        ("multistep(9, 5)", "The 'milestones' parameter of MultiStepDecay must be finite numbers >= 0 in rising order"),
        ("cosine § linear", "cannot be read at '§ linear'"),
        ("warmup(5%) cosine", "cannot be read at 'cosine'"),
        ("constant(factor=1e999999999)", "has a number that is out of range, '1e999999999'"),
        ("constant(factor=1e-999999999)", "has a number that is out of range, '1e-999999999'"),
        (f"constant(factor={'1' * 5000})", "has a number that is out of range, '11111111111111111111'"),
        ("(" * 5000, "is nested more than 50 deep"),
        ("product(cosine(5))", "must be one or more schedules. Got CosineDecay"),
        ("sequence(cosine(5), [])", "must be one or more schedules. Got CosineDecay"),
    ],
)
def test_says_what_it_cannot_read(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_schedule(text, total_steps=100)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_says_where_the_runs_length_is_needed() -> None:
    for text in ("cosine", "warmup(10) -> linear", "one_cycle"):
        with pytest.raises(InvalidInput, match="without a length: give one, or total_steps"):
            parse_schedule(text)
    with pytest.raises(InvalidInput, match="has a share of the run, 5%: give total_steps"):
        parse_schedule("warmup(5%) -> constant")
    for total in (-1, 2.5, float("nan"), "100"):
        with pytest.raises(InvalidInput, match=r"The total_steps of a schedule must be an int from 0 to 2\^53"):
            parse_schedule("cosine", total_steps=total)


@given(text=st.text(alphabet="cosinewarmup()->*%,=[]0123456789. _", max_size=30))
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    message = ""
    try:
        parse_schedule(text, total_steps=100)
    except InvalidInput as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "A schedule in JSON must be an object with a 'name'. Got []."),
        ({"steps": 3}, "A schedule in JSON must be an object with a 'name'."),
        ({"name": "cosin"}, "There is no schedule called 'cosin'."),
        ({"name": "cosine", "decay": 3}, "The schedule 'cosine' has no argument 'decay'."),
        ({"name": "cosine"}, "The schedule 'cosine' needs its argument 'decay_steps'."),
        (
            {"name": "product", "factors": 5},
            "The 'factors' parameter of Product must be one or more schedules.",
        ),
        ({"name": "cosine", "decay_steps": 10**400}, "The 'decay_steps' parameter of CosineDecay must be an int >= 0."),
    ],
)
def test_json_that_is_no_schedule_is_refused(document: object, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        schedule_from_json(document)  # type: ignore[arg-type]
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("first", ["piecewise([5], [1, 0.5])", "0.5 * constant", "(warmup(5) -> constant)", "0.5"])
def test_a_phase_that_cannot_be_told_a_length_takes_what_is_left(first: str) -> None:
    schedule = parse_schedule(f"{first} -> linear(20%)", total_steps=100)
    alone = parse_schedule(first)
    assert np.array_equal(schedule(np.arange(80)), alone(np.arange(80)))
    assert schedule([80, 99]).tolist() == [1.0, 0.0]
    assert schedule.length == 100
    assert parse_schedule(str(schedule)) == schedule
