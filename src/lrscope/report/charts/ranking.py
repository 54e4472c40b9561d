"""Schedules compared: the loss of each at its own best learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from lrscope.numbers import format_estimate
from lrscope.report.extract.schedules import RankedSchedule
from lrscope.report.theme import TopLevelChart, batch_size_color, data, number_axis


def ranking(rows: Sequence[RankedSchedule], metric: str) -> TopLevelChart:
    """The loss with its interval, a line per schedule, coloured by batch size; the best schedule on top."""
    table = [
        {
            "batch_size": row.batch_size, "schedule": row.schedule, "loss": row.loss.value,
            "low": row.loss.low or row.loss.value,
            "high": row.loss.high or row.loss.value,
            "best rate": format_estimate(row.optimal_lr, lr=True), "loss on fresh seeds": format_estimate(row.loss),
        }
        for row in rows
    ]  # fmt: skip
    mean = {name: _mean_rank(rows, name) for name in dict.fromkeys(row.schedule for row in rows)}
    y = alt.Y("schedule:N", title=None, sort=sorted(mean, key=lambda name: mean[name]),
              axis=alt.Axis(labelLimit=340, grid=True, domain=False))  # fmt: skip
    sizes = [row.batch_size for row in rows]
    base = alt.Chart(data(table)).encode(y, batch_size_color(sizes), yOffset=alt.YOffset("batch_size:O"))
    title = f"{metric} at the schedule's own best learning rate"
    x = alt.X("loss:Q", title=title, scale=alt.Scale(zero=False), axis=number_axis(tickCount=6))
    return alt.layer(
        base.mark_rule(strokeWidth=6, opacity=0.4, strokeCap="round").encode(alt.X("low:Q"), alt.X2("high:Q")),
        base.mark_point(size=80).encode(
            x, tooltip=["schedule:N", "batch_size:Q", "best rate:N", "loss on fresh seeds:N"]
        ),
    ).properties(height=len(mean) * max(34, 18 * len(set(sizes))))


def _mean_rank(rows: Sequence[RankedSchedule], schedule: str) -> float:
    ranks = [row.rank for row in rows if row.schedule == schedule]
    return sum(ranks) / len(ranks)
