"""The page builder: escaped, self-contained, one copy of the libraries, whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import altair as alt
import pytest

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.report.markup import Cell, Fact
from lrscope.report.page import Page
from lrscope.report.theme import data

HOSTILE = '</script><script>alert("x")</script> & <b>'


def chart(text: str = "a") -> alt.Chart:
    return alt.Chart(data([{"x": 1, "y": 2.0, "text": text}])).mark_point().encode(x="x:Q", y="y:Q", tooltip="text:N")


def payload(html: str) -> dict[str, list[dict[str, dict[str, object]]]]:
    found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    document: dict[str, list[dict[str, dict[str, object]]]] = json.loads(found[1])
    return document


def test_text_from_users_is_escaped_everywhere() -> None:
    page = Page(HOSTILE, subtitle=HOSTILE, footer=HOSTILE)
    section = page.section(HOSTILE, answer=HOSTILE).prose(HOSTILE).bullets([HOSTILE]).code(HOSTILE, caption=HOSTILE)
    section.facts([Fact(label=HOSTILE, value=HOSTILE, note=HOSTILE, tone=HOSTILE)])
    section.table([HOSTILE], [[HOSTILE], [Cell(text=HOSTILE, note=HOSTILE, swatch=HOSTILE)]], caption=HOSTILE)
    section.chart(chart(HOSTILE), caption=HOSTILE)
    html = page.html()
    assert "<script>alert" not in html
    assert "<b>" not in html
    scripts = html.count("<script")
    assert scripts == html.count("</script>") == 3  # the libraries, the charts' data, the page's own
    assert HOSTILE in json.dumps(payload(html)["charts"][0]["spec"]).replace('\\"', '"')


def test_the_libraries_stand_in_a_page_once_and_only_where_a_chart_needs_them() -> None:
    page = Page("charts")
    page.section("one").chart(chart()).chart(chart())
    assert page.html().count("window.vegaEmbed") == 1
    assert len(payload(page.html())["charts"]) == 2
    empty = Page("none")
    empty.section("no chart")
    assert len(empty.html()) < 50_000


def test_a_page_forbids_every_request_and_refers_to_nothing_outside() -> None:
    page = Page("charts")
    page.section("one").chart(chart())
    html = page.html()
    assert "default-src 'none'" in html
    assert "connect-src 'none'" in html
    assert (
        re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html.split("<body>")[0] + html.split("<main>")[1][:5000]) == []
    )


def test_charts_without_a_width_follow_the_window_and_others_keep_theirs() -> None:
    page = Page("charts")
    page.section("one").chart(chart()).chart(chart().properties(width=333)).chart(alt.hconcat(chart(), chart()))
    first, second, third = (item["spec"] for item in payload(page.html())["charts"])
    assert first["width"] == "container"
    assert second["width"] == 333
    assert "width" not in third


def test_a_chart_of_many_points_is_drawn_on_a_canvas() -> None:
    page = Page("charts")
    many = alt.Chart(data([{"x": list(range(20_000))}])).transform_flatten(["x"]).mark_point().encode(x="x:Q")
    page.section("one").chart(chart()).chart(many)
    assert [item["renderer"] for item in payload(page.html())["charts"]] == ["svg", "canvas"]


def test_a_table_shows_estimates_sorts_by_number_and_refuses_ragged_rows() -> None:
    page = Page("table")
    section = page.section("t")
    section.table(["a", "b"], [[Estimate(0.123456, 0.1, None), "x"], [None, "y"]], sortable=True, highlight=1)
    html = page.html()
    assert 'data-sort="0.123456"' in html
    assert "0.123" in html
    assert "above 0.1" in html
    assert "<tr class=best>" in html
    with pytest.raises(InvalidInput, match="2 values, one per column"):
        section.table(["a", "b"], [[1]])


def test_contents_are_listed_from_four_sections_on() -> None:
    page = Page("long")
    for name in ("one", "two", "three"):
        page.section(name)
    assert "<nav>" not in page.html()
    page.section("four <4>")
    assert '<a href="#s3">four &lt;4&gt;</a>' in page.html()
    for index in range(20):
        page.section(f"run {index}", collapsed=True)
    assert page.html().count('<a href="#s') == 4


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    page = Page("p")
    path = page.write(tmp_path / "new" / "page.html")
    assert path.read_text(encoding="utf-8") == page.html()
    assert [item.name for item in path.parent.iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="Cannot write"):
        page.write(tmp_path / "file" / "page.html")
    with pytest.raises(InvalidInput, match="Cannot write"):
        page.write(path.parent)
    assert [item.name for item in path.parent.iterdir()] == ["page.html"]
