"""The pages on schedules: their code runs, their pictures are there and small."""

import doctest
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lrscope.cli.main import app
from lrscope.schedules import parse_schedule
from lrscope.schedules.schedule import FAMILIES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "schedules"
sys.path.insert(0, str(DOCS))
import make  # noqa: E402

PAGES = sorted(path for path in DOCS.glob("*.md") if "template" not in path.name)
COMMANDS = [
    pytest.param(line, id=f"{path.stem}: {line[:50]}")
    for path in PAGES
    for block in re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_python_on_the_page_gives_what_it_says(path):
    assert doctest.testfile(str(path), module_relative=False, encoding="utf-8").failed == 0


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_on_the_page_run(line):
    program, *arguments = shlex.split(line)
    assert program == "lrscope"
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pictures_and_links_are_there_and_small(path):
    targets = re.findall(r"\]\(([\w.]+)\)", path.read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (DOCS / target).stat().st_size < 60_000


def test_every_family_has_a_page():
    shown = {name for page in make.PAGES for name in page.families or (page.name,)}
    assert shown == set(FAMILIES)


@pytest.mark.parametrize("page", make.PAGES, ids=lambda page: page.name)
def test_pages_are_what_the_command_makes(page):
    schedule = parse_schedule(page.examples[0], total_steps=make.STEPS)
    text = make.page_text(page, schedule, schedule(np.arange(make.STEPS)))
    assert (DOCS / f"{page.name}.md").read_text(encoding="utf-8") == text
