"""Charts into files."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pytest

from lrscope.errors import InvalidInput
from lrscope.report.save import save_chart
from lrscope.report.theme import data

CHART = alt.Chart(data([{"x": 1, "y": 2}, {"x": 2, "y": 3}])).mark_line().encode(x="x:Q", y="y:Q")


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.png", b"\x89PNG"), ("a.svg", b"<svg"), ("a.html", b"<!doctype html>"), ("a.PNG", b"\x89PNG")],
)
def test_the_suffix_names_the_format(name: str, start: bytes, tmp_path: Path) -> None:
    assert save_chart(CHART, tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.pdf", "a", "png"])
def test_another_suffix_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"must end in \.png, \.svg or \.html"):
        save_chart(CHART, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_light_and_dark_pictures_differ_and_the_chart_is_left_as_it_was(tmp_path: Path) -> None:
    before = CHART.to_dict()
    light, dark = (save_chart(CHART, tmp_path / f"{dark}.svg", dark=dark).read_text() for dark in (False, True))
    assert "#ffffff" in light
    assert "#171b21" in dark
    assert CHART.to_dict() == before
