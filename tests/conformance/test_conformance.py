"""Recorded values of other frameworks, met by lrscope's schedules alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from peers import run
from resolve import PER_GROUP, resolve

from lrscope.schedules import Constant, CosineDecay, LinearWarmup, Schedule, parse_schedule

HERE = Path(__file__).resolve().parent
FOLDER = Path(os.environ.get("LRSCOPE_SHARED", HERE.parents[2] / "shared")) / "conformance"
OWN = json.loads((HERE / "torch_values.json").read_text())
"""A few dozen values of the installed torch, so that something is compared where the recorded ones are absent."""


def recorded() -> list[Any]:
    path = FOLDER / "schedules.json"
    if not path.exists():
        reason = f"{path} is absent: the values recorded from other frameworks are not compared"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(case, id=case["id"]) for case in json.loads(path.read_text())["cases"]]


@pytest.mark.parametrize("case", [*(pytest.param(case, id=case["id"]) for case in OWN), *recorded()])
def test_recorded_values_are_met(case: dict[str, Any]) -> None:
    value = resolve(case)
    largest = max(abs(expected) for expected in case["expected"])
    relative = 5e-6 if case["dtype"] == "float32" else max(1e-12, 2 * case.get("max_err_vs_closed_form", 0.0))
    for step, expected in zip(case["steps"], case["expected"], strict=True):
        assert abs(value(step) - expected) <= relative * largest, (step, value(step), expected)


@pytest.mark.parametrize("case", OWN, ids=lambda case: case["id"])
def test_the_values_of_torch_are_still_its_own(case: dict[str, Any]) -> None:
    pytest.importorskip("torch", reason="torch is not installed: its recorded values are not taken again")
    assert run(case) == pytest.approx(case["expected"], rel=1e-12)


def test_a_cycle_of_deepspeed_may_have_no_second_half() -> None:
    params = {"cycle_min_lr": 0.0, "cycle_max_lr": 0.4, "cycle_first_step_size": 4, "cycle_second_step_size": 0}
    value = resolve({"peer": "DeepSpeed", "name": "OneCycle", "params": params})
    assert [value(iteration) for iteration in range(-1, 5)] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.0, 0.0])


@pytest.mark.parametrize(
    ("peer", "name", "params"),
    [
        ("torch", "OneCycleLR", {"base_lr": 0.1, "max_lr": 0.5, "total_steps": 9}),
        ("torch", "CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3}),
        ("torch", "SWALR", {"base_lr": 0.1, "swa_lr": 0.01}),
        ("torch", "LambdaLR", {"base_lr": 0.1, "lr_lambda": "0.9 ** t"}),
        ("DeepSpeed", "OneCycle", {"cycle_min_lr": 0.1, "cycle_max_lr": 0.4}),
        ("DeepSpeed", "WarmupLR", {"base_lr": 0.1, "warmup_min_lr": 0.01, "warmup_max_lr": 0.4}),
    ],
)
def test_a_list_for_the_param_groups_is_read_at_its_first(peer: str, name: str, params: dict[str, Any]) -> None:
    listed = {key: [value] if key in PER_GROUP and key != "base_lr" else value for key, value in params.items()}
    assert listed != params
    one, same = (resolve({"peer": peer, "name": name, "params": form, "steps": [8]}) for form in (params, listed))
    assert [one(step) for step in range(9)] == [same(step) for step in range(9)]


def test_the_stairs_of_deepspeed_end_at_the_lowest_rate() -> None:
    params = {"cycle_min_lr": 0.0, "cycle_max_lr": 0.771781, "cycle_first_step_size": 9, "cycle_first_stair_count": 3}
    value = resolve({"peer": "DeepSpeed", "name": "OneCycle", "params": params})
    assert (value(8), value(17)) == (0.771781, 0.0)


def _cosine(decay_steps: int, **arguments: Any) -> CosineDecay:
    return CosineDecay(decay_steps, end_at="total", **arguments)


FROM_ZERO = LinearWarmup(10, offset=0)
PLAIN = FROM_ZERO.then(_cosine(90))
ONE_INTENTION: dict[str, Schedule] = {
    "torch SequentialLR": LinearWarmup(10, 1e-3, offset=0).then(_cosine(90, past_end="continue")),
    "transformers cosine": FROM_ZERO.then(_cosine(90, past_end="continue")),
    "transformers cosine_warmup": LinearWarmup(10).then(_cosine(90, past_end="continue", offset=1)),
    "optax": PLAIN,
    "timm cosine t_initial=N warmup_prefix=False": FROM_ZERO.then(_cosine(100), clock="global"),
    "timm cosine t_initial=N-w": PLAIN,
    "keras": FROM_ZERO.then(_cosine(100)),
    "composer": PLAIN,
    "Megatron": PLAIN,
    "DeepSpeed": Constant(1, 0.0).then(FROM_ZERO).then(_cosine(90, offset=1), at=11),
    "torchtitan": LinearWarmup(10).then(_cosine(90)),
    "OLMo-core": PLAIN,
    "lrsched": PLAIN,
}


def test_one_intention_as_thirteen_implementations_give_it() -> None:
    path = FOLDER / "cross_peer_cosine.json"
    if not path.exists():
        pytest.skip(f"{path} is absent: the thirteen readings of one intention are not compared")
    table = json.loads(path.read_text())
    for title, expected in table["rows"].items():
        (schedule,) = [ours for name, ours in sorted(ONE_INTENTION.items(), key=lambda row: -len(row[0]))
                       if title.startswith(name)][:1]  # fmt: skip
        for step, value in zip(table["steps"], expected, strict=True):
            if value is not None:
                assert schedule(step) == pytest.approx(value, abs=1e-12), (title, step)


def test_the_text_form_has_the_conventions_too() -> None:
    text = "warmup(10, offset=0) -> cosine(90, end_at=total, past_end=continue)"
    assert parse_schedule(text) == ONE_INTENTION["transformers cosine"]
