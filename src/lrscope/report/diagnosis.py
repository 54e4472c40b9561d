"""The page of `lrscope diagnose`: every run's curve, verdict, evidence and advice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lrscope.curves.curve import Curve
from lrscope.diagnosis.advice import factor_text
from lrscope.diagnosis.diagnose import Diagnosis
from lrscope.report.charts.diagnosis import all_runs, four_curves, run_chart
from lrscope.report.page import Page
from lrscope.report.save import save_chart

MOST_RUNS = 60
"""So many runs have a section of their own; the table has all."""


def diagnosis_page(curves: Sequence[Curve], verdicts: Sequence[Diagnosis]) -> Page:
    """The page: what was found, all runs, the four-curve figure, then each run, those that need a change first."""
    count = len(verdicts)
    good = sum(verdict.regime == "good" for verdict in verdicts)
    several = f"{count} runs, {good} of them good."
    page = Page("Is the learning rate right?", subtitle=several if count != 1 else f"One run: {_word(verdicts[0])}.")
    if count > 1:
        section = page.section("All runs", answer=_overview(verdicts))
        section.chart(all_runs(curves, verdicts), caption="Means over fortieths of each run; cut above the start.")
        section.table(["run", "regime", "probability", "learning rate"], [_row(v) for v in verdicts], sortable=True)
        figure = four_curves(curves, verdicts)
        if figure is not None:
            page.section("The learning rate and the curve", answer="The surest run of each regime.").chart(figure)
    order = sorted(range(count), key=lambda i: (verdicts[i].regime == "good", i))
    for i in order[:MOST_RUNS]:
        _add_run(page, curves[i], verdicts[i], collapsed=count > 8)
    return page


def write_diagnosis(curves: Sequence[Curve], verdicts: Sequence[Diagnosis], path: str | os.PathLike[str]) -> Path:
    """Write the page (.html) or the picture (.png, .svg) of verdicts on curves, given in the same order."""
    if Path(path).suffix.lower() == ".html":
        return diagnosis_page(curves, verdicts).write(path)
    if len(curves) == 1:
        return save_chart(run_chart(curves[0], verdicts[0]).properties(title=_title(verdicts[0])), path)
    return save_chart(four_curves(curves, verdicts) or all_runs(curves, verdicts), path)


def _add_run(page: Page, curve: Curve, verdict: Diagnosis, collapsed: bool) -> None:
    section = page.section(_title(verdict), answer=verdict.advice, collapsed=collapsed)
    if len(curve) and any(abs(x) < float("inf") for x in curve.loss):
        section.chart(
            run_chart(curve, verdict), caption="The mean and the range of the points; marks are the evidence."
        )
    section.bullets([item.says for item in verdict.evidence])
    if curve.notes:
        section.prose("Of the record: " + "; ".join(curve.notes) + ".")


def _title(verdict: Diagnosis) -> str:
    probability = verdict.probabilities.get(verdict.regime)
    sure = f" ({100 * probability:.0f} %)" if probability is not None else ""
    return f"{verdict.name}: {_word(verdict)}{sure}"


def _word(verdict: Diagnosis) -> str:
    return verdict.regime.replace("_", " ")


def _overview(verdicts: Sequence[Diagnosis]) -> str:
    names = ("good", "low", "high", "very_high", "inconclusive")
    counts = [(name.replace("_", " "), sum(v.regime == name for v in verdicts)) for name in names]
    return ", ".join(f"{count} {name}" for name, count in counts if count) + "."


def _row(verdict: Diagnosis) -> list[str | float | None]:
    probability = verdict.probabilities.get(verdict.regime)
    change = {"good": "keep", "inconclusive": "undecided"}.get(verdict.regime) or factor_text(verdict.lr_factor)
    return [verdict.name, _word(verdict), probability and f"{100 * probability:.0f} %", change]
