"""The checks: each fault is found where it is, and a sound schedule has none."""

from __future__ import annotations

import pytest

from lrscope.errors import InvalidInput
from lrscope.schedules import check_schedule, parse_schedule

SOUND = [
    "warmup(5%) -> cosine", "warmup(5%) -> linear", "constant", "step(30%)", "one_cycle", "rex",
    "wsd(warmup=5%, decay=20%)", "warmup(5%) -> inverse_sqrt", "multistep(50%, 75%)", "warmup(10%) -> constant",
]  # fmt: skip


@pytest.mark.parametrize("text", SOUND)
def test_a_sound_schedule_has_no_findings(text: str) -> None:
    assert check_schedule(parse_schedule(text, total_steps=1000), 1000) == ()


@pytest.mark.parametrize(
    ("text", "kind", "step", "words"),
    [
        ("warmup(50, offset=0) -> cosine", "wasted_warmup", 0, "Update 0 is made at a rate of zero"),
        ("constant(20, factor=0) -> linear", "wasted_warmup", 0, "The first 20 updates are made at a rate of zero"),
        ("constant(factor=0)", "wasted_warmup", 0, "The rate is zero at every update"),
        ("cosine(end_at=total)", "end_not_reached", 999, "only update 1000 would have 0"),
        ("linear(1500)", "end_not_reached", 999, "only update 1499 would have 0"),
        ("warmup(100, end=0.5) -> linear", "jump", 100, "jumps up from 0.5 to 1 of the peak"),
        ("warmup(5) -> linear(start=0.5)", "jump", 5, "jumps down from 1 to 0.5 of the peak"),
        ("linear(500, end=0.5) -> constant(factor=0.2)", "jump", 500, "jumps down from 0.5 to 0.2"),
        ("cosine(past_end=continue)", "rise_past_end", 1000, "Past the end the rate rises again"),
        ("linear(1500)", "total_differs", 1000, "made for 1500 updates, the run has 1000: it is cut off"),
        ("linear(500)", "total_differs", 500, "made for 500 updates, the run has 1000: it ends before"),
    ],
)
def test_a_fault_is_found(text: str, kind: str, step: int, words: str) -> None:
    found = {finding.kind: finding for finding in check_schedule(parse_schedule(text, total_steps=1000), 1000)}
    assert kind in found
    assert words in found[kind].message
    if kind != "rise_past_end":
        assert found[kind].step == step


def test_the_updates_at_zero_are_counted_however_long_the_run() -> None:
    for wasted in (7, 1_234_567):
        found = check_schedule(parse_schedule(f"constant({wasted}, factor=0) -> constant"), 10**8)
        assert found[0].message.startswith(f"The first {wasted} updates are made at a rate of zero")
    assert "Update 0 is made at a rate of zero" in check_schedule(parse_schedule("cyclic(1000)"), 10**8)[0].message


def test_a_refusing_end_is_no_fault() -> None:
    assert check_schedule(parse_schedule("cosine(past_end=error)", total_steps=1000), 1000) == ()


@pytest.mark.parametrize("total", [0, -3, 2.5])
def test_a_run_without_updates_is_refused(total: float) -> None:
    with pytest.raises(InvalidInput, match="The total_steps of check_schedule must be an int >= 1"):
        check_schedule(parse_schedule("constant"), total)  # type: ignore[arg-type]
