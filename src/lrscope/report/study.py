"""A study's page: what was found, on what evidence, and at what cost."""

from __future__ import annotations

import os
from pathlib import Path

from lrscope.numbers import format_number, format_seconds
from lrscope.report.extract.study import schedules
from lrscope.report.page import Page
from lrscope.report.sections.answer import add_answer, add_recommendation
from lrscope.report.sections.batches import add_batch_law, add_large_against_small
from lrscope.report.sections.curves import add_four_regimes, add_training_curves, add_weight_steps
from lrscope.report.sections.record import add_cost, add_notes, add_trials
from lrscope.report.sections.schedules import add_schedules
from lrscope.study.result import StudyResult


def study_page(result: StudyResult) -> Page:
    """The page of a study, finished or cut short; sections that it has no data for are left out."""
    page = Page(f"The learning rate of {result.task}", subtitle=_subtitle(result))
    add_answer(page, result)
    add_recommendation(page, result)
    add_training_curves(page, result)
    add_four_regimes(page, result)
    add_batch_law(page, result)
    add_large_against_small(page, result)
    add_weight_steps(page, result)
    add_schedules(page, result)
    add_trials(page, result)
    add_cost(page, result)
    add_notes(page, result)
    return page


def write_study_report(result: StudyResult, path: str | os.PathLike[str]) -> Path:
    """Write a study's page to `path`: one file that opens offline.

    Raises:
        InvalidInput: the place cannot be written to.
        MissingExtra: altair or vl-convert-python is not installed.
    """
    return study_page(result).write(path)


def _subtitle(result: StudyResult) -> str:
    sizes = sorted({optimum.batch_size for optimum in result.optima})
    names = schedules(result)
    batches = f"batch size {sizes[0]}" if len(sizes) == 1 else f"batch sizes {', '.join(map(str, sizes))}"
    plan = f"the schedule `{names[0]}`" if len(names) == 1 else f"{len(names)} schedules"
    return (
        f"{format_number(result.train_examples)} training examples, {result.optimizer}, {batches}, {plan}: "
        f"{result.cost.runs} runs in {format_seconds(result.cost.seconds)}."
    )
