"""The lecture's picture: the loss against the learning rate, with its fit and its optimum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from lrscope.numbers import format_estimate, format_lr, format_number
from lrscope.report.charts.labels import log_shares, readable
from lrscope.report.extract.study import wants_log_scale
from lrscope.report.theme import TopLevelChart, batch_size_color, data, learning_rate_axis, log_axis, number_axis
from lrscope.study.result import Optimum

HEADROOM = 1.12
"""How far above the highest finite loss the top edge lies, where the diverged runs stand."""
BELOW = 0.12
"""The room below the lowest loss as a share of the chart, for the optima's labels; a small chart needs twice that."""


def loss_against_rate(
    optima: Sequence[Optimum],
    metric: str,
    *,
    by_schedule: bool = False,
    lines: str = "schedule",
    small: alt.TitleParams | None = None,
) -> TopLevelChart:
    """The lecture's picture: the final loss against the learning rate, its fit, and the optimum with its interval.

    Runs that diverged, or ended above where they began, stand as crosses at the top edge.

    Arguments:
        optima: one per line. metric: the title of the y axis.
        by_schedule: lines are told apart by schedule instead of by batch size; `lines` is the legend's title then.
        small: the title of a chart for a gallery, which has no legend.
    """
    sizes = [optimum.batch_size for optimum in optima]
    color = (
        alt.Color("line:N", title=lines, sort=[optimum.schedule for optimum in optima], legend=_ON_TOP)
        if by_schedule
        else batch_size_color(sizes)
    )
    if small is not None:
        color = color.legend(None)
    finite = [point.loss for optimum in optima for point in optimum.curve if _within(point.loss, optimum)]
    expected = [optimum.expected_loss.value for optimum in optima if optimum.expected_loss is not None]
    log = wants_log_scale([*finite, *expected], max((optimum.initial_loss for optimum in optima), default=1.0))
    lowest, highest = (min([*finite, *expected]), max(finite)) if finite else (0.5, 1.0)
    top = highest * HEADROOM if log else highest + 0.06 * (highest - lowest)
    room = BELOW if small is None else 2 * BELOW
    bottom = lowest * min(0.72, (lowest / top) ** room) if log else lowest - room * (highest - lowest)
    scale = alt.Scale(type="log" if log else "linear", domain=[bottom, top], nice=False)
    axis = log_axis(bottom, top) if log else number_axis() if finite else alt.Axis(values=[])
    y = alt.Y("loss:Q", title=metric, scale=scale, axis=axis)
    rates = [point.lr for optimum in optima for point in optimum.curve]
    rates += [point.lr for optimum in optima for point in optimum.fitted]
    x = learning_rate_axis(low=min(rates, default=None), high=max(rates, default=None))
    points = alt.Chart(data(_point_rows(optima, top, bottom, log))).encode(x, y, color)
    tip = ["batch size:Q", "schedule:N", "learning rate:N", "final loss:N", "regime:N", "seeds:Q"]
    ran, fit = points.transform_filter("!datum.lost"), alt.Chart(data(_fit_rows(optima, bottom if log else -math.inf)))
    layers: list[alt.Chart] = [
        ran.mark_line(strokeWidth=1.3, opacity=0.5),
        fit.mark_area(style="band", clip=True, opacity=0.12).encode(
            x, alt.Y("low:Q", scale=scale), alt.Y2("high:Q"), color, alt.Detail("line:N")
        ),
        fit.mark_line(strokeWidth=2.6, clip=True).encode(x, y, color, alt.Detail("line:N")),
        ran.mark_point(size=50).encode(tooltip=tip),
        points.transform_filter("datum.lost")
        .mark_point(shape="cross", angle=45, size=75, filled=True)
        .encode(tooltip=tip),
        *_optimum_marks(optima, rates, (bottom, top), log, x, y, color),
    ]
    chart = alt.layer(*layers)
    return chart.properties(height=430) if small is None else chart.properties(height=190, title=small)


_HEIGHTS = ("loss", "low", "high")
_ON_TOP = alt.Legend(orient="top", direction="vertical", labelLimit=600, symbolOpacity=1)


def _within(loss: float, optimum: Optimum) -> bool:
    return math.isfinite(loss) and loss <= optimum.initial_loss


def _line(optimum: Optimum) -> dict[str, object]:
    return {"batch_size": optimum.batch_size, "line": optimum.schedule}


def _point_rows(optima: Sequence[Optimum], top: float, bottom: float, log: bool) -> list[dict[str, object]]:
    rows = []
    for index, optimum in enumerate(optima):
        edge = top * (bottom / top) ** (0.03 * index) if log else top - 0.03 * index * (top - bottom)
        for point in optimum.curve:
            inside = _within(point.loss, optimum)
            rows.append(
                {
                    **_line(optimum), "lr": point.lr, "loss": point.loss if inside else edge, "lost": not inside,
                    "batch size": optimum.batch_size, "schedule": optimum.schedule,
                    "learning rate": format_lr(point.lr, 3), "regime": point.regime.replace("_", " "),
                    "final loss": format_number(point.loss) if math.isfinite(point.loss) else "diverged",
                    "seeds": point.seeds,
                }
            )  # fmt: skip
    return rows


def _fit_rows(optima: Sequence[Optimum], bottom: float) -> list[dict[str, object]]:
    """The fitted curves; what lies below the chart, where a logarithm may have no place for it, ends there."""
    return [
        {**_line(optimum), "lr": point.lr, **{name: max(getattr(point, name), bottom / 2) for name in _HEIGHTS}}
        for optimum in optima
        for point in optimum.fitted
    ]


def _optimum_marks(
    optima: Sequence[Optimum],
    rates: Sequence[float],
    heights: tuple[float, float],
    log: bool,
    x: alt.X,
    y: alt.Y,
    color: alt.Color,
) -> list[alt.Chart]:
    """The optima with their intervals; an open end goes as far as the rates that are drawn.

    Where labels would lie on each other, that of the lowest loss stands.
    """
    rows: list[dict[str, Any]] = [
        {
            **_line(optimum), "lr": lr.value,
            "low": lr.low or min(lr.value, *rates), "high": lr.high or max(lr.value, *rates),
            "loss": loss.value, "text": format_lr(lr.value), "optimum": format_estimate(lr, lr=True),
            "expected loss": format_estimate(loss), "status": optimum.status,
        }
        for optimum in optima
        if (lr := optimum.optimal_lr) is not None and (loss := optimum.expected_loss) is not None
    ]  # fmt: skip
    for row, stands in zip(rows, _labelled(rows, rates, heights, log), strict=True):
        row["text"] = row["text"] if stands else ""
    base = alt.Chart(data(rows))
    interval = base.encode(alt.X("low:Q", scale=x["scale"]), alt.X2("high:Q"), y, color)
    centre = base.encode(x, y)
    tip = ["batch_size:Q", "optimum:N", "expected loss:N", "status:N"]
    return [
        interval.mark_rule(strokeWidth=9, opacity=0.45, strokeCap="round"),
        centre.mark_point(shape="diamond", size=190, style="halo").encode(color, tooltip=tip),
        centre.mark_text(style="label", dy=20, fontWeight=700).encode(text="text:N"),
    ]


def _labelled(
    rows: Sequence[dict[str, Any]], rates: Sequence[float], heights: tuple[float, float], log: bool
) -> list[bool]:
    everything = [*rates, *(row["lr"] for row in rows)]
    if not rows or min(everything) == max(everything):
        return [True] * len(rows)
    across = log_shares([row["lr"] for row in rows], min(everything), max(everything))
    bottom, top = heights
    if not top > bottom:  # losses that are all the same
        up = [0.5] * len(rows)
    elif log:
        up = log_shares([max(row["loss"], bottom) for row in rows], bottom, top)
    else:
        up = [(row["loss"] - bottom) / (top - bottom) for row in rows]
    best = sorted(range(len(rows)), key=lambda index: float(rows[index]["loss"]))
    return readable(list(zip(across, up, strict=True)), first=best)
