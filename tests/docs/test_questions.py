"""The page of ten questions: its pictures are there, every number of its template is filled in, its code runs."""

import doctest
import re
import string
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_its_template_with_numbers():
    template = (DOCS / "questions" / "template.txt").read_text(encoding="utf-8")
    page = (DOCS / "questions.md").read_text(encoding="utf-8")
    parts = [literal for literal, *_ in string.Formatter().parse(template)]
    assert re.fullmatch("(.+?)".join(re.escape(part) for part in parts), page, flags=re.DOTALL)
    assert len(re.findall(r"^## \d+\. ", page, flags=re.MULTILINE)) == 10


def test_every_question_has_its_picture():
    page = (DOCS / "questions.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", section)
        assert (DOCS / picture).read_text(encoding="utf-8").startswith("<svg")


def test_its_code_gives_what_it_says():
    assert doctest.testfile(str(DOCS / "questions.md"), module_relative=False, encoding="utf-8").failed == 0
