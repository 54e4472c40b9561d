"""A run's loss with its verdict: coloured by regime, the evidence marked where it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from lrscope.curves.curve import Curve
from lrscope.diagnosis.diagnose import Diagnosis
from lrscope.diagnosis.features import most_time
from lrscope.diagnosis.shape import make_shape
from lrscope.report.theme import REGIME_COLORS, TopLevelChart, data, log_axis, update_axis

POINTS = 120
MARKS = {
    "loss_spikes": "spike",
    "late_divergence": "turns here",
    "overfitting": "lowest validation loss",
    "decays_too_early": "rate below a tenth",
    "wasted_warmup": "warm-up ends",
    "not_finite": "not finite",
}


def thinned(curve: Curve) -> tuple[list[int], list[float], list[float], list[float]]:
    """At most 120 stretches of a curve: last step, mean, lowest and highest loss."""
    finite = np.isfinite(curve.loss)
    parts = np.array_split(np.flatnonzero(finite), min(POINTS, max(1, int(finite.sum()))))
    parts = [part for part in parts if len(part)]
    steps = [int(curve.step[part[-1]]) for part in parts]
    values = [curve.loss[part] for part in parts]
    return steps, [float(v.mean()) for v in values], [float(v.min()) for v in values], [float(v.max()) for v in values]


def _loss_axis(curves: Sequence[Curve]) -> alt.Y:
    """From a little below the lowest mean to a little above the usual start: divergence must not flatten the rest."""
    means = [mean for curve in curves if len(mean := np.array(thinned(curve)[1]))]
    if not means:
        return alt.Y("loss:Q", title="training loss")
    start = float(
        np.median([curve.loss[np.isfinite(curve.loss)][0] for curve in curves if np.isfinite(curve.loss).any()])
    )
    lowest, highest = float(np.min([m.min() for m in means])), float(np.max([m.max() for m in means]))
    top = min(highest, start + 0.3 * (start - lowest)) if start > lowest else highest
    if 0 < lowest < 0.04 * top:
        domain = [lowest * 0.8, top * 1.1]
        scale = alt.Scale(type="log", domain=domain, clamp=True)
        return alt.Y("loss:Q", title="training loss", scale=scale, axis=log_axis(*domain))
    bottom = 0.0 if 0 <= lowest < 0.6 * top else lowest - 0.05 * (top - lowest)
    return alt.Y("loss:Q", title="training loss", scale=alt.Scale(domain=[bottom, top], clamp=True, nice=False))


def run_chart(curve: Curve, verdict: Diagnosis) -> TopLevelChart:
    """One run's loss in its regime's colour; the range of the points behind it, findings marked, validation dashed."""
    steps, mean, low, high = thinned(curve)
    color = REGIME_COLORS[verdict.regime]
    rows = [{"step": s, "loss": m, "low": a, "high": b} for s, m, a, b in zip(steps, mean, low, high, strict=True)]
    x, y = update_axis(), _loss_axis([curve])
    base = alt.Chart(data(rows)).encode(x)
    layers: list[alt.Chart] = [
        base.transform_calculate(loss="datum.low")
        .mark_area(color=color, opacity=0.18, clip=True)
        .encode(y.copy(), alt.Y2("high:Q")),
        base.mark_line(color=color, strokeWidth=2.4, clip=True).encode(y, tooltip=["step:Q", "loss:Q"]),
    ]  # fmt: skip
    if curve.val_step is not None and curve.val_loss is not None and len(curve.val_step):
        values = [{"step": int(s), "loss": float(v)} for s, v in zip(curve.val_step, curve.val_loss, strict=True)]
        layers += [
            alt.Chart(data(values))
            .mark_line(color=color, opacity=0.7, strokeWidth=1.6, strokeDash=[5, 4], clip=True)
            .encode(x, y, tooltip=["step:Q", "loss:Q"]),
            alt.Chart(data([{**values[-1], "text": "validation"}]))
            .mark_text(style="label", align="right", dy=16, clip=True)
            .encode(x, y, text="text:N"),
        ]
    layers += _seen(curve, verdict, x, y)
    marks = [
        {"step": step, "text": MARKS[item.what] if k == 0 else ""}
        for item in verdict.evidence if item.what in MARKS for k, step in enumerate(item.steps[:12])
    ]  # fmt: skip
    if marks:
        marked = alt.Chart(data(marks)).encode(x)
        layers += [
            marked.mark_rule(style="muted", strokeDash=[3, 3]),
            marked.mark_text(style="label", align="left", dx=5, baseline="top", y=4).encode(text="text:N"),
        ]
    return alt.layer(*layers).properties(height=260)


def _seen(curve: Curve, verdict: Diagnosis, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The plateau that a rate too high leaves, or the slope that one too low still has at its end."""
    shape = make_shape(curve)
    if shape is None or verdict.regime not in ("high", "low"):
        return []
    first, span = int(curve.step[0]), int(curve.step[-1] - curve.step[0])
    begin = min(0.5, 10.0 ** most_time(shape)) if verdict.regime == "high" else 0.5
    late = shape.linear[int(begin * len(shape.linear)) :]
    if verdict.regime == "high":
        ends, text = (float(np.median(late)),) * 2, "plateau"
    else:
        x_late = np.linspace(0.0, 1.0, len(late))
        slope, level = np.polyfit(x_late, late, 1)
        ends, text = (float(level), float(level + slope)), "still falling"
    rows = [
        {"step": first + round(begin * span), "loss": ends[0], "text": text},
        {"step": first + span, "loss": ends[1], "text": ""},
    ]
    chart = alt.Chart(data(rows)).encode(x, y)
    return [
        chart.mark_line(color=REGIME_COLORS["inconclusive"], strokeWidth=2.5, strokeDash=[2, 3], clip=True),
        chart.mark_text(style="label", align="left", dx=4, dy=-22, clip=True).encode(text="text:N"),
    ]


def all_runs(curves: Sequence[Curve], verdicts: Sequence[Diagnosis]) -> TopLevelChart:
    """Every run's loss in one picture, each in its regime's colour."""
    rows: list[dict[str, Any]] = []
    for curve, verdict in zip(curves, verdicts, strict=True):
        rows.append({"run": verdict.name, "regime": verdict.regime.replace("_", " "), **_trend(curve)})
    shown = [name for name in REGIME_COLORS if any(verdict.regime == name for verdict in verdicts)]
    scale = alt.Scale(domain=[name.replace("_", " ") for name in shown], range=[REGIME_COLORS[name] for name in shown])
    chart: TopLevelChart = (
        alt.Chart(data(rows))
        .transform_flatten(["step", "loss"])
        .mark_line(clip=True, strokeWidth=1.8, opacity=0.85)
        .encode(
            update_axis(),
            _loss_axis(curves),
            alt.Color("regime:N", title="learning rate", scale=scale),
            detail="run:N",
            tooltip=["run:N", "regime:N"],
        )
        .properties(height=380)
    )
    return chart


def four_curves(curves: Sequence[Curve], verdicts: Sequence[Diagnosis]) -> TopLevelChart | None:
    """The lecture's figure from these runs: the surest of each regime; None where fewer than three regimes occur."""
    chosen = []
    for regime in ("very_high", "high", "good", "low"):
        found = [pair for pair in zip(curves, verdicts, strict=True) if pair[1].regime == regime]
        if found:
            chosen.append(max(found, key=lambda pair: pair[1].probabilities[regime]))
    if len(chosen) < 3:
        return None
    scale_names = [f"{verdict.regime.replace('_', ' ')}: {verdict.name}" for _, verdict in chosen]
    rows, trends = [], []
    for name, (curve, _) in zip(scale_names, chosen, strict=True):
        steps, mean, _, _ = thinned(curve)
        rows.append({"run": name, "step": steps, "loss": mean})
        trends.append({"run": name, **_trend(curve)})
    scale = alt.Scale(domain=scale_names, range=[REGIME_COLORS[verdict.regime] for _, verdict in chosen])
    legend = alt.Legend(orient="top", columns=1, labelLimit=600, symbolOpacity=1)
    encoding = (
        update_axis(),
        _loss_axis([curve for curve, _ in chosen]),
        alt.Color("run:N", title="learning rate", scale=scale, sort=scale_names, legend=legend),
    )
    pale, bold = (
        alt.Chart(data(each)).transform_flatten(["step", "loss"]).encode(*encoding) for each in (rows, trends)
    )
    return alt.layer(
        pale.mark_line(clip=True, strokeWidth=1, opacity=0.35), bold.mark_line(clip=True, strokeWidth=3)
    ).properties(height=360)


def _trend(curve: Curve) -> dict[str, list[float]]:
    """The start of a run and its means over fortieths, as far as it is finite."""
    shape = make_shape(curve)
    if shape is None:
        return {"step": [], "loss": []}
    first, last = int(curve.step[0]), int(curve.step[np.flatnonzero(np.isfinite(curve.loss))[-1]])
    share = np.r_[0.0, (np.arange(len(shape.linear)) + 0.5) / len(shape.linear)]
    step = first + share * (int(curve.step[-1]) - first)
    known = step <= last
    return {"step": step[known].tolist(), "loss": np.r_[shape.initial, shape.linear][known].tolist()}
