"""Where the output goes: terminals of few characters, full disks, readers that leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lrscope

COMMAND = (sys.executable, "-m", "lrscope", "schedule", "cosine", "--total-steps", "100")


def test_a_terminal_of_few_characters_gets_question_marks_for_the_others() -> None:
    ran = subprocess.run(COMMAND, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert b"?" in ran.stdout
    assert b"highest" in ran.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="misses /dev/full, a disk that is always full")
def test_a_full_disk_is_said_in_a_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run((*COMMAND, "--json"), stdout=full, stderr=subprocess.PIPE, check=False)
    assert ran.returncode == 1
    assert ran.stderr.decode().splitlines() == ["Error: The output cannot be written: No space left on device."]


def test_a_reader_that_leaves_is_no_error_to_speak_of() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_ctrl_c_ends_any_command_in_one_word(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os._exit", sys.exit)  # which would take the tests with it

    monkeypatch.setattr("lrscope.schedules.text.parse_schedule", interrupted)
    ran = run("schedule", "cosine", "--total-steps", 100, "--json")
    assert (ran.code, ran.out, ran.err) == (1, "", "Stopped.\n")


def test_the_version_is_shown(run: Any) -> None:
    ran = run("--version")
    assert (ran.code, ran.out) == (0, f"lrscope {lrscope.__version__}\n")
