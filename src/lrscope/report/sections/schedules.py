"""Schedules compared, each at its own best learning rate; nothing where a study has but one."""

from __future__ import annotations

from collections.abc import Sequence

from lrscope.report.charts.ranking import ranking
from lrscope.report.charts.u_curve import loss_against_rate
from lrscope.report.extract.schedules import RankedSchedule, WarmupGain, rank_schedules, warmup_gains
from lrscope.report.extract.study import schedules
from lrscope.report.markup import Cell, CellValue, lr_cell
from lrscope.report.numbers import format_lr, format_number
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
    section.chart(ranking(rows, metric), caption="Each schedule at its own best learning rate; bars: 80 % intervals.")
    section.table(
        ["batch size", "rank", "schedule", "best learning rate", f"expected {metric}", "good rates span"],
        [_row(row) for row in rows],
        sortable=True,
    )
    size = result.recommended.batch_size if result.recommended is not None else rows[0].batch_size
    section.chart(
        loss_against_rate([item for item in result.optima if item.batch_size == size], metric, by_schedule=True),
        caption=f"The {metric} against the peak learning rate at batch size {size}, a line per schedule.",
    )
    section.bullets([_warmup_sentence(gain, metric) for gain in warmup_gains(result)])


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
        row.expected_loss,
        Cell(text=f"{format_number(row.good_octaves, 2)} octaves", sort=row.good_octaves),
    ]


def _warmup_sentence(gain: WarmupGain, metric: str) -> str:
    change = "lower" if gain.loss_change < 0 else "higher"
    highest = ""
    if gain.highest_trained is not None and gain.highest_trained_without is not None:
        highest = (
            f"; the highest rate that still trains is {format_lr(gain.highest_trained)} with it and "
            f"{format_lr(gain.highest_trained_without)} without"
        )
    wide, narrow = format_number(gain.good_octaves, 2), format_number(gain.good_octaves_without, 2)
    return (
        f"Batch size {gain.batch_size}, `{gain.schedule}`: with the warm-up the best learning rate is "
        f"{format_number(gain.lr_factor, 2)} times that without, the {metric} "
        f"{format_number(abs(gain.loss_change), 2)} {change}, and the good rates span {wide} octaves instead of "
        f"{narrow}{highest}."
    )
