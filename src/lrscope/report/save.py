"""One chart into one file: PNG, SVG or a page that opens offline."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lrscope.errors import InvalidInput, MissingExtra
from lrscope.report.files import write_atomically
from lrscope.report.theme import TopLevelChart, themed, vega_lite_version

SUFFIXES = (".png", ".svg", ".html")


def save_chart(chart: TopLevelChart, path: str | os.PathLike[str], *, title: str = "", dark: bool = False) -> Path:
    """Write the chart in the house look, in the format that the suffix of `path` names.

    Arguments:
        chart: any Altair chart.
        path: ends in `.png` (twice the pixels, for sharp screens), `.svg`, or `.html` (self-contained, interactive).
        title: the page's title, for HTML; the chart's own title or the file's name where not given.
        dark: draw on a dark background (PNG and SVG; a page follows its reader's system).

    Raises:
        InvalidInput: another suffix, or a place that cannot be written to.
        MissingExtra: altair or vl-convert-python is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(f"Cannot draw a chart into '{path}': the name must end in .png, .svg or .html.")
    if suffix == ".html":
        from lrscope.report.page import Page

        page = Page(title or Path(path).stem)
        page.section("").chart(chart)
        return page.write(path)
    return write_atomically(path, _rendered(themed(chart, dark=dark), suffix, dark))


def _rendered(spec: dict[str, object], suffix: str, dark: bool) -> bytes:
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtra("vl-convert-python", "report") from error
    if dark:
        spec = {**spec, "background": "#171b21"}
    version = vega_lite_version()
    if suffix == ".svg":
        return vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=version).encode()
    return bytes(vl_convert.vegalite_to_png(json.dumps(spec), vl_version=version, scale=2))
