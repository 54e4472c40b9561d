"""Pictures of schedules: their shapes, a refinement, a transfer and a forecast."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
from numpy.typing import NDArray

from lrscope.report.theme import CATEGORY_COLORS, TopLevelChart, data, number_axis, update_axis
from lrscope.schedules.bound import ConvexBound
from lrscope.schedules.forecast import LossForecast, ScheduledRun
from lrscope.schedules.refine import Refinement

FloatArray = NDArray[np.float64]

POINTS = 400
"""Points that a drawn curve keeps."""

LONG = 18
"""The letters of a name from which a phone has no room for two beside each other."""


def schedule_chart(
    names: Sequence[str],
    steps: NDArray[np.int64],
    rates: Sequence[FloatArray],
    *,
    peak_lr: float | None = None,
    height: int = 300,
) -> TopLevelChart:
    """The rate of each update under one or several schedules.

    Arguments:
        names: the schedules' texts. steps: (points,) the updates looked at. rates: for each schedule, (points,) shares
            of the peak rate.
        peak_lr: what to multiply by; without it the shares are drawn.
    """
    scale = 1.0 if peak_lr is None else peak_lr
    rows = [
        {"schedule": name, "step": steps[i], "lr": scale * values[i]}
        for name, values in zip(names, rates, strict=True)
        for i in corner_steps(values)
    ]
    title = "share of the peak rate" if peak_lr is None else "learning rate"
    y = alt.Y("lr:Q", title=title, scale=alt.Scale(zero=True), axis=number_axis())
    base = alt.Chart(data(rows)).encode(update_axis())
    tooltip = ["schedule:N", "step:Q", alt.Tooltip("lr:Q", format=".4g")]
    if len(names) == 1:
        band = base.mark_area(style="band", color=CATEGORY_COLORS[0]).encode(y)
        line = base.mark_line(color=CATEGORY_COLORS[0], strokeWidth=2.4).encode(y, tooltip=tooltip)
        return alt.layer(band, line).properties(title=names[0], height=height)
    lines = base.mark_line(strokeWidth=2.4, clip=True).encode(
        y, alt.Color("schedule:N", title=None, sort=list(names), legend=top_legend(names)), tooltip=tooltip
    )
    return alt.layer(lines).properties(height=height)


def corner_steps(values: FloatArray) -> list[int]:
    """Steps to draw a curve by: an even grid, and both sides of every jump and corner that the grid would blur."""
    size = values.size
    grid = np.unique(np.linspace(0, size - 1, min(size, POINTS)).round().astype(int))
    if size <= POINTS:
        return [int(step) for step in grid]
    bends = np.abs(np.diff(values, 2))
    sharpest = np.argsort(bends)[::-1][: POINTS // 4]
    sharpest = sharpest[bends[sharpest] > 1e-3 * max(float(np.max(np.abs(values))), 1e-300)]
    return [int(step) for step in np.unique(np.concatenate([grid, sharpest, sharpest + 1, sharpest + 2]))]


def top_legend(names: Sequence[str]) -> alt.Legend:
    """A legend above the chart, one entry per line where the names are long."""
    columns = 1 if max(map(len, names), default=0) > LONG else 2
    return alt.Legend(orient="top", direction="horizontal", labelLimit=340, columns=columns, symbolType="stroke")


def corner_legend() -> alt.Legend:
    """A legend inside the chart's upper right corner."""
    return alt.Legend(orient="top-right", symbolType="stroke", fillColor="transparent", offset=4)


def refinement_chart(refinement: Refinement, logged_rates: FloatArray | None = None) -> TopLevelChart:
    """The gradient norms of a log, and below them the schedule that they ask for.

    Arguments:
        logged_rates: (points,) the run's own rates at the refinement's steps, as shares of their peak.
    """
    keep = corner_steps(refinement.smoothed)
    norms = [
        {"step": refinement.step[i], "norm": refinement.grad_norm[i], "smoothed": refinement.smoothed[i]} for i in keep
    ]
    base = alt.Chart(data(norms)).encode(update_axis(""))
    y = alt.Y(
        "norm:Q",
        title="gradient norm",
        scale=alt.Scale(type="log", nice=False),
        axis=number_axis(tickCount=5),
    )
    logged = base.mark_line(color=CATEGORY_COLORS[8], strokeWidth=1, opacity=0.5).encode(y)
    smooth = base.mark_line(color=CATEGORY_COLORS[3], strokeWidth=2.4).encode(
        alt.Y("smoothed:Q", title="gradient norm")
    )
    rows = [{"line": "refined", "step": refinement.step[i], "lr": refinement.rates[i]} for i in keep]
    if logged_rates is not None:
        rows += [{"line": "as logged", "step": refinement.step[i], "lr": logged_rates[i]} for i in keep]
    color = alt.Color(
        "line:N", title=None, legend=corner_legend() if logged_rates is not None else None,
        scale=alt.Scale(domain=["refined", "as logged"], range=[CATEGORY_COLORS[0], CATEGORY_COLORS[8]]),
    )  # fmt: skip
    rates = (
        alt.Chart(data(rows)).mark_line(strokeWidth=2.4)
        .encode(update_axis(), alt.Y("lr:Q", title="share of the peak rate"), color)
    )  # fmt: skip
    return alt.vconcat(
        alt.layer(logged, smooth).properties(height=150, width=680), rates.properties(height=240, width=680)
    )


def bound_chart(names: Sequence[str], bounds: Sequence[ConvexBound]) -> TopLevelChart:
    """The convex bound of each schedule against the peak rate, relative to the first one's best; dots mark the best."""
    base = bounds[0].best_base
    grid = np.geomspace(0.15, 8.0, 81)
    rows = [
        {"schedule": name, "lr": float(x), "bound": bound.at(base * float(x)) / bounds[0].value}
        for name, bound in zip(names, bounds, strict=True)
        for x in grid
    ]
    best = [
        {"schedule": name, "lr": bound.best_base / base, "bound": bound.value / bounds[0].value,
         "text": f"×{bound.best_base / base:.2f}"}
        for name, bound in zip(names, bounds, strict=True)
    ]  # fmt: skip
    x = alt.X(
        "lr:Q",
        title="peak rate, relative to the best for the first schedule",
        scale=alt.Scale(type="log", nice=False),
        axis=number_axis(values=[0.2, 0.5, 1, 2, 5]),
    )
    lowest = min(bound.value for bound in bounds) / bounds[0].value
    y = alt.Y("bound:Q", title="bound on the loss, relative", scale=alt.Scale(domain=[lowest - 0.3, 3.0], nice=False))
    color = alt.Color("schedule:N", title=None, sort=list(names), legend=top_legend(names))
    lines = alt.Chart(data(rows)).mark_line(strokeWidth=2.2, clip=True).encode(x, y, color)
    dots = alt.Chart(data(best)).mark_point(size=110).encode(x, y, color)
    # The first label stands above its dot and the others below, so that close optima stay legible.
    texts = [
        alt.Chart(data([row])).mark_text(style="label", dy=18 if index else -16).encode(x, y, text="text:N")
        for index, row in enumerate(best)
    ]
    return alt.layer(lines, dots, *texts).properties(height=280)


def forecast_chart(forecast: LossForecast, name: str, runs: Sequence[ScheduledRun]) -> TopLevelChart:
    """The forecast loss with its 80 % band, beside the runs that it was learnt from."""
    order = [*(run.name for run in runs), f"forecast: {name}"]
    colors = [CATEGORY_COLORS[1 + i % 7] for i in range(len(runs))] + [CATEGORY_COLORS[0]]
    color = alt.Color(
        "run:N", title=None, sort=order, legend=top_legend(order), scale=alt.Scale(domain=order, range=colors)
    )
    measured = [
        {"run": run.name, "step": run.step[i], "loss": run.loss[i]}
        for run in runs
        for i in np.unique(np.linspace(0, run.step.size - 1, min(run.step.size, 200)).round().astype(int))
    ]
    keep = np.unique(np.linspace(0, forecast.step.size - 1, min(forecast.step.size, 300)).round().astype(int))
    ahead = [
        {
            "run": order[-1],
            "step": forecast.step[i],
            "loss": forecast.loss[i],
            "low": forecast.low[i],
            "high": forecast.high[i],
        }
        for i in keep
    ]
    top = float(np.quantile(np.concatenate([run.loss for run in runs]), 0.93))
    bottom = min(float(forecast.low.min()), *(float(run.loss.min()) for run in runs))
    scale = alt.Scale(domain=[bottom - 0.04 * (top - bottom), top], nice=False)
    base = alt.Chart(data(ahead)).encode(update_axis())
    band = base.mark_area(color=CATEGORY_COLORS[0], style="band", clip=True).encode(
        alt.Y("low:Q", title="loss", scale=scale), alt.Y2("high:Q")
    )
    y = alt.Y("loss:Q", title="loss", scale=scale)
    past = alt.Chart(data(measured)).mark_line(strokeWidth=1.6, opacity=0.85, clip=True).encode(update_axis(), y, color)
    line = base.mark_line(strokeWidth=3, clip=True).encode(y, color)
    final = alt.Chart(data([{**ahead[-1], "text": f"{forecast.loss[-1]:.4g}"}])).encode(update_axis(), y)
    mark = final.mark_point(color=CATEGORY_COLORS[0], size=90)
    text = final.mark_text(style="label", align="right", dy=16).encode(text="text:N")
    return alt.layer(band, past, line, mark, text).properties(height=380)
