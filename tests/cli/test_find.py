"""The find command: its answer and its bad input, each in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def lrscope(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lrscope.cli.main", *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_prints_one_json_document():
    done = lrscope("find", "digits-adamw", "--batch-size", "64", "--budget", "0.2", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert {"schema", "task", "batch_size", "status", "suggested_lr", "full_run_equivalents", "seconds"} <= set(answer)
    assert answer["schema"] == "lrscope/find/1"
    assert answer["batch_size"] == 64
    assert answer["full_run_equivalents"] <= 0.2
    assert set(answer["suggested_lr"]) == {"value", "low", "high"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["find", "nothing"], "nothing"),
        (["find", "digits", "--batch-size", "0"], "0"),
        (["find", "digits", "--batch-size", "100000"], "100000"),
        (["find", "digits", "--budget", "-1"], "-1"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says):
    done = lrscope(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr
    assert "Traceback" not in done.stderr
