"""Curves over a run: the training loss by learning rate, the four regimes, and how far the weights move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from lrscope.numbers import format_lr
from lrscope.report.extract.study import DrawnCurve, RatioPoint, wants_log_scale
from lrscope.report.theme import (
    REGIME_COLORS,
    TopLevelChart,
    batch_size_color,
    data,
    learning_rate_axis,
    learning_rate_color,
    log_axis,
    number_axis,
    update_axis,
)

ABOVE_START = 2.0
"""Training curves are cut where the loss is this many times the initial one."""


def training_curves(
    groups: Sequence[tuple[str, Sequence[DrawnCurve]]], select: str, first: str | None = None
) -> alt.Chart:
    """Training loss against updates, coloured by learning rate, one group at a time.

    Arguments:
        groups: a name, as the selector shows it, and its curves. select: what the selector chooses.
        first: the group that is shown at first; the first of them where not given.
    """
    rows = [{"group": name, **_curve_row(curve)} for name, curves in groups for curve in curves]
    everything = [curve for _, curves in groups for curve in curves]
    names = [name for name, _ in groups]
    bind = alt.binding_radio if len(names) <= 6 else alt.binding_select
    start = first if first in names else names[0]
    picked = alt.param(name="picked", value=start, bind=bind(options=names, name=f"{select}  "))
    hover = alt.selection_point(name="hover", fields=["lr"], on="pointerover", clear="pointerout")
    chart: alt.Chart = (
        alt.Chart(data(rows))
        .transform_filter("datum.group == picked")
        .transform_flatten(["step", "loss"])
        .mark_line(clip=True, strokeWidth=1.9)
        .encode(
            update_axis(),
            _loss_axis(everything),
            learning_rate_color(domain=_range([curve.lr for curve in everything]), orient="top", gradientLength=240),
            detail="lr:Q",
            opacity=alt.condition(hover, alt.value(0.95), alt.value(0.12)),
            tooltip=["learning rate:N", "regime:N", "outcome:N"],
        )
        .add_params(hover, zoom())
        .properties(height=430)
    )
    return chart.add_params(picked) if len(names) > 1 else chart.add_params(alt.param(name="picked", value=names[0]))


def four_regimes(curves: Sequence[DrawnCurve]) -> TopLevelChart:
    """The lecture's four curves: very high, high, good and low learning rates."""
    names = [f"{curve.regime.replace('_', ' ')}: {format_lr(curve.lr)}" for curve in curves]
    rows = [{"run": name, **_curve_row(curve)} for name, curve in zip(names, curves, strict=True)]
    scale = alt.Scale(domain=names, range=[REGIME_COLORS[curve.regime] for curve in curves])
    x = update_axis()
    legend = alt.Legend(orient="top", columns=2, title=None)
    color = alt.Color("run:N", scale=scale, sort=names, legend=legend)
    ends = [
        {"run": row["run"], "step": row["step"][-1], "loss": row["loss"][-1]}
        for row in rows
        if row["outcome"] == "diverged"
    ]
    lines = alt.Chart(data(rows)).transform_flatten(["step", "loss"]).mark_line(strokeWidth=2.6, clip=True)
    crosses = alt.Chart(data(ends)).mark_point(shape="cross", angle=45, size=110)
    axis = _loss_axis(curves)
    return alt.layer(
        lines.encode(x, axis, color, tooltip=["run:N", "outcome:N"]), crosses.encode(x, axis, color)
    ).properties(height=360)


def step_of_weights(points: Sequence[RatioPoint]) -> alt.Chart:
    """How far an update moves the weights, ‖Δθ‖/‖θ‖, against the learning rate."""
    rows = [{"batch_size": point.batch_size, "lr": point.lr, "ratio": point.ratio} for point in points]
    low, high = min(point.ratio for point in points), max(point.ratio for point in points)
    chart: alt.Chart = (
        alt.Chart(data(rows))
        .mark_line(point=alt.OverlayMarkDef(size=45))
        .encode(
            learning_rate_axis(low=min(point.lr for point in points), high=max(point.lr for point in points)),
            alt.Y(
                "ratio:Q",
                title="‖Δθ‖ / ‖θ‖ an update, early in the run",
                scale=alt.Scale(type="log", nice=False, padding=10),
                axis=log_axis(low, high),
            ),
            batch_size_color([point.batch_size for point in points]),
            tooltip=["batch_size:Q", alt.Tooltip("lr:Q", format=".2g"), alt.Tooltip("ratio:Q", format=".2g")],
        )
        .properties(height=300)
    )
    return chart


def zoom() -> alt.Parameter:
    """Drag to move, Ctrl and the wheel to zoom (the wheel alone scrolls the page), double click to go back."""
    return alt.selection_interval(name="zoom", bind="scales", zoom="wheel![event.ctrlKey || event.metaKey]")


def _curve_row(curve: DrawnCurve) -> dict[str, Any]:
    ceiling = ABOVE_START * curve.initial_loss if curve.initial_loss > 0 else math.inf
    above = np.flatnonzero(curve.loss > ceiling)
    stop = int(above[0]) + 1 if len(above) and curve.diverged else len(curve.loss)
    loss = np.minimum(curve.loss, ceiling)
    return {
        "lr": curve.lr, "learning rate": format_lr(curve.lr, 3), "regime": curve.regime.replace("_", " "),
        "outcome": curve.status, "step": curve.step[:stop], "loss": loss[:stop],
    }  # fmt: skip


def _loss_axis(curves: Sequence[DrawnCurve]) -> alt.Y:
    losses = np.concatenate([curve.loss for curve in curves]) if curves else np.ones(1)
    start = max((curve.initial_loss for curve in curves), default=1.0)
    log = wants_log_scale([float(np.min(losses))], start)
    top = min(float(np.max(losses)), ABOVE_START * start if start > 0 else math.inf) * 1.02
    bottom = max(float(np.min(losses)) * 0.9, 1e-6 * start) if log else float(np.min(losses)) - 0.03 * abs(start)
    scale = alt.Scale(type="log" if log else "linear", domain=[bottom, top], nice=False)
    return alt.Y(
        "loss:Q",
        title="training loss (smoothed)",
        scale=scale,
        axis=log_axis(bottom, top) if log else number_axis(),
    )


def _range(values: Sequence[float]) -> list[float] | None:
    return [min(values), max(values)] if values else None
