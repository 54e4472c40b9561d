"""Across batch sizes: how the best learning rate moves, and large batches against small ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lrscope.numbers import format_estimate, format_lr, format_number, format_seconds
from lrscope.report.charts.batch_law import rate_against_batch
from lrscope.report.charts.batches import batch_charts
from lrscope.report.extract.batches import BatchComparison, BatchSummary, Spread, compare_batches
from lrscope.report.extract.law import law_line
from lrscope.report.extract.study import main_optima
from lrscope.report.markup import Cell, CellValue, Fact, lr_cell
from lrscope.report.page import Page, Section
from lrscope.report.sections.words import METRICS
from lrscope.scaling.batch_law import BatchLaw, predict_optimal_lr
from lrscope.study.result import StudyResult

UNDECIDED = 0.6
"""Below this weight the first law is not said to be the law."""


def add_batch_law(page: Page, result: StudyResult) -> None:
    """The optimal learning rate against the batch size, with the laws that were fitted."""
    known = [optimum for optimum in main_optima(result) if optimum.optimal_lr is not None]
    if len(known) < 2:
        return
    sizes = [optimum.batch_size for optimum in known]
    line = law_line(result.laws, sizes)
    section = page.section("How the best learning rate moves with the batch size", answer=_law_sentence(result))
    section.chart(
        rate_against_batch(known, line),
        caption="Points: the optima with their 80 % intervals. Line: the law that fits best. Band: the 80 % interval "
        "of the prediction averaged over all laws by their weights; beyond the points it widens, as it should.",
    )
    if not result.laws:
        return
    if line:
        wanted = [min(sizes) // 2, max(sizes) * 2, max(sizes) * 4]
        rows: list[list[CellValue]] = [
            [size, lr_cell(predict_optimal_lr(result.laws, size))] for size in wanted if size >= 1
        ]
        section.table(["batch size that was not run", "predicted best learning rate"], rows)
    add_law_table(section, result.laws)


def add_law_table(section: Section, laws: Sequence[BatchLaw]) -> None:
    """The laws by their weights, with formulas and parameters."""
    section.table(
        ["law", "formula", "parameters", "weight"],
        [
            [
                law.name,
                law.formula,
                ", ".join(f"{name} = {format_estimate(value)}" for name, value in law.parameters.items()),
                Cell(text=f"{100 * law.weight:.0f} %", sort=law.weight),
            ]
            for law in laws
        ],
        highlight=0 if laws[0].weight >= UNDECIDED else None,
        caption="Weight: the share of the evidence that each law has among all of them.",
    )


def add_large_against_small(page: Page, result: StudyResult) -> None:
    """What an update costs and brings at each batch size, each at its own best learning rate."""
    comparison = compare_batches(result)
    if len(comparison.rows) < 2:
        return
    section = page.section("Large against small batches", answer=_batch_sentence(comparison))
    metric = METRICS["val_loss" if comparison.rows[0].val_loss is not None else "train_loss"]
    if comparison.target is not None:
        section.prose(
            f"Each batch size at its own best learning rate. The common loss is the lowest {metric} that all of them "
            f"reach, {format_number(comparison.target)}. Seconds are of training on this machine, evaluation left out."
        )
    section.prose(_parallelism(comparison), _endings(comparison))
    _add_batch_facts(section, comparison)
    charts = batch_charts(comparison)
    if charts:
        section.gallery(
            charts,
            caption="Means over seeds, the bars from the least to the greatest. The noise of the gradient is "
            "tr Σ / (B |G|²) at the initial weights, by the gradients of single examples, with its 80 % interval.",
        )
    heads, rows = _batch_table(comparison)
    section.table(heads, rows, caption="In small print: the least and the greatest over seeds.")


def _law_sentence(result: StudyResult) -> str:
    if not result.laws:
        return "No law was fitted."
    best = result.laws[0]
    if best.weight < UNDECIDED:
        names = " and ".join(f"{law.name} ({100 * law.weight:.0f} %)" for law in result.laws[:2])
        return f"These batch sizes cannot tell the laws apart: {names} lead."
    return f"The {best.name} law fits best, {best.formula}, with {100 * best.weight:.0f} % of the weight."


def _batch_sentence(comparison: BatchComparison) -> str:
    if comparison.fastest is None or comparison.cheapest is None:
        return "The batch sizes have no loss in common that could be raced for."
    if comparison.fastest == comparison.cheapest:
        return f"Batch size {comparison.fastest} is both the fastest in seconds and the cheapest in examples."
    return (
        f"Batch size {comparison.fastest} is the fastest in seconds, batch size {comparison.cheapest} the cheapest "
        "in examples."
    )


def _parallelism(comparison: BatchComparison) -> str:
    """Where the throughput bends."""
    cost = comparison.cost
    if cost is None:
        return ""
    sizes = [row.batch_size for row in comparison.rows]
    most = 1 / cost.per_example if cost.per_example > 0 else math.inf
    parts = (
        f"An update costs about {format_seconds(cost.overhead)}, and {format_seconds(cost.per_example)} more for each "
        "example"
    )
    if cost.bend > max(sizes) * 4:
        return f"{parts}: up to batch size {max(sizes)} larger ones are nearly free, the throughput does not bend yet."
    if cost.bend < min(sizes) / 4:
        return f"{parts}: at batch size {min(sizes)} the hardware is full already, larger batches save nothing."
    return (
        f"{parts}: the throughput bends at batch size {round(cost.bend):,}, where half of the most, "
        f"{format_number(float(most), 2)} examples a second, is reached."
    )


def _endings(comparison: BatchComparison) -> str:
    """Whether small batches end better here, each at its own best rate."""
    small, large = comparison.rows[0], comparison.rows[-1]
    what = "validation" if small.val_loss is not None and large.val_loss is not None else "training"
    one, other = (row.val_loss if what == "validation" and row.val_loss else row.train_loss for row in (small, large))
    texts = (
        f"{format_number(one.mean)} at batch size {small.batch_size}",
        f"{format_number(other.mean)} at {large.batch_size}",
    )
    if one.high < other.low:
        verdict = "Small batches end better here"
    elif other.high < one.low:
        verdict = "Large batches end better here"
    else:
        verdict = "Small and large batches end alike here, as far as the seeds tell"
    return f"{verdict}: {what} loss {texts[0]}, {texts[1]}, each at its own best rate after a full run."


def _add_batch_facts(section: Section, comparison: BatchComparison) -> None:
    by_size = {row.batch_size: row for row in comparison.rows}
    if comparison.fastest is None or comparison.cheapest is None:
        return
    fast, cheap = by_size[comparison.fastest], by_size[comparison.cheapest]
    lowest = min(comparison.rows, key=lambda row: (row.val_loss or row.train_loss).mean)
    section.facts(
        [
            Fact(label="Fastest in seconds", value=f"{fast.batch_size}", note=_seconds(fast.seconds_to_target)),
            Fact(label="Cheapest in examples", value=f"{cheap.batch_size}", note=_examples(cheap.examples_to_target)),
            Fact(
                label="Lowest final loss",
                value=f"{lowest.batch_size}",
                note=f"{format_number((lowest.val_loss or lowest.train_loss).mean)} at {format_lr(lowest.lr)}",
            ),
        ]
    )


def _batch_table(comparison: BatchComparison) -> tuple[list[str], list[list[CellValue]]]:
    names = list(comparison.rows[0].metrics)
    measures: list[tuple[str, Callable[[BatchSummary], CellValue]]] = [
        ("best learning rate", lambda row: lr_cell(row.lr)),
        ("updates in a full run", lambda row: row.updates),
        ("cost of an update", lambda row: _cell(row.seconds_per_update, seconds=True)),
        ("examples a second", lambda row: _cell(row.examples_per_second)),
        ("relative variance of the gradient", lambda row: _cell(row.gradient_variance)),
        ("variance of the loss between updates", lambda row: _cell(row.loss_variance)),
        ("updates to the common loss", lambda row: _cell(row.updates_to_target)),
        ("examples to the common loss", lambda row: _cell(row.examples_to_target)),
        ("seconds to the common loss", lambda row: _cell(row.seconds_to_target, seconds=True)),
        ("final training loss", lambda row: _cell(row.train_loss)),
        ("final validation loss", lambda row: _cell(row.val_loss)),
    ]
    rows: list[list[CellValue]] = [[name, *(read(row) for row in comparison.rows)] for name, read in measures]
    rows += [[f"final {name}", *(_cell(row.metrics.get(name)) for row in comparison.rows)] for name in names]
    shown = [row for row in rows if any(not isinstance(cell, Cell) or cell.sort is not None for cell in row[1:])]
    return ["batch size", *(str(row.batch_size) for row in comparison.rows)], shown


def _cell(value: Spread | None, *, seconds: bool = False) -> CellValue:
    if value is None or value.seeds == 0:
        return None
    show = format_seconds if seconds else format_number
    low, high = show(value.low), show(value.high)
    return Cell(text=show(value.mean), sort=value.mean, note="" if low == high else f"{low} to {high}")


def _seconds(value: Spread | None) -> str:
    return "" if value is None else f"{format_seconds(value.mean)} to the common loss"


def _examples(value: Spread | None) -> str:
    return "" if value is None else f"{format_number(value.mean)} examples to the common loss"
