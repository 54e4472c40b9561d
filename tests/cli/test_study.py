"""`lrscope study` as a person meets it: answers on standard output, one clear sentence for what cannot be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TINY = Path(__file__).parents[1] / "study" / "files" / "tiny.py"
FAST = ("--executor", "serial", "--seeds", 1)
HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\nimport lrscope\nx = torch.ones(64, 2)\n"
TASK = (
    "def task():\n"
    "    return lrscope.Task(name='t', model=lambda: nn.Linear(2, 1), loss=F.mse_loss, train=(x, x[:, :1]), epochs=2)\n"
)

Run = Callable[..., Any]


def own(folder: Path, text: str) -> str:
    """A task file of a user's, as the command takes it."""
    (folder / "mine.py").write_text(HEAD + text)
    return f"{folder / 'mine.py'}:task"


def assert_refused(ran: Any, sentence: str) -> None:
    assert ran.code == 2
    assert ran.out == ""
    assert re.search(sentence, ran.err), ran.err
    (line,) = [line for line in ran.err.splitlines() if line]
    assert line.startswith("Error: ")
    assert line.endswith((".", "`.", ")"))
    assert "Traceback" not in ran.err


def test_a_study_prints_its_optima_and_writes_three_files(run: Run, tmp_path: Path) -> None:
    ran = run("study", f"{TINY}:regression", "--out", tmp_path / "out", *FAST)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split()[:2] == ["batch", "size"]
    assert [line.split()[0] for line in lines[1:3]] == ["8", "32"]
    assert any(line.startswith("Recommended: batch size ") for line in lines)
    assert any(line.startswith("Cost: ") for line in lines)
    assert lines[-1] == f"The page: {tmp_path / 'out' / 'report.html'}"
    assert {"study.db", "summary.json", "report.html"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert "search: " in ran.err


def test_json_is_one_document_alone_and_the_summary_is_the_same(run: Run, tmp_path: Path) -> None:
    ran = run("study", f"{TINY}:regression", "--out", tmp_path, "--json", *FAST)
    assert ran.code == 0
    document = json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert document == json.loads((tmp_path / "summary.json").read_text())
    assert document["schema"] == "lrscope/study/1"
    assert (document["task"], document["metric"]) == ("regression", "val_loss")
    assert [optimum["batch_size"] for optimum in document["optima"]] == [8, 32]
    for optimum in document["optima"]:
        assert {"batch_size", "schedule", "status", "optimal_lr", "expected_loss", "initial_loss", "runs"} <= set(
            optimum
        )
        assert set(optimum["optimal_lr"]) == set(optimum["expected_loss"]) == {"value", "low", "high"}
        assert {"lr", "loss", "regime"} == set(optimum["curve"][0])
    assert {"name", "formula", "parameters", "predictions"} <= set(document["law"])
    assert {"batch_size", "peak_lr", "schedule", "loss", "default_loss", "train_loss", "default_train_loss"} <= set(
        document["recommended"]
    )
    assert set(document["cost"]) == {"runs", "full_run_equivalents", "search", "verification", "examples", "seconds"}


def test_numbers_that_are_not_finite_are_null(run: Run, tmp_path: Path) -> None:
    ran = run("study", f"{TINY}:nan_later", "--out", tmp_path, "--json", *FAST)
    assert ran.code == 0
    document = json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert document["recommended"] is None
    assert document["law"] is None
    for optimum in document["optima"]:
        assert optimum["status"] == "all_diverged"
        assert optimum["optimal_lr"] is optimum["expected_loss"] is None
    assert (tmp_path / "report.html").is_file()


def test_optima_are_sorted_by_batch_size_then_schedule(run: Run, tmp_path: Path) -> None:
    schedules = ("--schedule", "linear", "--schedule", "constant", "--schedule", "warmup(10%) -> cosine")
    sizes = ("--batch-sizes", "32,8")
    ran = run("study", f"{TINY}:regression", "--out", tmp_path, "--json", "--max-runs", 3, *sizes, *schedules, *FAST)
    document = json.loads(ran.out)
    keys = [(optimum["batch_size"], optimum["schedule"]) for optimum in document["optima"]]
    assert keys == sorted(keys)
    assert len(keys) == 6
    assert document["cost"]["runs"] == 3
    again = run("study", f"{TINY}:regression", "--out", tmp_path, "--max-runs", 3, *sizes, *schedules, *FAST)
    assert "…" not in again.out
    assert again.out.count("warmup(10%) -> cosine") >= 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing",), r"There is no task 'nothing': give one of digits, .* or path/to/file.py:function"),
        (("/not/there.py:task",), r"There is no file '/not/there.py'"),
        ((f"{TINY}:nothing",), r"There is no function 'nothing' in '.*tiny.py'"),
        ((f"{TINY}:EXAMPLES",), r"There is no function 'EXAMPLES' in '.*tiny.py'"),
        (
            (f"{TINY}:regression", "--batch-sizes", "97"),
            "Batch size 97 is larger than the training data .* 96 examples",
        ),
        ((f"{TINY}:regression", "--batch-sizes", "0"), "must be a whole number >= 1. Got 0"),
        ((f"{TINY}:regression", "--batch-sizes", "-8"), "must be a whole number >= 1. Got -8"),
        ((f"{TINY}:regression", "--batch-sizes", "8,x"), "--batch-sizes must be whole numbers with commas.* Got '8,x'"),
        ((f"{TINY}:regression", "--batch-sizes", ""), "--batch-sizes must be whole numbers with commas"),
        ((f"{TINY}:regression", "--lr", "0.1:0.01"), "--lr must be LOW:HIGH with 0 < LOW <= HIGH. Got 0.1:0.01"),
        ((f"{TINY}:regression", "--lr", "0.1"), "--lr must be LOW:HIGH, like 1e-4:0.1. Got '0.1'"),
        ((f"{TINY}:regression", "--schedule", "cosines"), "cosines"),
        ((f"{TINY}:regression", "--metric", "accuracy"), "--metric must be val_loss or train_loss. Got 'accuracy'"),
        ((f"{TINY}:without_validation", "--metric", "val_loss"), "--metric must be train_loss"),
        ((f"{TINY}:regression", "--search", "random"), "--search must be one of adaptive, grid"),
        ((f"{TINY}:regression", "--executor", "threads"), "executor must be one of local, serial, ray"),
        ((f"{TINY}:regression", "--engine", "gpu"), "--engine must be one of auto, loop, vmap"),
        ((f"{TINY}:regression", "--tolerance", "2"), "--tolerance must lie between 0 and 1. Got 2"),
        ((f"{TINY}:regression", "--seeds", "x"), "--seeds must be a whole number. Got 'x'"),
        ((f"{TINY}:regression", "--max-runs", "0"), "--max-runs must be >= 1. Got 0"),
        ((f"{TINY}:regression", "--workers", "0"), "--workers must be >= 1. Got 0"),
        ((f"{TINY}:regression", "--workers", "100000"), "--workers must be at most "),
        ((f"{TINY}:regression", "--nonsense"), "No such option: --nonsense"),
        ((), "Missing argument 'TASK'"),
    ],
    ids=lambda value: " ".join(map(str, value))[-40:] if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_bad_input_ends_in_one_sentence(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str, as_json: tuple[str, ...]
) -> None:
    assert_refused(run("study", *arguments, "--out", tmp_path / "out", *as_json), sentence)
    assert not (tmp_path / "out" / "summary.json").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import not_a_package\n", r"ModuleNotFoundError: No module named 'not_a_package' \(.*mine.py:6\)"),
        ("def task(:\n", r"SyntaxError: invalid syntax \(.*mine.py:6\)"),
        ("def task():\n    return {}['key']\n", r"The function 'task' failed: KeyError: 'key' \(.*mine.py:7\)"),
        ("def task():\n    return None\n", r"must return an lrscope.Task. Got NoneType"),
        (TASK.replace("x[:, :1]", "x[:9, :1]"), r"must have the same length. Got \[64, 9\]"),
        (
            TASK.replace("(x, ", "(x / x.new_zeros(()) * 0, "),
            r"must be finite. Got NaN or infinity in tensor 0, first in",
        ),
        (
            TASK.replace("F.mse_loss", "lambda o, t: o - t"),
            r"must be a scalar tensor. Got a tensor of shape \(\d+, 1\)",
        ),
        (
            TASK.replace("F.mse_loss", "lambda o, t: [][0]"),
            r"failed: IndexError: list index out of range \(.*mine.py:7\)",
        ),
        (
            TASK.replace("nn.Linear(2, 1)", "nn.Linear(3, 1)"),
            r"RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        ),
        (TASK.replace("epochs=2", "epochs=-2"), r"'epochs' of task 't' must be a number > 0. Got -2"),
        (TASK.replace("epochs=2", "epoch=2"), r"TypeError: .*unexpected keyword argument 'epoch' \(.*mine.py:7\)"),
    ],
)
def test_a_fault_in_a_users_file_is_said_with_its_type_message_and_place(
    run: Run, tmp_path: Path, text: str, sentence: str
) -> None:
    assert_refused(run("study", own(tmp_path, text), "--batch-sizes", 8, "--out", tmp_path / "out"), sentence)


def test_another_task_in_the_same_folder_is_refused_with_the_difference(run: Run, tmp_path: Path) -> None:
    assert run("study", f"{TINY}:regression", "--out", tmp_path, "--max-runs", 1, *FAST).code == 0
    ran = run("study", f"{TINY}:without_validation", "--out", tmp_path, *FAST)
    assert_refused(ran, "task function: regression there, without_validation now.*To start anew, delete that folder")


def test_the_report_can_be_made_again(run: Run, tmp_path: Path) -> None:
    assert_refused(run("report", tmp_path), "There is no study in '.*': it holds no study.db")
    run("study", f"{TINY}:regression", "--out", tmp_path, *FAST)
    first = (tmp_path / "report.html").read_bytes()
    (tmp_path / "report.html").unlink()
    ran = run("report", tmp_path)
    assert (ran.code, ran.out) == (0, f"The page: {tmp_path / 'report.html'}\n")
    assert (tmp_path / "report.html").read_bytes() == first
    assert run("report", tmp_path, "--out", tmp_path / "other.html").code == 0
    assert (tmp_path / "other.html").read_bytes() == first


def test_the_bundled_tasks_are_listed(run: Run) -> None:
    ran = run("tasks")
    assert ran.code == 0
    for name in ("digits", "digits-adamw", "pydoc-text", "fashion-mnist"):
        assert name in ran.out


def test_what_a_users_file_prints_stays_off_standard_output(tmp_path: Path) -> None:
    task = own(tmp_path, "print('mine')\n" + TASK.replace("return", "print('mine too')\n    return"))
    options = ["--batch-sizes", "8", "--out", str(tmp_path / "out"), "--json", "--max-runs", "2", "--workers", "1"]
    command = [sys.executable, "-m", "lrscope", "study", task, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task"] == "t"
    assert "mine too" in done.stderr


def test_without_torch_the_extra_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from lrscope.cli.main import main; main()"
    command = [sys.executable, "-c", code, "study", "digits", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: This needs torch, which is not installed: pip install 'lrscope[study]'.\n"


def test_without_the_reports_packages_the_answer_is_still_given(tmp_path: Path) -> None:
    code = "import sys; sys.modules['altair'] = None; from lrscope.cli.main import main; main()"
    arguments = ["study", f"{TINY}:regression", "--executor", "serial", "--max-runs", "2", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = "No report.html was written. This needs altair, which is not installed: pip install 'lrscope[report]'."
    assert words in done.stderr
    assert (tmp_path / "summary.json").is_file()
