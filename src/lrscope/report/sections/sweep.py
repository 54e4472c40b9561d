"""What anybody's sweep shows: the optima, how they move, the laws, the predictions, and what to run next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from lrscope.numbers import format_estimate, format_interval, format_lr, format_number, format_size
from lrscope.report.charts.batch_law import rate_against_batch
from lrscope.report.charts.sweep import (
    losses_of_groups,
    optima_by_column,
    optima_by_group,
    small_curve,
    steps_to_target,
)
from lrscope.report.charts.u_curve import loss_against_rate
from lrscope.report.extract.sweep import SweepGroup, steps_points
from lrscope.report.markup import Cell, CellValue, Fact, lr_cell
from lrscope.report.page import Page, Section
from lrscope.report.sections.batches import add_law_table
from lrscope.report.sections.words import STATUS, listed
from lrscope.scaling.table import GroupScaling, Scaling

MOST_GROUPS = 24
"""So many groups have charts of their own; the tables have all."""
CURVES = (
    "Thin: means of the runs of a rate. Thick: the fitted curve. Bars at the diamonds: 80 % intervals of the optima. "
    "Crosses at the top: runs that diverged, or lost so much more that they would flatten the picture."
)
ONE_CHART = 6
"""So many curves of groups without batch sizes fit into one chart."""


def add_overview(page: Page, scaling: Scaling, groups: Sequence[SweepGroup]) -> None:
    """The answer: figures at a glance, the optima of all groups in one picture, and all of them in a table."""
    section = page.section("", answer=_answer(groups))
    section.facts(_facts(scaling, groups))
    moving = [group for group in groups if len(group.found) > 1]
    if len(moving) > 1:
        together = (
            f"All groups were fitted together, {listed(scaling.covariates)} entering as powers."
            if scaling.covariates
            else "Each group was fitted by itself."
        )
        section.chart(
            optima_by_group(moving),
            caption=f"Points: the optima with their 80 % intervals. Lines: each group's best law. {together}",
        )
        _add_predictions(section, moving)


def add_groups(page: Page, scaling: Scaling, groups: Sequence[SweepGroup]) -> None:
    """Each group's curves, law and predictions; groups of a single batch size share a section."""
    moving = [group for group in groups if len(group.optima) > 1]
    single = [group for group in groups if len(group.optima) == 1]
    for group in moving[:MOST_GROUPS]:
        _add_group(page, scaling, group, collapsed=len(groups) > 4)
    if single:
        _add_single(page, scaling, single)


def add_table(page: Page, scaling: Scaling, groups: Sequence[SweepGroup]) -> None:
    """Every optimum, and every prediction."""
    rows: list[list[CellValue]] = []
    for group in groups:
        for curve, optimum in zip(group.source.curves, group.optima, strict=True):
            expected = scaling.estimate_in_units(optimum.expected_loss)
            rows.append([
                *([group.title] if len(groups) > 1 else []),
                Cell(text=format_size(curve.batch_size), sort=curve.batch_size),
                lr_cell(optimum.optimal_lr),
                expected,
                STATUS.get(optimum.status, optimum.status),
                optimum.runs,
                "" if optimum.status == "found" else optimum.advice,
            ])  # fmt: skip
    heads = [*(["group"] if len(groups) > 1 else []), "batch size", "optimal learning rate", scaling.metric, "status"]
    section = page.section("Every optimum", collapsed=len(rows) > 12)
    section.table([*heads, "runs", "what to do"], rows, sortable=True, caption="In small print: 80 % intervals.")


def add_steps(page: Page, groups: Sequence[SweepGroup]) -> None:
    """Steps against examples to a target: where more stops helping."""
    fitted = [group for group in groups if group.source.steps_law is not None]
    for group in groups:
        if group.source.steps_law is None:
            page.section(group.title or "Steps to the target").prose(*group.source.notes)
    if not fitted:
        return
    points = steps_points(tuple(fitted))
    section = page.section("How far larger batches help", answer=_steps_answer(fitted))
    section.chart(
        steps_to_target(points, fitted, examples=False),
        caption="Points: measured. Lines: S = S_min + E_min/B, fitted in log S. Diamonds: the critical batch size, "
        "where steps and examples are both twice the least possible.",
    )
    section.chart(steps_to_target(points, fitted, examples=True), caption="The same runs: what the target costs.")
    rows: list[list[CellValue]] = []
    for group in fitted:
        law = group.source.steps_law
        if law is not None:
            off = Cell(text=f"{100 * law.deviation:.2g} %", sort=law.deviation)
            rows.append([group.title, law.critical_batch_size, law.min_steps, law.min_examples, off])
    section.table(
        ["group", "critical batch size", "least steps", "least examples", "typical error"], rows,
        caption="In small print: 80 % intervals. Examples are in the unit of the batch size.",
    )  # fmt: skip


def _add_group(page: Page, scaling: Scaling, group: SweepGroup, *, collapsed: bool) -> None:
    answer = _prediction(group.source) if group.title else ""
    section = page.section(group.title or "The curves", answer=answer, collapsed=collapsed)
    section.chart(
        loss_against_rate(group.optima, _metric(scaling)),
        caption=CURVES,
    )
    if len(group.found) > 1:
        section.chart(
            rate_against_batch(group.optima, group.line),
            caption="Points: the optima with 80 % intervals. Line: the best law. Band: the 80 % interval of the "
            "prediction, averaged over all laws and informed by how the loss at the optimum falls with the batch.",
        )
    _add_words(section, group.source)
    if group.source.laws:
        add_law_table(section, group.source.laws)


def _add_predictions(section: Section, groups: Sequence[SweepGroup]) -> None:
    """The rates of all groups at the batch sizes that were asked for, where they are the same."""
    asked = [tuple(size for size, _ in group.source.predictions) for group in groups]
    shared = asked[0] if len(set(asked)) == 1 else ()
    heads = [f"at batch size {size:g}" for size in shared] or ["at twice the largest", "at four times"]
    rows: list[list[CellValue]] = [
        [
            group.title,
            group.source.laws[0].name,
            *(lr_cell(lr) for _, lr in group.source.predictions),
        ]
        for group in groups
        if group.source.laws and len(group.source.predictions) == len(heads)
    ]
    if rows:
        section.table(["group", "law that fits best", *heads], rows, sortable=True)


def _add_single(page: Page, scaling: Scaling, groups: Sequence[SweepGroup]) -> None:
    drawn = [
        replace(group, optima=tuple(replace(optimum, schedule=group.title or "all runs") for optimum in group.optima))
        for group in sorted(groups, key=lambda group: group.optima[0].status != "found")[:MOST_GROUPS]
    ]
    if all(len(optimum.curve) < 2 for group in groups for optimum in group.optima):
        section = page.section("The runs", answer="One learning rate each: where the best one is, they cannot show.")
        section.chart(losses_of_groups(groups, _metric(scaling)), caption="The loss of each group's runs.")
        return
    _add_columns(page, groups)
    section = page.section("The curves")
    if len(drawn) <= ONE_CHART:
        optima = [optimum for group in drawn for optimum in group.optima]
        section.chart(loss_against_rate(optima, _metric(scaling), by_schedule=True, lines="group"), caption=CURVES)
    else:
        section.gallery([small_curve(group, _metric(scaling)) for group in drawn], caption=CURVES)
    if len(groups) > MOST_GROUPS:
        section.prose(f"{len(groups) - MOST_GROUPS} more groups are in the table alone.")


def _add_columns(page: Page, groups: Sequence[SweepGroup]) -> None:
    """How the optima of groups of one batch size move with the numbers that tell them apart."""
    found = [group for group in groups if any(optimum.status == "found" for optimum in group.optima)]
    columns = [
        name
        for name in (groups[0].source.group if groups else ())
        if len(numbers := {group.source.group[name] for group in found}) > 1
        and not any(isinstance(value, str) for value in numbers)
    ]
    if len(found) < 4 or not columns:
        return
    section = page.section("How the best learning rate moves")
    section.gallery(
        [optima_by_column(found, name) for name in columns[:6]],
        caption="Points: the optima that were found, one a group. Lines: their medians.",
    )


def _add_words(section: Section, group: GroupScaling) -> None:
    rows: list[list[CellValue]] = [[Cell(text=f"{size:g}", sort=size), lr_cell(lr)] for size, lr in group.predictions]
    if rows:
        section.table(["batch size", "predicted best learning rate"], rows)
    section.prose(*group.notes)
    run = group.next_run
    if run is not None:
        where = "" if run.batch_size is None else f" at batch size {format_size(run.batch_size)}"
        section.prose(f"Run next: `{run.lr:.3g}`{where}. {run.why}")


def _metric(scaling: Scaling) -> str:
    if scaling.ceiling is None:
        return scaling.metric
    return f"{scaling.ceiling:g} − {scaling.metric}" if scaling.ceiling else f"− {scaling.metric}"


def _answer(groups: Sequence[SweepGroup]) -> str:
    if len(groups) == 1 and groups[0].source.predictions:
        return _prediction(groups[0].source)
    count = sum(len(group.optima) for group in groups)
    found = sum(optimum.status == "found" for group in groups for optimum in group.optima)
    if count == 1:
        return groups[0].optima[0].advice
    return f"{found} of {count} curves show where their optimum is."


def _prediction(group: GroupScaling) -> str:
    if not group.predictions:
        return ""
    size, lr = group.predictions[-1]
    return f"At batch size {format_size(size)} the best learning rate is about {format_estimate(lr, lr=True)}."


def _facts(scaling: Scaling, groups: Sequence[SweepGroup]) -> list[Fact]:
    optima = [optimum for group in groups for optimum in group.optima]
    found = [optimum for optimum in optima if optimum.status == "found" and optimum.optimal_lr is not None]
    facts = [Fact(label="Runs", value=format_number(sum(optimum.runs for optimum in optima)))]
    if len(groups) > 1:
        by = listed(list(groups[0].source.group))
        facts.append(Fact(label="Groups", value=str(len(groups)), note=f"by {by}"))
    facts.append(Fact(label="Optima found", value=f"{len(found)} of {len(optima)}"))
    best = min(found, key=lambda item: item.expected_loss.value if item.expected_loss else math.inf, default=None)
    if best is not None and best.optimal_lr is not None and best.expected_loss is not None:
        value = format_number(scaling.in_units(best.expected_loss.value), 4)
        where = f" at batch size {best.batch_size}" if best.batch_size else ""
        note = f"{format_lr(best.optimal_lr.value)} ({format_interval(best.optimal_lr, lr=True)}){where}"
        facts.append(Fact(label=f"Best {scaling.metric}", value=value, note=note, tone="good"))
    return facts


def _steps_answer(groups: Sequence[SweepGroup]) -> str:
    texts = []
    for group in groups:
        law = group.source.steps_law
        if law is not None:
            texts.append(f"{format_estimate(law.critical_batch_size)}{f' for {group.title}' if group.title else ''}")
    return f"The critical batch size is {listed(texts)}."
