"""Pieces that a compiler can trace: right to 1e-6 in float32, for any schedule at any step."""

from __future__ import annotations

import numpy as np
import pytest

from lrscope.errors import InvalidInput
from lrscope.integrations.traced import LAST_STEP, fit_pieces, last_step_asked
from lrscope.schedules import Constant, Cyclic, LinearDecay, StepDecay, parse_schedule

TEXTS = [
    "warmup(1%) -> cosine", "linear", "step(10%, 0.3)", "one_cycle", "wsd(warmup=1%, decay=20%, shape=sqrt)",
    "warmup(1%) -> inverse_sqrt", "restarts(cycles=3)", "rex", "polynomial(power=3)", "constant(factor=0)",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("total", [50, 100_000])
def test_pieces_equal_the_schedule_in_float32(text: str, total: int) -> None:
    schedule = parse_schedule(text, total_steps=total)
    pieces = fit_pieces(schedule, last_step=total)
    steps = np.arange(total + 1, dtype=np.int32)
    got = pieces.evaluate(steps, np, np.asarray)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.astype(np.float64), schedule(steps), rtol=1e-6, atol=0)
    assert len(pieces.starts) < 2000


def test_long_runs_take_few_pieces() -> None:
    assert len(fit_pieces(parse_schedule("warmup(1000) -> inverse_sqrt"), last_step=10**7).starts) < 400
    assert len(fit_pieces(Constant()).starts) < 30


def test_a_step_past_2_to_the_24_is_exact() -> None:
    edge = 2**25 + 1
    pieces = fit_pieces(StepDecay(edge, 0.5), last_step=2 * edge - 1)
    got = pieces.evaluate(np.array([edge - 1, edge], np.int32), np, np.asarray)
    assert got.tolist() == [1.0, 0.5]


def test_a_schedule_that_refuses_its_end_is_compiled_up_to_it() -> None:
    refusing = LinearDecay(10, past_end="error")
    assert last_step_asked(refusing, None) == 9
    assert last_step_asked(LinearDecay(10), None) == LAST_STEP
    assert last_step_asked(LinearDecay(10), 20) == 20


def test_endless_cycles_are_refused_in_one_sentence() -> None:
    with pytest.raises(InvalidInput, match="changes too often to be compiled for 100,000 steps; give 'total_steps'"):
        fit_pieces(Cyclic(1), last_step=99_999)


def test_a_decay_below_the_smallest_number_of_float32_ends_at_zero() -> None:
    pieces = fit_pieces(parse_schedule("exponential(0.999)"), last_step=1_000_000)
    assert len(pieces.starts) < 2000
    assert pieces.evaluate(np.array([700_000, 1_000_000]), np, np.asarray).tolist() == [0.0, 0.0]


def test_a_schedule_that_refuses_its_first_update_cannot_be_compiled() -> None:
    with pytest.raises(InvalidInput, match="past the end of 'cosine"):
        last_step_asked(parse_schedule("cosine(0, past_end=error)"), 10)
