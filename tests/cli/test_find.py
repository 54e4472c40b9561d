"""The find command: its answer and its bad input, each in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_prints_one_json_document(run: Run) -> None:
    ran = run("find", "digits-adamw", "--batch-size", 64, "--budget", 0.2, "--json")
    assert ran.code == 0, ran.err
    answer = json.loads(ran.out)
    assert set(answer) == {
        *("schema", "task", "batch_size", "status", "suggested_lr"),
        *("full_run_equivalents", "seconds", "advice"),
    }
    assert answer["schema"] == "lrscope/find/1"
    assert answer["batch_size"] == 64
    assert answer["full_run_equivalents"] <= 0.2
    assert set(answer["suggested_lr"]) == {"value", "low", "high"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "There is no task 'nothing': give one of digits, "),
        (["digits", "--batch-size", 0], "A batch size of the option --batch-size must be a whole number >= 1. Got 0."),
        (["digits", "--batch-size", 100_000], "Batch size 100000 is larger than the training data of task 'digits', "),
        (["digits", "--budget", -1], "--budget must lie between 0 and 10 full runs. Got -1."),
    ],
)
def test_bad_input_is_one_sentence(run: Run, arguments: list[object], sentence: str) -> None:
    ran = run("find", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: {sentence}")
    assert len(ran.err.splitlines()) == 1


def test_what_a_task_prints_stays_off_standard_output(run: Run, tmp_path: Path) -> None:
    lines = ("from lrscope.tasks.digits import digits as quiet", "print('hello')", "def task():", "    print('hello')")
    (tmp_path / "loud.py").write_text("\n".join([*lines, "    return quiet()"]))
    ran = run("find", f"{tmp_path}/loud.py:task", "--batch-size", 64, "--budget", 0.05, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["task"] == "digits"
    assert ran.err.count("hello") == 2
