"""The optimal learning rate against the batch size, with the law that was fitted to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import altair as alt

from lrscope.numbers import format_estimate, format_lr
from lrscope.report.charts.labels import log_shares, readable
from lrscope.report.extract.law import LawPoint
from lrscope.report.theme import TopLevelChart, batch_size_axis, data, log_axis
from lrscope.study.result import Optimum

TITLE = "optimal peak learning rate"


def rate_against_batch(optima: Sequence[Optimum], line: Sequence[LawPoint]) -> TopLevelChart:
    """The optimal learning rate against the batch size: the optima with intervals, the best law, the laws' band.

    Arguments:
        optima: those without an optimal learning rate are left out. line: by `law_line`; may be empty.
    """
    known = [optimum for optimum in optima if optimum.optimal_lr is not None]
    sizes = [optimum.batch_size for optimum in known]
    shown = [*sizes, min(sizes) // 2 or 1, max(sizes) * 2, max(sizes) * 4] if line else sizes
    x = batch_size_axis(shown)
    ends = [value for point in line for value in (point.low, point.high) if value is not None]
    ends += [optimum.optimal_lr.value for optimum in known if optimum.optimal_lr is not None]
    axis = log_axis(min(ends) / 1.1, max(ends) * 1.1)
    scale = alt.Scale(type="log", nice=False, padding=12)
    y = alt.Y("lr:Q", title=TITLE, scale=scale, axis=axis)
    layers: list[alt.Chart] = []
    if line:
        band = alt.Y("low:Q", title=TITLE, scale=scale, axis=axis)
        fitted = alt.Chart(data([dataclasses.asdict(point) for point in line])).encode(x)
        layers += [
            fitted.mark_area(style="band", clip=True).encode(band, alt.Y2("high:Q")),
            fitted.mark_line(strokeWidth=2.4).encode(y),
        ]
    points: list[dict[str, Any]] = [
        {"batch_size": optimum.batch_size, "lr": estimate.value, "low": estimate.low or estimate.value,
         "high": estimate.high or estimate.value, "status": optimum.status,
         "optimum": format_estimate(estimate, lr=True), "text": format_lr(estimate.value)}
        for optimum in known if (estimate := optimum.optimal_lr) is not None
    ]  # fmt: skip
    places = log_shares([point["batch_size"] for point in points], min(shown), max(shown))
    ends_first = [0, len(points) - 1]
    for point, stands in zip(points, readable([(x, 0.0) for x in places], first=ends_first), strict=True):
        point["text"] = point["text"] if stands else ""
    marks = alt.Chart(data(points)).encode(x)
    layers += [
        marks.mark_rule(style="strong", strokeWidth=2).encode(
            alt.Y("low:Q", title=TITLE, scale=scale, axis=axis), alt.Y2("high:Q")
        ),
        marks.mark_point(style="strong", size=90).encode(y, tooltip=["batch_size:Q", "optimum:N", "status:N"]),
        marks.mark_text(style="label", align="left", dx=10, dy=12).encode(y, text="text:N"),
    ]
    return alt.layer(*layers).properties(height=340)
