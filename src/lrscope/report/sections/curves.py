"""The training curves: all of them by learning rate, the lecture's four, and how far the weights move."""

from __future__ import annotations

import math

import numpy as np

from lrscope.numbers import format_lr, format_number
from lrscope.report.charts.curves import four_regimes, step_of_weights, training_curves
from lrscope.report.extract.study import (
    LECTURE_ORDER,
    LECTURE_SMOOTHING,
    lecture_curves,
    schedules,
    update_ratios,
)
from lrscope.report.extract.study import (
    training_curves as curves_of,
)
from lrscope.report.extract.thin import SMOOTHING_SHARE
from lrscope.report.page import Page
from lrscope.report.sections.words import ZOOM, listed, thinned
from lrscope.study.result import StudyResult

MEANING = {
    "very_high": "rises and does not come back",
    "high": "falls at first, then stays above what a lower rate reaches",
    "good": "falls fast and far",
    "low": "falls, but so slowly that it ends far from where it could be",
}


def add_training_curves(page: Page, result: StudyResult) -> None:
    """Every learning rate's curve, one batch size (and schedule) at a time."""
    several, choice = len(schedules(result)) > 1, result.recommended
    groups = [
        (_name(optimum.batch_size, optimum.schedule, several), curves_of(result, optimum)) for optimum in result.optima
    ]
    groups = [(name, curves) for name, curves in groups if curves]
    if not groups:
        return
    section = page.section(
        "What each learning rate does to the curve",
        answer="Low rates crawl, good ones fall fast and far, too high ones bounce or leave.",
    )
    section.chart(
        training_curves(
            groups,
            "batch size, schedule" if several else "batch size",
            _name(choice.batch_size, choice.schedule, several) if choice else None,
        ),
        caption=f"Training loss of each learning rate, one seed each. {thinned(SMOOTHING_SHARE)} {ZOOM}",
    )


def _name(batch_size: int, schedule: str, several: bool) -> str:
    return f"{batch_size}, {schedule}" if several else str(batch_size)


def add_four_regimes(page: Page, result: StudyResult) -> None:
    """Very high, high, good, low: one curve of each, picked from this study."""
    curves = lecture_curves(result)
    if len(curves) < 2:
        return
    size, steps = curves[0].batch_size, curves[0].total_steps
    longest = max(item.trial.total_steps for item in result.trials if item.trial.batch_size == size)
    named = [f"{curve.regime.replace('_', ' ')} ({format_lr(curve.lr)})" for curve in curves]
    hurried = "" if steps == longest else f", in short runs of {steps} updates"
    section = page.section("The four curves", answer=f"At batch size {size}{hurried}: {listed(named)}.")
    short = "" if steps == longest else f"Short runs: the whole schedule in {steps} updates instead of {longest:,}. "
    section.chart(
        four_regimes(curves),
        caption=f"Training loss; a cross marks where a run had diverged. {short}{thinned(LECTURE_SMOOTHING)}",
    )
    section.bullets([f"{curve.regime.replace('_', ' ').capitalize()}: {MEANING[curve.regime]}." for curve in curves])
    missing = [name.replace("_", " ") for name in LECTURE_ORDER if name not in {curve.regime for curve in curves}]
    if missing:
        section.prose(f"No run at batch size {size} was {' or '.join(missing)}.")


def add_weight_steps(page: Page, result: StudyResult) -> None:
    """The lecture's first claim, measured: a higher rate changes the weights more."""
    points = update_ratios(result)
    if len(points) < 2:
        return
    slopes = []
    for size in sorted({point.batch_size for point in points}):
        mine = [point for point in points if point.batch_size == size]
        if len(mine) > 2:
            slope = np.polyfit([math.log(p.lr) for p in mine], [math.log(p.ratio) for p in mine], 1)[0]
            slopes.append(float(slope))
    answer = "A higher learning rate moves the weights further."
    if slopes and min(slopes) > 0:
        middle = format_number(2.0 ** float(np.median(slopes)), 2)
        answer = f"A doubled learning rate moves the weights {middle} times as far in each update."
    section = page.section("How far the weights move", answer=answer)
    section.chart(
        step_of_weights(points),
        caption="The size of an update over the size of the weights, the mean over the regular measurements in a run's "
        "first quarter, before the runs have come to losses of their own; short runs are among them.",
    )
