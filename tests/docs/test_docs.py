"""The documentation says what is so: every command and option is in it, its code runs, its links lead somewhere."""

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "commands.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAKE_REFERENCE = "python -m typer lrscope.cli.main utils docs --name lrscope --output docs/commands.md"


def test_the_reference_is_what_the_commands_say():
    command = [sys.executable, "-m", "typer", "lrscope.cli.main", "utils", "docs", "--name", "lrscope"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    written = REFERENCE.read_text(encoding="utf-8")
    assert written.strip() == made.strip(), f"the commands changed: {MAKE_REFERENCE}"


def test_every_command_has_a_word_on_each_of_its_options():
    entries = re.findall(r"^\* `([^`]+)`:?(.*)$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(entries) > 40
    assert [name for name, meaning in entries if not meaning.strip()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(path):
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_python_sessions_give_what_they_say(path):
    assert doctest.testfile(str(path), module_relative=False, encoding="utf-8").failed == 0


def test_the_architecture_fits_one_page():
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 100


def python_blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_task_of_the_readme_can_be_studied(tmp_path):
    (block,) = [block for block in python_blocks(ROOT / "README.md") if "def task()" in block]
    (tmp_path / "my_task.py").write_text(block, encoding="utf-8")
    arguments = ["my_task.py:task", "--max-runs", "5", "--executor", "serial", "--engine", "loop", "--json"]
    command = [sys.executable, "-m", "lrscope", "study", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["task"] == "my first task"
    assert summary["cost"]["runs"] == 5
    assert len(block.strip().splitlines()) <= 20


def test_the_training_loop_of_the_readme_sets_the_rate():
    (block,) = [block for block in python_blocks(ROOT / "README.md") if "ScheduledLR(" in block]
    names = {"torch": torch, "model": torch.nn.Linear(2, 1), "loader": range(100), "epochs": 2}
    exec(block, names)
    assert names["optimizer"].param_groups[0]["lr"] == pytest.approx(0.1 / 10)
