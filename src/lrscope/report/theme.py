"""The house look of every chart: one Vega-Lite configuration for light and one for dark, and the colour scales.

Charts are built without colours of their own wherever the scale or the named mark style below says what is meant; the
page and `save_chart` bring the configuration in, so that the same chart is legible on either background.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lrscope.errors import MissingExtra

try:
    import altair as alt
except ImportError as error:
    raise MissingExtra("altair", "report") from error

TopLevelChart = alt.TopLevelMixin
FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
WIDTH, HEIGHT = 720, 360
"""The size in pixels of a chart that says none: on a page its width follows the window."""

REGIME_COLORS: dict[str, str] = {
    "very_high": "#d6425e",
    "high": "#e8912d",
    "good": "#2a9d6f",
    "low": "#4a86e0",
    "inconclusive": "#8b93a1",
}
"""Regime -> colour, legible on white and on near-black; ordered from the highest learning rate to the lowest."""

CATEGORY_COLORS = ("#3b7dd8", "#e07b39", "#2a9d6f", "#b0529f", "#d6425e", "#15a3b5", "#a58a1f", "#7a68d8", "#8b93a1")
"""What things of no order are told apart by: batch sizes, schedules, runs, laws."""

MANY_RAMP = ("#6b4bc4", "#3b7dd8", "#15a3b5", "#2a9d6f", "#a58a1f", "#e07b39", "#d6425e")
"""The same where they are many, and in an order."""

ROW = 5
"""The names that a legend above a chart has beside each other at most: as many as a phone has room for."""

LEARNING_RATE_RAMP = ("#1f6fd0", "#4c45b8", "#8f2fa3", "#cb3a7c", "#ea6848", "#f0a020")
LEARNING_RATE_RAMP_DARK = ("#55b4ff", "#8d93ff", "#cf7df0", "#ff78ad", "#ff9a66", "#ffd166")
"""Low to high learning rate, of even perceptual steps, without the ends that vanish on white or on black."""


def chart_config(dark: bool = False) -> dict[str, Any]:
    """Vega-Lite's `config` in the house look.

    Named mark styles, to be used as `mark_rule(style="muted")`: `muted` (reference lines, default values),
    `band` (an interval's area), `label` (text beside a mark), `strong` (the mark that the chart is about).
    """
    ink, soft, grid = ("#e8eaee", "#a3abb8", "#2c323c") if dark else ("#1d2430", "#5b6575", "#e6e9ee")
    background = "#171b21" if dark else "#ffffff"
    return {
        "background": "transparent" if dark else background,
        "font": FONT,
        "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": HEIGHT},
        "padding": 6,
        "axis": {
            "labelColor": soft, "titleColor": ink, "gridColor": grid, "domainColor": soft, "tickColor": soft,
            "labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": 500, "titlePadding": 10, "labelPadding": 5,
            "tickSize": 4, "labelOverlap": "greedy", "labelSeparation": 6,
        },
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            "labelColor": ink, "titleColor": soft, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500,
            "symbolSize": 90, "symbolStrokeWidth": 2.5, "gradientThickness": 12, "gradientStrokeWidth": 0,
            "labelLimit": 260, "titleLimit": 260,
        },
        "header": {"labelColor": ink, "titleColor": soft, "labelFontSize": 13, "labelFontWeight": 600},
        "title": {
            "color": ink, "subtitleColor": soft, "fontSize": 15, "fontWeight": 600, "subtitleFontSize": 12.5,
            "anchor": "start", "offset": 14, "subtitlePadding": 6,
        },
        "line": {"strokeWidth": 2, "strokeCap": "round", "strokeJoin": "round"},
        "point": {"size": 55, "filled": True, "opacity": 1},
        "area": {"opacity": 0.16},
        "bar": {"cornerRadiusEnd": 3, "color": CATEGORY_COLORS[0]},
        "rule": {"color": soft},
        "text": {"color": ink, "fontSize": 12},
        "mark": {"color": CATEGORY_COLORS[0]},
        "range": {
            "category": list(CATEGORY_COLORS),
            "ordinal": list(CATEGORY_COLORS),
            "ramp": list(LEARNING_RATE_RAMP_DARK if dark else LEARNING_RATE_RAMP),
        },
        "style": {
            "muted": {"stroke": soft, "fill": soft, "opacity": 0.7},
            "band": {"opacity": 0.16},
            "label": {"fill": ink, "fontSize": 12, "fontWeight": 500},
            "strong": {"stroke": ink, "fill": ink},
            "halo": {"stroke": background, "strokeWidth": 2},
        },
    }  # fmt: skip


def themed(chart: TopLevelChart, *, dark: bool = False) -> dict[str, Any]:
    """The chart as a Vega-Lite specification in the house look; the chart's own `configure_…` come before it."""
    spec = plain(chart)
    spec["config"] = _merged(chart_config(dark), spec.get("config", {}))
    return spec


def plain(chart: TopLevelChart) -> dict[str, Any]:
    """The chart as a Vega-Lite specification without Altair's own theme and without its limit of rows."""
    with alt.theme.enable("none"), alt.data_transformers.enable("default", max_rows=None):
        return dict(chart.to_dict())


def vega_lite_version() -> str:
    """The Vega-Lite version that the installed Altair writes, as vl-convert names it: `6.4`."""
    return str(alt.SCHEMA_VERSION).lstrip("v").rsplit(".", 1)[0]


def data(rows: Iterable[Mapping[str, Any]]) -> alt.Data:
    """Rows of plain values as chart data: NumPy unwrapped, numbers that are not finite null, floats of five digits.

    Arguments:
        rows: dicts of column -> value; a value may be a sequence, for `transform_flatten`: the compact form for curves.

    >>> data([{"lr": 0.1, "loss": float("inf")}]).to_dict()
    {'values': [{'lr': 0.1, 'loss': None}]}
    """
    values = [{key: _plain(value) for key, value in row.items()} for row in rows]
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def log_axis(low: float | None = None, high: float | None = None, **axis: Any) -> alt.Axis:
    """A logarithmic axis with ticks at 1, 2 and 5 alone; with the range from `low` to `high` given, as suits it."""
    if low is not None and high is not None and 0 < low < high < math.inf:
        return alt.Axis(**{"format": "~g", "values": _log_ticks(low, high), **axis})
    test = "indexof('125', slice(format(datum.value, '.0e'), 0, 1)) >= 0"
    shown = {"condition": {"test": test, "value": 1}, "value": 0}
    label = f"{test} ? format(datum.value, '~g') : ''"
    return alt.Axis(**{"labelExpr": label, "gridOpacity": shown, "tickOpacity": shown, "tickCount": 50, **axis})


def learning_rate_axis(title: str = "peak learning rate", **axis: Any) -> alt.X:
    """The x axis of learning rates: logarithmic, few labels, in short decimals."""
    return alt.X("lr:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=12), axis=log_axis(**axis))


def batch_size_axis(sizes: Sequence[int]) -> alt.X:
    """The x axis of batch sizes: logarithmic to base 2, labelled at the sizes themselves."""
    scale = alt.Scale(type="log", base=2, nice=False, padding=24)
    axis = alt.Axis(values=sorted(set(sizes)), format="d")
    return alt.X("batch_size:Q", title="batch size", scale=scale, axis=axis)


def learning_rate_color(domain: Sequence[float] | None = None, **legend: Any) -> alt.Color:
    """Colour by learning rate: one perceptual ramp, logarithmic, low cool and high warm."""
    scale = alt.Scale(type="log", domain=alt.Undefined if domain is None else list(domain))
    if domain is not None and 0 < domain[0] < domain[1]:
        ticks = _log_ticks(domain[0], domain[1])
        legend = {"values": ticks if len(ticks) <= 5 else ticks[:: math.ceil(len(ticks) / 5)], **legend}
    legend = {"format": "~g", "tickCount": 5, **legend}
    return alt.Color("lr:Q", title="learning rate", scale=scale, legend=alt.Legend(**legend))


def batch_size_color(sizes: Sequence[int]) -> alt.Color:
    """Colour by batch size: the k-th smallest has the same colour in all charts of a page; many make a ramp."""
    ordered = sorted(set(sizes))
    scale = alt.Scale(domain=ordered, range=list(order_colors(len(ordered))))
    columns = alt.Undefined if len(ordered) <= ROW else ROW
    legend = alt.Legend(orient="top", symbolOpacity=1, columns=columns)
    return alt.Color("batch_size:O", title="batch size", scale=scale, legend=legend)


def order_colors(count: int) -> tuple[str, ...]:
    """The colours of `count` batch sizes in their order: of the house, or a ramp where there are more of them."""
    if count <= len(CATEGORY_COLORS):
        return CATEGORY_COLORS[:count]
    shares = np.linspace(0, len(MANY_RAMP) - 1, count)
    channels = [[int(color[i : i + 2], 16) for color in MANY_RAMP] for i in (1, 3, 5)]
    mixed = [np.interp(shares, range(len(MANY_RAMP)), channel) for channel in channels]
    return tuple(
        f"#{round(red):02x}{round(green):02x}{round(blue):02x}" for red, green, blue in zip(*mixed, strict=True)
    )


def update_axis(title: str = "update") -> alt.X:
    """The x axis of a run's updates: few ticks, and no empty end."""
    label = "format(datum.value, datum.value < 10000 ? ',~r' : '~s')"
    axis = alt.Axis(labelExpr=label, tickCount=8, labelFlush=True)
    return alt.X("step:Q", title=title, scale=alt.Scale(nice=False), axis=axis)


def number_axis(**axis: Any) -> alt.Axis:
    """A linear axis of decimals, never of powers of ten: d3's `g` writes a hundred as `1e+2`."""
    return alt.Axis(**{"format": "~r", **axis})


def _log_ticks(low: float, high: float) -> list[float]:
    decades = math.log10(high / low)
    digits = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 0.9 else (1, 2, 5) if decades < 3 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit * 10.0**power:.12g}") for power in powers for digit in digits]
    slack = 1e-6  # for ends that a power has rounded
    return [tick for tick in ticks if low * (1 - slack) <= tick <= high * (1 + slack)]


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
