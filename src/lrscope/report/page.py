"""The one page builder: sections of headline, answer, prose, charts, tables and code, written as one offline file.

    page = Page("digits", subtitle="…")
    section = page.section("Which learning rate?", answer="0.031 at batch size 16.")
    section.chart(chart, caption="…")
    page.write("report.html")

The file holds all it needs: Vega, Vega-Lite and Vega-Embed stand in it once, fonts are the system's, and a content
security policy forbids every request. All text is escaped; in prose, `backticks` become code.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lrscope.errors import MissingExtra
from lrscope.report.assets import SCRIPT, STYLE
from lrscope.report.files import write_atomically
from lrscope.report.markup import CellValue, Fact, code_html, escape, facts_html, inline, table_html
from lrscope.report.theme import TopLevelChart, chart_config, plain, vega_lite_version

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'none'; form-action 'none'; base-uri 'none'"
)
VEGA_GLOBALS = "window.vegaEmbed = vegaEmbed;"
MOST_LINKS = 16
MANY_POINTS = 4000
"""From so many values in a chart on, it is drawn on a canvas instead of as SVG elements."""


@dataclass(kw_only=True)
class Section:
    """A part of a page, filled in order; every method returns the section, so that calls can be chained."""

    headline: str
    answer: str = ""
    collapsed: bool = False
    _parts: list[str] = field(default_factory=list)
    _charts: list[dict[str, Any]] = field(default_factory=list)

    def prose(self, *paragraphs: str) -> Section:
        """Add paragraphs of plain text."""
        self._parts += [f"<p>{inline(text)}</p>" for text in paragraphs if text]
        return self

    def bullets(self, items: Sequence[str]) -> Section:
        """Add a list of plain texts; nothing where there are none."""
        if items:
            self._parts.append("<ul>" + "".join(f"<li>{inline(text)}</li>" for text in items) + "</ul>")
        return self

    def facts(self, facts: Sequence[Fact]) -> Section:
        """Add a row of figures to be seen at a glance."""
        self._parts.append(facts_html(facts))
        return self

    def chart(self, chart: TopLevelChart, *, caption: str = "") -> Section:
        """Add an Altair chart; one without a width takes the page's. Returns the section.

        Arguments:
            chart: any Altair chart; built of single or layered views it follows the window's width.
            caption: what is drawn and how it was made: smoothing, thinning, bands.
        """
        self._parts.append(f"<figure>{self._slot(chart)}{_figcaption(caption)}</figure>")
        return self

    def gallery(self, charts: Sequence[TopLevelChart], *, caption: str = "") -> Section:
        """Add small charts side by side, as many in a row as the window has room for."""
        slots = "".join(self._slot(chart) for chart in charts)
        self._parts.append(f'<figure><div class="gallery">{slots}</div>{_figcaption(caption)}</figure>')
        return self

    def _slot(self, chart: TopLevelChart) -> str:
        spec = plain(chart)
        own = spec.pop("config", {})
        if ("layer" in spec or "mark" in spec) and "width" not in spec:
            spec["width"] = "container"
            spec.setdefault("autosize", {"type": "fit-x", "contains": "padding"})
        self._charts.append({"spec": spec, "config": own, "renderer": _renderer(spec)})
        return f'<div class="chart" data-chart="{_SLOT}"></div>'

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[CellValue]],
        *,
        caption: str = "",
        sortable: bool = False,
        highlight: int | None = None,
    ) -> Section:
        """Add a table: numbers, Estimates, texts, `Cell`s or None; `sortable` by a click on a column's head.

        Arguments:
            columns: the heads. rows: as many values each.
            highlight: the index of the row that is the answer.
        """
        self._parts.append(table_html(columns, rows, caption=caption, sortable=sortable, highlight=highlight))
        return self

    def code(self, text: str, *, caption: str = "") -> Section:
        """Add a block of code with a button that copies it."""
        self._parts.append(code_html(text, caption))
        return self


_SLOT = "\x00"


@dataclass
class Page:
    """A report: a title, a line below it, and sections in the order of their making.

    >>> page = Page("A <task> & more")
    >>> _ = page.section("What was found", answer="Nothing `yet`.").table(["batch size", "loss"], [[16, 0.0412345]])
    >>> html = page.html()
    >>> "A &lt;task&gt; &amp; more" in html, "<code>yet</code>" in html, "0.0412" in html
    (True, True, True)
    """

    title: str
    subtitle: str = ""
    footer: str = "Made by lrscope. Intervals are central 80 % intervals."
    sections: list[Section] = field(default_factory=list)

    def section(self, headline: str, *, answer: str = "", collapsed: bool = False) -> Section:
        """Begin a section.

        Arguments:
            headline: its heading, best a question or a statement; may be empty for the page's opening.
            answer: one sentence that says what the section shows, set large.
            collapsed: shown folded, to be opened with a click.
        """
        section = Section(headline=headline, answer=answer, collapsed=collapsed)
        self.sections.append(section)
        return section

    def html(self) -> str:
        """The whole page."""
        charts: list[dict[str, Any]] = []
        body = "".join(self._section_html(index, section, charts) for index, section in enumerate(self.sections))
        return (
            f'<!doctype html>\n<html lang="en">\n{self._head()}<body>\n{self._header()}{self._contents()}'
            f"<main>\n{body}</main>\n<footer>{inline(self.footer)}</footer>\n"
            "<noscript><p>The charts of this page need JavaScript; the text and the tables do not.</p></noscript>\n"
            f"{_scripts(charts)}</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to `path`, whole or not at all. Returns the path; raises InvalidInput where it cannot."""
        return write_atomically(path, self.html().encode("utf-8"))

    def _head(self) -> str:
        return (
            '<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        )

    def _header(self) -> str:
        lead = f'<p class="lead">{inline(self.subtitle)}</p>' if self.subtitle else ""
        button = '<button id="theme" type="button" title="light or dark" aria-label="light or dark">◐</button>'
        return f"<header><h1>{escape(self.title)}</h1>{lead}{button}</header>\n"

    def _contents(self) -> str:
        """Links to the sections; of very many to those that are open, as the others can be seen at a glance."""
        named = [(index, section) for index, section in enumerate(self.sections) if section.headline]
        if len(named) > MOST_LINKS:
            named = [(index, section) for index, section in named if not section.collapsed]
        if len(named) < 4:
            return ""
        links = (f'<a href="#s{index}">{escape(section.headline)}</a>' for index, section in named)
        return f"<nav>{''.join(links)}</nav>\n"

    def _section_html(self, index: int, section: Section, charts: list[dict[str, Any]]) -> str:
        body = "\n".join(section._parts)
        for chart in section._charts:
            body = body.replace(_SLOT, str(len(charts)), 1)
            charts.append(chart)
        headline = f"<h2>{escape(section.headline)}</h2>" if section.headline else ""
        answer = f'<p class="answer">{inline(section.answer)}</p>' if section.answer else ""
        if section.collapsed:
            body = f"<details><summary>{headline}</summary>{answer}{body}</details>"
        else:
            body = headline + answer + body
        return f'<section id="s{index}">{body}</section>\n'


@functools.cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, from the copy that vl-convert carries: nothing is downloaded."""
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtra("vl-convert-python", "report") from error
    return vl_convert.javascript_bundle(VEGA_GLOBALS, vl_version=vega_lite_version())


def _figcaption(text: str) -> str:
    return f"<figcaption>{inline(text)}</figcaption>" if text else ""


def _scripts(charts: list[dict[str, Any]]) -> str:
    payload = {"charts": charts, "light": chart_config(), "dark": chart_config(dark=True)}
    libraries = f"<script>{_script_safe(vega_bundle())}</script>\n" if charts else ""
    data = f'<script type="application/json" id="payload">{_json(payload)}</script>\n'
    return f"{libraries}{data}<script>{SCRIPT}</script>\n"


def _renderer(spec: dict[str, Any]) -> Literal["svg", "canvas"]:
    values = sum(
        sum(len(value) if isinstance(value, list) else 1 for value in row.values())
        for rows in _inline_data(spec)
        for row in rows
        if isinstance(row, dict)
    )
    return "canvas" if values > 4 * MANY_POINTS else "svg"


def _inline_data(node: Any) -> list[list[Any]]:
    """All rows of data that stand anywhere in a specification."""
    if isinstance(node, list):
        return [rows for item in node for rows in _inline_data(item)]
    if not isinstance(node, dict):
        return []
    found = list(node.get("datasets", {}).values())
    if isinstance(node.get("data"), dict) and isinstance(node["data"].get("values"), list):
        found.append(node["data"]["values"])
    children = [node[key] for key in ("layer", "concat", "hconcat", "vconcat", "spec") if key in node]
    return found + _inline_data(children)


def _json(document: Any) -> str:
    """JSON that can stand in a script element: no `<` in it, so no tag can end it."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _script_safe(script: str) -> str:
    """A library's script with every `</script` in its strings broken, as HTML asks."""
    return re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE)
