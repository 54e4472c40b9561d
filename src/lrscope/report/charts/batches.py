"""Large against small batches: small charts of what an update costs and what it brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from lrscope.numbers import format_number, format_seconds
from lrscope.report.charts.labels import log_shares, readable
from lrscope.report.extract.batches import BatchComparison, BatchSummary, Spread
from lrscope.report.theme import CATEGORY_COLORS, REGIME_COLORS, TopLevelChart, batch_size_axis, data, log_axis

_NUMBER = "format(datum.value, datum.value < 1000 ? '~g' : '~s')"
_SECONDS = "datum.value < 1 ? format(1000 * datum.value, '~g') + ' ms' : format(datum.value, '~g') + ' s'"
BEST, PLAIN = REGIME_COLORS["good"], CATEGORY_COLORS[0]
SMALL_APART = (0.16, 1.0)
"""Labels of a small chart stand this far apart, whatever their height: they may be as long as `1,230,000`."""


@dataclass(frozen=True, kw_only=True)
class _Measure:
    title: str
    subtitle: str
    read: Callable[[BatchSummary], Spread | None]
    scale: float = 1.0
    seconds: bool = False
    best: Callable[[Sequence[float]], float] | None = None


def batch_charts(comparison: BatchComparison) -> list[TopLevelChart]:
    """One small chart per measure that at least two batch sizes have; the best batch size of each is green."""
    charts = [_small(comparison.rows, measure) for measure in _measures(comparison)]
    return [chart for chart in charts if chart is not None]


def _measures(comparison: BatchComparison) -> tuple[_Measure, ...]:
    goal = "" if comparison.target is None else f"to a loss of {format_number(comparison.target)}"
    return (
        _Measure(
            title="Cost of an update", subtitle="milliseconds", read=lambda row: row.seconds_per_update, scale=1e3
        ),
        _Measure(
            title="Examples a second", subtitle="training alone", read=lambda row: row.examples_per_second, best=max
        ),
        _noise(comparison),
        _Measure(title="Updates", subtitle=goal, read=lambda row: row.updates_to_target),
        _Measure(title="Examples", subtitle=goal, read=lambda row: row.examples_to_target, best=min),
        _Measure(title="Seconds", subtitle=goal, read=lambda row: row.seconds_to_target, seconds=True, best=min),
    )


def _noise(comparison: BatchComparison) -> _Measure:
    """How accurate a gradient is: by the gradients themselves where they were measured, else by the loss."""
    if any(row.gradient_variance is not None for row in comparison.rows):
        return _Measure(
            title="Noise of the gradient",
            subtitle="its variance over its square",
            read=lambda row: row.gradient_variance,
        )
    return _Measure(title="Noise", subtitle="variance of the loss between updates", read=lambda row: row.loss_variance)


def _small(rows: Sequence[BatchSummary], measure: _Measure) -> TopLevelChart | None:
    values = [(row.batch_size, spread) for row in rows if (spread := measure.read(row)) is not None]
    if len(values) < 2:
        return None
    best = None if measure.best is None else measure.best([spread.mean for _, spread in values])
    show = format_seconds if measure.seconds else format_number
    table: list[dict[str, Any]] = [
        {
            "batch_size": batch_size, "value": spread.mean * measure.scale, "low": spread.low * measure.scale,
            "high": spread.high * measure.scale, "best": spread.mean == best, "text": show(spread.mean * measure.scale),
            "mean": show(spread.mean * measure.scale), "seeds": spread.seeds,
        }
        for batch_size, spread in values
    ]  # fmt: skip
    lowest = min(spread.low for _, spread in values) * measure.scale
    highest = max(spread.high for _, spread in values) * measure.scale
    places = log_shares([size for size, _ in values], values[0][0], values[-1][0])
    first = [0, len(values) - 1, *(index for index, row in enumerate(table) if row["best"])]
    for row, stands in zip(table, readable([(x, 0.0) for x in places], SMALL_APART, first[::-1]), strict=True):
        row["text"] = row["text"] if stands else ""
    label = _SECONDS if measure.seconds else _NUMBER
    y = alt.Y("value:Q", title=None, scale=alt.Scale(type="log", nice=False, padding=22),
              axis=log_axis(lowest / 1.2, highest * 1.2, labelExpr=label))  # fmt: skip
    base = alt.Chart(data(table)).encode(batch_size_axis([size for size, _ in values]))
    color = alt.condition("datum.best", alt.value(BEST), alt.value(PLAIN))
    return alt.layer(
        base.mark_line(color=PLAIN, opacity=0.45).encode(y),
        base.mark_rule(strokeWidth=3).encode(alt.Y("low:Q", title=None), alt.Y2("high:Q"), color=color),
        base.mark_point(size=75).encode(y, color=color, tooltip=["batch_size:Q", "mean:N", "seeds:Q"]),
        base.mark_text(style="label", dy=-12).encode(alt.Y("high:Q", title=None), text="text:N"),
    ).properties(height=170, title=alt.TitleParams(measure.title, subtitle=measure.subtitle))
