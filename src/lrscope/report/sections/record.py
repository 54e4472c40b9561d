"""The record: every trial, what it cost, and what the study has to say besides."""

from __future__ import annotations

import math

from lrscope.numbers import format_lr, format_number, format_seconds
from lrscope.report.extract.study import regime_of, schedules
from lrscope.report.markup import Cell, CellValue, Fact
from lrscope.report.page import Page
from lrscope.report.theme import REGIME_COLORS
from lrscope.study.result import Optimum, StudyResult
from lrscope.study.trial import TrialResult


def add_trials(page: Page, result: StudyResult) -> None:
    """Every training run, in a table that sorts by a click."""
    if not result.trials:
        return
    diverged = sum(item.status == "diverged" for item in result.trials)
    section = page.section(
        f"All {len(result.trials)} runs",
        answer=f"{diverged} of them diverged." if diverged else "None of them diverged.",
        collapsed=True,
    )
    several = len(schedules(result)) > 1
    names = list(result.trials[0].metrics)
    validated = any(item.val_loss is not None for item in result.trials)
    heads = ["batch size", "learning rate", "regime", "seed", "updates", "outcome", "training loss"]
    heads += (["validation loss"] if validated else []) + names + ["seconds"] + (["schedule"] if several else [])
    optima = {(optimum.batch_size, optimum.schedule): optimum for optimum in result.optima}
    rows = []
    for item in result.trials:
        row = _trial_row(item, optima.get((item.trial.batch_size, item.trial.schedule)))
        row += [_loss_cell(item.val_loss)] if validated else []
        row += [_loss_cell(item.metrics.get(name)) for name in names]
        row.append(Cell(text=format_seconds(item.seconds), sort=item.seconds))
        rows.append([*row, item.trial.schedule] if several else row)
    section.table(heads, rows, sortable=True, caption="A click on a column's head sorts by it.")


def add_cost(page: Page, result: StudyResult) -> None:
    """What the study spent."""
    cost = result.cost
    section = page.section("What it cost", answer=f"{cost.runs} runs in {format_seconds(cost.seconds)}.")
    section.facts(
        [
            Fact(label="Search", value=format_number(float(cost.search)), note="full-run equivalents"),
            Fact(label="Verification", value=format_number(float(cost.verification)), note="full-run equivalents"),
            Fact(label="Examples", value=format_number(cost.examples), note="processed in training"),
            Fact(label="Engine", value=result.engine, note=f"{format_seconds(cost.seconds)} in all"),
        ]
    )
    section.prose(
        "A full-run equivalent is the examples processed over the examples of one full run at that batch size; nothing "
        "that was trained is left out."
    )


def add_notes(page: Page, result: StudyResult) -> None:
    """What the study has to say besides."""
    if result.notes:
        page.section("Notes").bullets(result.notes)


def _trial_row(item: TrialResult, optimum: Optimum | None) -> list[CellValue]:
    trial = item.trial
    regime = "inconclusive" if optimum is None else regime_of(optimum, trial.peak_lr)
    named = regime != "inconclusive"
    updates = format_number(len(item.loss))
    cut = "" if len(item.loss) == trial.total_steps else f" of {format_number(trial.total_steps)}"
    return [
        trial.batch_size,
        Cell(text=format_lr(trial.peak_lr, 3), sort=trial.peak_lr),
        Cell(text=regime.replace("_", " ") if named else "", swatch=REGIME_COLORS[regime] if named else ""),
        trial.seed,
        Cell(text=updates + cut, sort=len(item.loss)),
        item.status if item.diverged_at is None else f"diverged at update {item.diverged_at}",
        _loss_cell(item.train_loss),
    ]


def _loss_cell(value: float | None) -> CellValue:
    return None if value is None or math.isnan(value) else float(value)
