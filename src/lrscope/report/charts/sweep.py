"""A sweep of several groups: how each group's optimum moves with the batch size, and the steps to a target."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from lrscope.numbers import format_estimate, format_number
from lrscope.report.charts.u_curve import loss_against_rate
from lrscope.report.extract.sweep import StepsPoint, SweepGroup, short_title
from lrscope.report.theme import TopLevelChart, batch_size_axis, data, log_axis, number_axis

TITLE = "optimal peak learning rate"
_LEGEND = alt.Legend(orient="top", direction="vertical", labelLimit=600, symbolOpacity=1, columns=2)

_SHORT = "datum.value < 10000 ? format(datum.value, '.4~g') : replace(format(datum.value, '.3~s'), 'G', 'B')"


def optima_by_group(groups: Sequence[SweepGroup]) -> TopLevelChart:
    """The optima of all groups against the batch size, a colour a group, each with the line of its best law."""
    titles = [short_title(group.source.group) for group in groups]
    points = [
        {"group": title, "batch_size": optimum.batch_size, "lr": lr.value, "low": lr.low or lr.value,
         "high": lr.high or lr.value, "optimum": format_estimate(lr, lr=True), "status": optimum.status}
        for title, group in zip(titles, groups, strict=True)
        for optimum in group.found if (lr := optimum.optimal_lr) is not None
    ]  # fmt: skip
    lines = [
        {"group": title, "batch_size": point.batch_size, "lr": point.lr}
        for title, group in zip(titles, groups, strict=True) for point in group.line
    ]  # fmt: skip
    known = [optimum for group in groups for optimum in group.found]
    rates = [optimum.optimal_lr.value for optimum in known if optimum.optimal_lr is not None]
    rates += [point.lr for group in groups for point in group.line]
    x = batch_size_axis([optimum.batch_size for optimum in known])
    scale = alt.Scale(type="log", nice=False, padding=12)
    axis = log_axis(min(rates) / 1.1, max(rates) * 1.1)
    y = alt.Y("lr:Q", title=TITLE, scale=scale, axis=axis)
    ranked = len(groups) > 9  # more than there are colours to tell apart: a ramp, in the order of the groups
    scheme = alt.Scale(domain=titles, scheme="viridis") if ranked else alt.Scale(domain=titles)
    color = alt.Color(
        "group:N", title=", ".join(groups[0].source.group) or None, sort=titles, scale=scheme, legend=_LEGEND
    )
    marks = alt.Chart(data(points)).encode(x, color=color)
    return alt.layer(
        alt.Chart(data(lines)).mark_line(strokeWidth=1.8, opacity=0.7, clip=True).encode(x, y, color),
        marks.mark_rule(strokeWidth=2.5, opacity=0.5).encode(
            alt.Y("low:Q", title=TITLE, scale=scale, axis=axis), alt.Y2("high:Q")
        ),
        marks.mark_point(size=70).encode(y, tooltip=["group:N", "batch_size:Q", "optimum:N", "status:N"]),
    ).properties(height=420)


def optima_by_column(groups: Sequence[SweepGroup], column: str) -> TopLevelChart:
    """The optima of groups of one batch size against a number that the groups differ by, small, for a gallery."""
    rows = [
        {"at": group.source.group[column], "lr": lr.value, "low": lr.low or lr.value, "high": lr.high or lr.value,
         "group": group.title, "optimum": format_estimate(lr, lr=True)}
        for group in groups for optimum in group.found if (lr := optimum.optimal_lr) is not None
    ]  # fmt: skip
    values = sorted({float(value) for group in groups if not isinstance(value := group.source.group[column], str)})
    log = values[0] > 0 and values[-1] > 4 * values[0]
    x = alt.X(
        "at:Q", title=column, axis=alt.Axis(values=values, labelExpr=_SHORT),
        scale=alt.Scale(type="log" if log else "linear", nice=False, zero=False, padding=18),
    )  # fmt: skip
    rates = [optimum.optimal_lr.value for group in groups for optimum in group.found if optimum.optimal_lr is not None]
    scale = alt.Scale(type="log", nice=False, padding=12)
    y = alt.Y("lr:Q", title=TITLE, scale=scale, axis=log_axis(min(rates) / 1.1, max(rates) * 1.1))
    base = alt.Chart(data(rows)).encode(x)
    middle = base.transform_aggregate(lr="median(lr)", groupby=["at"]).encode(x, y)
    return alt.layer(
        middle.mark_line(strokeWidth=2),
        base.mark_point(size=45, opacity=0.55).encode(y, tooltip=["group:N", "optimum:N"]),
    ).properties(height=220)


def losses_of_groups(groups: Sequence[SweepGroup], metric: str) -> TopLevelChart:
    """Groups that were run at one rate alone, by their loss: the best on top."""
    rows = [
        {"group": group.title, "loss": point.loss, "lr": point.lr}
        for group in groups for optimum in group.optima for point in optimum.curve
    ]  # fmt: skip
    y = alt.Y("group:N", title=None, sort=alt.EncodingSortField("loss"), axis=alt.Axis(labelLimit=400))
    x = alt.X("loss:Q", title=metric, scale=alt.Scale(zero=False, padding=12), axis=number_axis())
    base = alt.Chart(data(rows)).encode(x, y)
    return alt.layer(
        base.mark_point(size=80).encode(tooltip=["group:N", "lr:Q", "loss:Q"]),
        base.mark_text(style="label", align="left", dx=9).encode(text=alt.Text("loss:Q", format=".4~g")),
    ).properties(height=alt.Step(20))


def small_curve(group: SweepGroup, metric: str) -> TopLevelChart:
    """One group's curves, small, for a gallery."""
    title = alt.TitleParams(group.title, fontSize=12)
    return loss_against_rate(group.optima, metric, small=title)


def steps_to_target(points: Sequence[StepsPoint], groups: Sequence[SweepGroup], *, examples: bool) -> TopLevelChart:
    """Steps (or examples, batch size times steps) to the target against the batch size, with the law and B_crit."""
    sizes = sorted({point.batch_size for point in points if point.steps is not None})
    x = alt.X(
        "batch_size:Q", title="batch size", scale=alt.Scale(type="log", base=2, nice=False, padding=12),
        axis=alt.Axis(values=sizes, format=",d"),
    )  # fmt: skip
    rows = [
        {"group": point.group, "batch_size": point.batch_size, "measured": point.steps is not None,
         "value": _height(point, examples)}
        for point in points
    ]  # fmt: skip
    values = [_height(point, examples) for point in points]
    title = "examples to the target" if examples else "steps to the target"
    y = alt.Y(
        "value:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=12),
        axis=log_axis(min(values) / 1.1, max(values) * 1.1, format="~s"),
    )  # fmt: skip
    color = alt.Color("group:N", title=None, sort=[group.title for group in groups], legend=_LEGEND)
    base = alt.Chart(data(rows)).encode(x, y, color)
    tip = ["group:N", "batch_size:Q", "value:Q"]
    critical = alt.Chart(data(_critical(groups, examples))).encode(x, y, color)
    return alt.layer(
        base.transform_filter("!datum.measured").mark_line(strokeWidth=2.2),
        base.transform_filter("datum.measured").mark_point(size=70).encode(tooltip=tip),
        critical.mark_point(shape="diamond", size=230, style="halo").encode(tooltip=["group:N", "text:N"]),
        critical.mark_text(style="label", dy=-16, fontWeight=700).encode(text="text:N"),
    ).properties(height=340)


def _height(point: StepsPoint, examples: bool) -> float:
    steps = point.fitted if point.steps is None else point.steps
    return steps * point.batch_size if examples else steps


def _critical(groups: Sequence[SweepGroup], examples: bool) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for group in groups:
        law = group.source.steps_law
        if law is not None and law.batch_size.min() / 2 <= law.critical_batch_size.value <= law.batch_size.max() * 2:
            size = law.critical_batch_size.value
            value = float(law(size)) * (size if examples else 1.0)
            text = f"B_crit {format_number(round(size))}"
            rows.append({"group": group.title, "batch_size": size, "value": value, "text": text})
    return rows
