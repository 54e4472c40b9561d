"""The page of `lrscope noise`: the noise scale along a training, and the batch size beyond which more helps little."""

from __future__ import annotations

import math
import os
from pathlib import Path

from lrscope.estimate import Estimate
from lrscope.numbers import format_estimate, format_interval, format_lr, format_number, format_seconds
from lrscope.report.charts.noise import branch_losses, noise_course, trade
from lrscope.report.markup import CellValue, Fact
from lrscope.report.page import Page
from lrscope.study.noise import NoiseResult


def noise_page(result: NoiseResult) -> Page:
    """The page: the answer, the course of the noise scale, updates against examples, the branches."""
    page = Page(
        f"The gradient noise of {result.task}",
        subtitle=f"{result.steps} updates of batch size {result.batch_size} with {result.optimizer} at "
        f"{format_lr(result.lr)} ({result.lr_from}), in {format_seconds(result.seconds)}.",
    )
    critical = result.critical_batch_size
    section = page.section("", answer=f"Larger batches help up to about {format_estimate(critical)} examples.")
    section.facts([_fact("Noise scale before the training", result.initial),
                   _fact("Over the training", result.noise_scale),
                   _fact("Critical batch size", critical, tone="good"),
                   *([] if result.adam is None else [_fact("In Adam's metric", result.adam)])])  # fmt: skip
    section = page.section("The noise scale along the training")
    section.chart(
        noise_course(result.trajectory, result.noise_scale, result.batch_size),
        caption="Points: tr Σ / |G|² at the weights of that update, with 80 % intervals. Band: the average, tr Σ and "
        "|G|² averaged apart.",
    )
    if math.isfinite(critical.value) and critical.value > 0:
        section = page.section("What a batch size costs")
        section.chart(
            trade(critical, result.batch_size),
            caption="Updates S = S_min (1 + B_crit/B) and examples E = E_min (1 + B/B_crit) to one and the same loss.",
        )
    if result.branched is not None:
        found = format_estimate(result.branched.critical_batch_size)
        section = page.section("Measured by training on", answer=f"Branches keep the loss up to {found} examples.")
        section.chart(
            branch_losses(result.branched),
            caption="From one checkpoint, the same examples in fewer and larger updates, at a rate that grows with the "
            "batch; means over three data orders, with 80 % intervals.",
        )
    rows: list[list[CellValue]] = [[point.step, point.noise_scale, point.loss] for point in result.trajectory]
    page.section("All places", collapsed=True).table(["updates made", "noise scale", "training loss since"], rows)
    if result.notes:
        page.section("What has to be said").bullets(list(result.notes))
    return page


def write_noise_report(result: NoiseResult, path: str | os.PathLike[str]) -> Path:
    """Write the page to `path`: one file that opens offline.

    Raises:
        InvalidInput: the place cannot be written to.
        MissingExtra: altair or vl-convert-python is not installed.
    """
    return noise_page(result).write(path)


def _fact(label: str, value: Estimate, tone: str = "") -> Fact:
    return Fact(label=label, value=format_number(value.value), note=format_interval(value), tone=tone)
