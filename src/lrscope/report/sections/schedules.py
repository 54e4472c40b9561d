"""Schedules compared, each at its own best learning rate; nothing where a study has but one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrscope.numbers import format_lr, format_number
from lrscope.report.charts.ranking import ranking
from lrscope.report.charts.u_curve import loss_against_rate
from lrscope.report.extract.schedules import RankedSchedule, WarmupGain, rank_schedules, warmup_gains
from lrscope.report.extract.study import schedules
from lrscope.report.markup import Cell, CellValue, lr_cell
from lrscope.report.page import Page
from lrscope.report.sections.words import METRICS, listed
from lrscope.study.result import StudyResult


def add_schedules(page: Page, result: StudyResult) -> None:
    """The ranking with its intervals, the curves of one batch size, and what warm-up buys."""
    if len(schedules(result)) < 2:
        return
    rows = rank_schedules(result)
    if not rows:
        return
    metric = METRICS.get(result.metric, result.metric)
    section = page.section("Which schedule?", answer=_sentence(rows))
    seeds = "on the same fresh seeds" if all(row.measured for row in rows) else "as its fit expects it"
    section.chart(
        ranking(rows, metric),
        caption=f"Each schedule at its own best learning rate, {seeds}; bars: 80 % intervals.",
    )
    section.table(
        ["batch size", "rank", "schedule", "best learning rate", metric, "above the lowest, seed by seed"],
        [_row(row) for row in rows],
        sortable=True,
    )
    size = result.recommended.batch_size if result.recommended is not None else rows[0].batch_size
    cells = [item for item in result.optima if item.batch_size == size]
    gains = warmup_gains(result)
    mine = [gain for gain in gains if gain.batch_size == size]
    shown = max(mine, key=lambda gain: gain.widest_at or 0.0, default=None)
    pair = [] if shown is None else [item for item in cells if item.schedule in (shown.schedule, shown.without)]
    if len(pair) < len(cells):
        section.chart(
            loss_against_rate(cells, metric, by_schedule=True),
            caption=f"The {metric} against the peak learning rate at batch size {size}, a line per schedule.",
        )
    if shown is not None:
        section.chart(
            loss_against_rate(pair, metric, by_schedule=True),
            caption=f"What the warm-up buys: the {metric} of `{shown.schedule}` and of `{shown.without}` over learning "
            f"rates at batch size {size}; the high ones on one seed.",
        )
    section.bullets([_warmup_sentence(gain, metric) for gain in gains])


def _sentence(rows: Sequence[RankedSchedule]) -> str:
    parts = []
    for size in dict.fromkeys(row.batch_size for row in rows):
        mine = [row for row in rows if row.batch_size == size]
        tied = [f"`{row.schedule}`" for row in mine if row.tied]
        beside = f" (not to be told from {listed(tied)})" if tied else ""
        parts.append(f"`{mine[0].schedule}`{beside} at batch size {size}")
    return f"Lowest loss: {'; '.join(parts)}."


def _row(row: RankedSchedule) -> list[CellValue]:
    return [
        row.batch_size,
        Cell(text=f"{row.rank}{' (tied)' if row.tied else ''}", sort=row.rank),
        row.schedule,
        lr_cell(row.optimal_lr),
        row.loss,
        row.behind if row.behind is not None else Cell(text="–"),
    ]


def _warmup_sentence(gain: WarmupGain, metric: str) -> str:
    change = gain.loss_change
    amount = format_number(abs(change.value), 2)
    if change.low is None or change.high is None:
        loss = f"the {metric} there is expected to be {amount} {'lower' if change.value < 0 else 'higher'}"
    elif change.low <= 0 <= change.high:
        loss = f"the {metric} there is not to be told from that without"
    else:
        loss = f"the {metric} there is {amount} {'lower' if change.value < 0 else 'higher'}"
    return (
        f"Batch size {gain.batch_size}: the best learning rate of `{gain.schedule}` is "
        f"{format_number(gain.lr_factor, 2)} times that of `{gain.without}`, and {loss}.{_widest_sentence(gain)}"
    )


def _widest_sentence(gain: WarmupGain) -> str:
    """At which rate, of those tried with the warm-up and without it, the two lie farthest apart."""
    if gain.widest_at is None or gain.loss_there == gain.loss_there_without:
        return ""
    with_it, without = (
        format_number(loss, 2) if math.isfinite(loss) else "no longer falls"
        for loss in (gain.loss_there, gain.loss_there_without)
    )
    return f" They lie farthest apart at {format_lr(gain.widest_at)}: {with_it} with it, {without} without."
