"""The noise scale along a training, and what it says of batch sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt

from lrscope.estimate import Estimate
from lrscope.noise.branched import BranchedCriticalBatch
from lrscope.noise.critical_batch import steps_and_examples
from lrscope.numbers import format_estimate, format_number
from lrscope.report.theme import TopLevelChart, data, log_axis
from lrscope.study.noise import NoisePoint

REACH = 16.0
"""So many times the critical batch size, up and down, is the trade between updates and examples drawn."""


def noise_course(points: Sequence[NoisePoint], average: Estimate, batch_size: int) -> TopLevelChart:
    """The noise scale against the updates made, with intervals; the average as a band, the batch size as a line."""
    known = [(point.step, point.noise_scale) for point in points if point.noise_scale.value > 0]
    known = known or [(0, average)]
    rows = [
        {"update": step, "noise": found.value, "low": found.low or found.value, "high": found.high or found.value,
         "text": format_estimate(found)}
        for step, found in known
    ]  # fmt: skip
    ends = [end for _, found in known for end in (found.low, found.value, found.high) if end and math.isfinite(end)]
    axis = log_axis(min([*ends, batch_size]) / 1.1, max([*ends, batch_size]) * 1.1, format="~s")
    scale = alt.Scale(type="log", nice=False, padding=12)
    y = alt.Y("noise:Q", title="noise scale, in examples", scale=scale, axis=axis)
    last = max(step for step, _ in known)
    ticks = [0, *(digit * 10**power for power in range(9) for digit in (1, 2, 5) if digit * 10**power <= last)]
    x = alt.X(
        "update:Q", title="updates made", scale=alt.Scale(type="symlog", nice=False, padding=12),
        axis=alt.Axis(values=ticks, format="~s"),
    )  # fmt: skip
    base = alt.Chart(data(rows)).encode(x)
    mean = [{"low": average.low or average.value, "high": average.high or average.value, "noise": average.value}]
    level = [{"noise": float(batch_size), "text": f"batch size {batch_size}"}]
    return alt.layer(
        alt.Chart(data(mean)).mark_rect(style="band").encode(alt.Y("low:Q", scale=scale), alt.Y2("high:Q")),
        alt.Chart(data(level)).mark_rule(style="muted", strokeDash=[5, 4]).encode(y),
        alt.Chart(data(level)).mark_text(style="label", align="left", x=4, dy=-8).encode(y, text="text:N"),
        base.mark_line(strokeWidth=1.5, opacity=0.5).encode(y),
        base.mark_rule(strokeWidth=3).encode(alt.Y("low:Q", scale=scale), alt.Y2("high:Q")),
        base.mark_point(size=75).encode(y, tooltip=["update:Q", "text:N"]),
    ).properties(height=320)


def trade(critical: Estimate, batch_size: int) -> TopLevelChart:
    """Updates and examples to one loss against the batch size, in units of the least possible of each."""
    rows = []
    for power in range(-16, 17):
        size = critical.value * REACH ** (power / 16)
        costs = steps_and_examples(size, critical)
        for what, cost in (("updates", costs.steps), ("examples", costs.examples)):
            rows.append({"batch_size": size, "what": what, "cost": cost.value, "low": cost.low, "high": cost.high})
    scale = alt.Scale(type="log", nice=False, domain=[1, REACH + 1])
    axis = log_axis(1.0, REACH + 1, format="~g")
    x = alt.X(
        "batch_size:Q", title="batch size", scale=alt.Scale(type="log", nice=False),
        axis=log_axis(critical.value / REACH, critical.value * REACH, format="~s"),
    )  # fmt: skip
    color = alt.Color("what:N", title=None, sort=["updates", "examples"], legend=alt.Legend(orient="top"))
    y = alt.Y("cost:Q", title="times the least possible", scale=scale, axis=axis)
    base = alt.Chart(data(rows)).encode(x, color=color)
    marks = [{"batch_size": critical.value, "text": f"critical batch size {format_number(round(critical.value))}"}]
    if critical.value / REACH < batch_size < critical.value * REACH:
        marks.append({"batch_size": float(batch_size), "text": f"trained at {batch_size}"})
    lines = alt.Chart(data(marks)).encode(x)
    return alt.layer(
        base.mark_area(style="band", clip=True).encode(alt.Y("low:Q", scale=scale), alt.Y2("high:Q")),
        base.mark_line(strokeWidth=2.4, clip=True).encode(y),
        lines.mark_rule(style="muted", strokeDash=[5, 4]),
        lines.mark_text(style="label", align="left", dx=5, y=14).encode(text="text:N"),
    ).properties(height=320)


def branch_losses(branched: BranchedCriticalBatch) -> TopLevelChart:
    """The loss of each branch above the branch of the smallest batch, and the tolerance."""
    rows = [
        {"batch_size": factor * branched.batch_size, "excess": excess.value, "low": excess.low, "high": excess.high,
         "text": format_estimate(excess)}
        for factor, excess in zip(branched.multipliers, branched.excess_loss, strict=True)
    ]  # fmt: skip
    sizes = [factor * branched.batch_size for factor in branched.multipliers]
    x = alt.X(
        "batch_size:Q", title="batch size of the branch", scale=alt.Scale(type="log", base=2, nice=False, padding=24),
        axis=alt.Axis(values=sizes, format="d"),
    )  # fmt: skip
    y = alt.Y("excess:Q", title="loss above the first branch")
    base = alt.Chart(data(rows)).encode(x)
    level = alt.Chart(data([{"excess": branched.tolerance, "text": f"tolerance {branched.tolerance:g}"}]))
    return alt.layer(
        level.mark_rule(style="muted", strokeDash=[5, 4]).encode(y),
        level.mark_text(style="label", align="left", x=4, dy=-8).encode(y, text="text:N"),
        base.mark_line(strokeWidth=1.5, opacity=0.5).encode(y),
        base.mark_rule(strokeWidth=3).encode(alt.Y("low:Q", title=None), alt.Y2("high:Q")),
        base.mark_point(size=75).encode(y, tooltip=["batch_size:Q", "text:N"]),
    ).properties(height=280)
