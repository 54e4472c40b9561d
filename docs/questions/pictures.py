"""The pictures of the page: curves of losses, losses against rates, optima against batch sizes, spreads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from lrscope.estimate import Estimate
from lrscope.numbers import format_lr
from lrscope.report.theme import TopLevelChart, batch_size_axis, data, learning_rate_axis, log_axis
from lrscope.scaling.u_curve import UCurve

WIDTH, HEIGHT = 640, 260
ON_TOP = alt.Legend(orient="top", title=None, labelLimit=500, symbolOpacity=1, symbolStrokeWidth=3)


def curves(losses: Mapping[str, Sequence[float]], *, log: bool = True, title: str = "training loss") -> TopLevelChart:
    """Losses by update, a line each, as moving averages over a fiftieth of the run."""
    rows = []
    for name, values in losses.items():
        finite = np.array([value for value in values if np.isfinite(value)])
        window = max(1, len(finite) // 50)
        smooth = np.convolve(finite, np.ones(window) / window, mode="valid")
        rows += [{"update": k + window, "loss": float(loss), "run": name} for k, loss in enumerate(smooth)]
    start = max(rows[0]["loss"], 1e-9) if rows else 1.0
    low = max(min(row["loss"] for row in rows), 1e-5)
    scale = alt.Scale(type="log" if log else "linear", domain=[low * 0.9, start * 1.5], clamp=True, nice=False)
    y = alt.Y("loss:Q", title=title, scale=scale, axis=log_axis(low * 0.9, start * 1.5) if log else alt.Axis())
    return (
        alt.Chart(data(rows)).mark_line(strokeWidth=2, opacity=0.9)
        .encode(alt.X("update:Q", title="update"), y, alt.Color("run:N", sort=list(losses), legend=ON_TOP))
        .properties(width=WIDTH, height=HEIGHT)
    )  # fmt: skip


def against_rates(sweeps: Mapping[str, Sequence[tuple[float, float]]], fits: Mapping[str, UCurve]) -> TopLevelChart:
    """Final losses against the learning rate, a line each, with the optimum of each and its 80 % interval."""
    rows = [
        {"lr": lr, "loss": min(loss, 2.5), "run": name, "lost": not loss < 2.5}
        for name, sweep in sweeps.items() for lr, loss in sweep
    ]  # fmt: skip
    marks = [
        {"lr": best.value, "low": best.low or best.value, "high": best.high or best.value, "run": name,
         "loss": min(loss for _, loss in sweeps[name]), "text": format_lr(best.value)}
        for name, fit in fits.items() if (best := fit.optimal_lr) is not None
    ]  # fmt: skip
    low = min(row["loss"] for row in rows)
    scale = alt.Scale(type="log", nice=False, domain=[low * 0.6, 3.0])
    y = alt.Y("loss:Q", title="final training loss", scale=scale, axis=log_axis(low * 0.6, 3.0))
    rates = [row["lr"] for row in rows]
    x = learning_rate_axis(low=min(rates) / 1.1, high=max(rates) * 1.1)
    color = alt.Color("run:N", sort=list(sweeps), legend=ON_TOP)
    base, best = alt.Chart(data(rows)).encode(x, y, color), alt.Chart(data(marks)).encode(y, color)
    return alt.layer(
        base.mark_line(strokeWidth=2),
        base.transform_filter("!datum.lost").mark_point(size=45),
        base.transform_filter("datum.lost").mark_point(shape="cross", angle=45, size=60),
        best.mark_rule(strokeWidth=8, opacity=0.4).encode(alt.X("low:Q", scale=x["scale"]), alt.X2("high:Q")),
        best.mark_point(shape="diamond", size=160, style="halo").encode(x),
        best.mark_text(style="label", dy=18, fontWeight=700).encode(x, text="text:N"),
    ).properties(width=WIDTH, height=HEIGHT + 40)


def against_batches(optima: Mapping[int, Estimate]) -> TopLevelChart:
    """Measured optima against the batch size, beside what three rules say from the smallest one."""
    start = min(optima)
    rows = [
        {"batch_size": size, "lr": best.value, "low": best.low or best.value, "high": best.high or best.value,
         "text": format_lr(best.value)}
        for size, best in optima.items()
    ]  # fmt: skip
    lines = [
        {"batch_size": size, "lr": optima[start].value * (size / start) ** power, "rule": name}
        for name, power in (("keep", 0.0), ("square root", 0.5), ("linear", 1.0)) for size in optima
    ]  # fmt: skip
    rates = [row["lr"] for row in [*rows, *lines]]
    scale = alt.Scale(type="log", nice=False, padding=12)
    y = alt.Y("lr:Q", title="best learning rate", scale=scale, axis=log_axis(min(rates) / 1.1, max(rates) * 1.1))
    x, base = batch_size_axis(list(optima)), alt.Chart(data(rows))
    return alt.layer(
        alt.Chart(data(lines)).mark_line(strokeDash=[6, 4], strokeWidth=2)
        .encode(x, y, alt.Color("rule:N", sort=["keep", "square root", "linear"], legend=ON_TOP)),
        base.mark_rule(style="strong", strokeWidth=2.5).encode(x, alt.Y("low:Q", scale=scale), alt.Y2("high:Q")),
        base.mark_point(style="strong", size=100).encode(x, y),
        base.mark_text(style="label", align="left", dx=9, dy=12).encode(x, y, text="text:N"),
    ).properties(width=WIDTH, height=HEIGHT + 40)  # fmt: skip


def lines(rows: Sequence[Mapping[str, object]], x: str, y: str, by: str, order: Sequence[str]) -> TopLevelChart:
    """Lines with points: a loss (logarithmic) against a number, one line for each value of `by`."""
    values = [float(row[y]) for row in rows]  # type: ignore[arg-type]
    axis = log_axis(min(values) / 1.3, max(values) * 1.3)
    base = alt.Chart(data(rows)).encode(
        alt.X(f"{x}:Q", scale=alt.Scale(type="symlog", constant=1)),
        alt.Y(f"{y}:Q", scale=alt.Scale(type="log", nice=False, padding=12), axis=axis),
        alt.Color(f"{by}:N", sort=list(order), legend=ON_TOP),
    )
    chart = alt.layer(base.mark_line(strokeWidth=2), base.mark_point(size=50))
    return chart.properties(width=WIDTH, height=HEIGHT)


def spread(found: Mapping[str, Sequence[float]], best: Estimate) -> TopLevelChart:
    """Suggested rates, a dot a seed, by method; the optimum of the full runs as a band."""
    rows = [{"method": name, "lr": lr} for name, rates in found.items() for lr in rates]
    ends = [{"low": best.low or best.value, "high": best.high or best.value, "lr": best.value}]
    rates = [row["lr"] for row in rows] + [best.value]
    x = learning_rate_axis(title="suggested learning rate", low=min(rates) / 1.2, high=max(rates) * 1.2)
    band = alt.Chart(data(ends))
    return alt.layer(
        band.mark_rect(style="band", color="#2a9d6f", opacity=0.25).encode(
            alt.X("low:Q", scale=x["scale"]), alt.X2("high:Q")
        ),
        band.mark_rule(color="#2a9d6f", strokeWidth=2).encode(x),
        alt.Chart(data(rows))
        .mark_point(size=90, opacity=0.6)
        .encode(x, alt.Y("method:N", title=None, sort=list(found))),
    ).properties(width=WIDTH, height=alt.Step(44))


def steps_against_batch(points: Sequence[tuple[int, int]], fitted: Sequence[tuple[float, float]], critical: float):
    """Updates to a loss against the batch size, with the law and the critical batch size."""
    rows = [{"batch_size": size, "steps": steps} for size, steps in points]
    line = [{"batch_size": size, "steps": steps} for size, steps in fitted]
    steps = [row["steps"] for row in [*rows, *line]]
    scale = alt.Scale(type="log", nice=False, padding=12)
    y = alt.Y("steps:Q", title="updates to the loss", scale=scale, axis=log_axis(min(steps) / 1.2, max(steps) * 1.2))
    x = batch_size_axis([size for size, _ in points])
    mark = alt.Chart(data([{"batch_size": critical, "text": f"critical batch size {critical:.0f}"}])).encode(x)
    return alt.layer(
        alt.Chart(data(line)).mark_line(strokeWidth=2).encode(x, y),
        alt.Chart(data(rows)).mark_point(size=90).encode(x, y),
        mark.mark_rule(style="muted", strokeDash=[5, 4]),
        mark.mark_text(style="label", align="left", dx=6, y=12).encode(text="text:N"),
    ).properties(width=WIDTH, height=HEIGHT + 20)
