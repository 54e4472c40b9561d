"""The pages on schedules: their code runs, their pictures are there and small."""

import doctest
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lrscope.cli.main import app

DOCS = Path(__file__).resolve().parents[2] / "docs" / "schedules"
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
