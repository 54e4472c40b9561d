"""Pieces of HTML: escaped text, tables, figures at a glance, code. All that comes in is plain text."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.numbers import ABSENT, format_interval, format_lr, format_number

_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A table cell of a chosen text; `sort` is what it is sorted by, `note` a smaller text behind it.

    `swatch` is a CSS colour shown as a dot before the text: `#rrggbb`.
    """

    text: str
    sort: float | None = None
    note: str = ""
    swatch: str = ""


CellValue = str | int | float | Estimate | Cell | None


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A figure to be seen at a glance: what it is, its value, and a line below."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


def escape(text: object) -> str:
    """Text as HTML, quotes included.

    >>> escape('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return html.escape(str(text), quote=True)


def inline(text: str) -> str:
    """Escaped text in which `backticks` become code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def lr_cell(value: Estimate | float | None) -> Cell:
    """A learning rate, or the estimate of one, as a table shows it."""
    if value is None:
        return Cell(text=ABSENT)
    return _estimate_cell(value, lr=True) if isinstance(value, Estimate) else Cell(text=format_lr(value), sort=value)


def table_html(
    columns: Sequence[str],
    rows: Sequence[Sequence[CellValue]],
    *,
    caption: str = "",
    sortable: bool = False,
    highlight: int | None = None,
) -> str:
    """A table; numeric columns are set to the right. Raises InvalidInput where a row's length is not the head's."""
    for row in rows:
        if len(row) != len(columns):
            raise InvalidInput(f"A table row must have {len(columns)} values, one per column. Got {len(row)}.")
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(row[k].sort is not None or row[k].text == ABSENT for row in cells) for k in range(len(columns))]
    head = "".join(f"<th{_right(numeric[k])}{_sorter(sortable)}>{inline(name)}</th>" for k, name in enumerate(columns))
    noted = [any(row[k].note for row in cells) for k in range(len(columns))]
    body = "".join(
        f"<tr{' class=best' if index == highlight else ''}>"
        + "".join(_cell_html(cell, numeric[k], noted[k]) for k, cell in enumerate(row))
        + "</tr>"
        for index, row in enumerate(cells)
    )
    text = f"<figcaption>{inline(caption)}</figcaption>" if caption else ""
    kind = (" sortable" if sortable else "") + (" narrow" if len(columns) < 4 else "")
    return (
        f'<figure class="table"><div class="scroll"><table class="data{kind}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{text}</figure>"
    )


def facts_html(facts: Sequence[Fact]) -> str:
    """Figures side by side."""
    cards = "".join(
        f'<div class="fact {escape(fact.tone)}"><dt>{inline(fact.label)}</dt><dd>{inline(fact.value)}</dd>'
        + (f"<p>{inline(fact.note)}</p>" if fact.note else "")
        + "</div>"
        for fact in facts
    )
    return f'<dl class="facts">{cards}</dl>'


def code_html(text: str, caption: str = "") -> str:
    """A block of code with a button that copies it."""
    label = f"<figcaption>{inline(caption)}</figcaption>" if caption else ""
    copy = '<button class="copy" type="button">Copy</button>'
    return f'<figure class="code">{copy}<pre><code>{escape(text)}</code></pre>{label}</figure>'


def _cell(value: CellValue) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None:
        return Cell(text=ABSENT)
    if isinstance(value, Estimate):
        return _estimate_cell(value)
    if isinstance(value, (int, float)):
        return Cell(text=format_number(value), sort=float(value))
    return Cell(text=str(value))


def _estimate_cell(value: Estimate, *, lr: bool = False) -> Cell:
    text = format_lr(value.value) if lr else format_number(value.value)
    return Cell(text=text, sort=value.value, note=format_interval(value, lr=lr))


def _cell_html(cell: Cell, right: bool, noted: bool) -> str:
    sort = cell.sort
    key = "" if sort is None or math.isnan(sort) else f' data-sort="{1e308 if sort == math.inf else sort:.9g}"'
    dot = f'<i style="background:{escape(cell.swatch)}"></i>' if cell.swatch else ""
    note = f" <small>{inline(cell.note)}</small>" if noted else ""
    return f"<td{_right(right)}{key}>{dot}{inline(cell.text)}{note}</td>"


def _right(numeric: bool) -> str:
    return " class=number" if numeric else ""


def _sorter(sortable: bool) -> str:
    return ' tabindex="0" aria-sort="none"' if sortable else ""
