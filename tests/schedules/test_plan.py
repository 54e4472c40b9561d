"""Epochs, examples and tokens as updates."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.errors import InvalidInput
from lrscope.schedules import Plan, parse_schedule

RESNET = Plan(examples=1_281_167, batch_size=256, epochs=100)


def test_the_residual_network_of_the_lecture() -> None:
    schedule = parse_schedule("multistep(30 epochs, 60 epochs, 90 epochs)", plan=RESNET)
    per_epoch = 1_281_167 // 256
    assert RESNET.steps_per_epoch == per_epoch
    at = [0, 30 * per_epoch - 1, 30 * per_epoch, 60 * per_epoch, 90 * per_epoch, 100 * per_epoch - 1]
    assert 0.1 * schedule(at) == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001, 0.0001])


@given(
    examples=st.integers(1, 10**6),
    batch=st.integers(1, 4096),
    accumulation=st.integers(1, 8),
    epochs=st.integers(0, 100),
)
def test_epochs(examples: int, batch: int, accumulation: int, epochs: int) -> None:
    plan = Plan(examples=examples, batch_size=batch, accumulation_steps=accumulation, epochs=epochs)
    per_epoch = max(1, examples // batch // accumulation)
    assert plan.run_steps == epochs * per_epoch
    kept = Plan(examples=examples, batch_size=batch, accumulation_steps=accumulation, epochs=epochs, drop_last=False)
    assert kept.steps_per_epoch == ceil(ceil(Fraction(examples, batch)) / Fraction(accumulation))


@given(tokens=st.integers(0, 10**13), batch=st.integers(1, 512), length=st.integers(1, 8192))
def test_tokens(tokens: int, batch: int, length: int) -> None:
    plan = Plan(batch_size=batch, sequence_length=length, tokens=tokens, accumulation_steps=2)
    assert plan.run_steps == tokens // (2 * batch * length)
    assert plan.steps(tokens, "examples") == tokens // (2 * batch)


def test_lengths_in_every_unit() -> None:
    plan = Plan(examples=1000, batch_size=10, sequence_length=32, epochs=10)
    text = "warmup(2 epochs) -> constant(3_200_0 tokens) -> constant(500 examples) -> linear(10%) -> constant(1 step)"
    schedule = parse_schedule(text, plan=plan)
    assert str(schedule) == "warmup(200) -> constant(100) -> constant(50) -> linear(100) -> constant(1)"
    assert parse_schedule("warmup(0.1 epochs) -> cosine", plan=plan).length == 1000


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Plan(batch_size=0), "The 'batch_size' of a run must be an int >= 1. Got 0."),
        (lambda: Plan(epochs=-1), "The 'epochs' of a run must be a finite number >= 0. Got -1."),
        (
            lambda: Plan(epochs=1, tokens=5),
            "A run's length is one of total_steps, epochs and tokens. Got epochs and tokens.",
        ),
        (lambda: Plan(batch_size=2).steps(1, "epochs"), "A length in epochs needs examples, too."),
        (lambda: Plan(batch_size=2).steps(1, "tokens"), "A length in tokens needs sequence_length, too."),
    ],
)
def test_what_a_plan_lacks_is_said(make, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()
    assert str(caught.value) == sentence
