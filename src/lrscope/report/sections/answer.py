"""The opening: which learning rate, the lecture's picture, and the recommendation with the lines to paste."""

from __future__ import annotations

import math

from lrscope.estimate import Estimate
from lrscope.numbers import format_interval, format_lr, format_number
from lrscope.report.charts.u_curve import loss_against_rate
from lrscope.report.extract.study import full_runs, main_optima
from lrscope.report.markup import Cell, CellValue, Fact, lr_cell
from lrscope.report.page import Page
from lrscope.report.sections.words import METRICS, STATUS, listed, times
from lrscope.report.theme import order_colors
from lrscope.study.result import Optimum, Recommendation, StudyResult


def add_answer(page: Page, result: StudyResult) -> None:
    """The best learning rate of each batch size, drawn and as a table."""
    optima = main_optima(result)
    metric = METRICS.get(result.metric, result.metric)
    section = page.section("Which learning rate?", answer=_answer(optima))
    if result.recommended is not None:
        section.facts(_facts(result.recommended, metric))
    if any(optimum.curve for optimum in optima):
        section.chart(
            loss_against_rate(optima, f"{metric} at the end"),
            caption=f"The {metric} after a full run against the peak learning rate. Each point is the mean over its "
            "seeds, each heavy line the fit with its 80 % band, each diamond the optimum with its 80 % interval. "
            "Crosses at the top edge: runs that diverged or ended above where they began.",
        )
    columns = ["batch size", "best learning rate", f"expected {metric}", "status", "runs", "full-run equivalents"]
    section.table(columns, [_optimum_row(*row) for row in zip(optima, order_colors(len(optima)), strict=True)])
    section.bullets(
        [
            f"Batch size {optimum.batch_size}: {optimum.advice}"
            for optimum in optima
            if optimum.advice and optimum.status != "found"
        ]
    )


def add_recommendation(page: Page, result: StudyResult) -> None:
    """What to train with, what it gained over the optimizer's default, and the code."""
    choice = result.recommended
    if choice is None:
        return
    lr = format_lr(choice.peak_lr)
    section = page.section(
        "What to train with",
        answer=f"Batch size {choice.batch_size}, peak learning rate {lr}, schedule `{choice.schedule}`.",
    )
    section.prose(choice.verdict, choice.reason)
    rows: list[list[CellValue]] = []
    if result.metric == "val_loss":
        rows.append(["validation loss", choice.loss, choice.default_loss])
    rows.append(["training loss", choice.train_loss, choice.default_train_loss])
    rows += [[name, value, choice.default_metrics.get(name)] for name, value in choice.metrics.items()]
    seeds = f"{len(choice.seeds)} fresh seeds" if choice.seeds else "the same seeds"
    section.table(
        ["after the full run", f"recommended, {lr}", f"default, {format_lr(choice.default_lr)}"],
        rows,
        caption=f"Both trained on {seeds} that the search had not seen, with the same batch size, schedule and budget; "
        "the default is the better of the optimizer's defaults in PyTorch.",
    )
    section.code(paste_lines(result, choice), caption="Call `scheduler.step()` after every `optimizer.step()`.")


def paste_lines(result: StudyResult, choice: Recommendation) -> str:
    """The recommendation as PyTorch code."""
    runs = full_runs(result, choice.batch_size, choice.schedule)
    steps = runs[0].trial.total_steps if runs else "…"
    lr = float(f"{choice.peak_lr:.3g}")
    makers = {
        "sgd": f"torch.optim.SGD(model.parameters(), lr={lr}, momentum=0.9)",
        "adamw": f"torch.optim.AdamW(model.parameters(), lr={lr})",
    }
    maker = makers.get(result.optimizer.lower(), f"make_optimizer(model.parameters(), lr={lr})  # yours")
    return (
        "import torch\nfrom lrscope.integrations.torch import ScheduledLR\n\n"
        f"batch_size, total_steps = {choice.batch_size}, {steps}\n"
        f"optimizer = {maker}\n"
        f'scheduler = ScheduledLR(optimizer, "{choice.schedule}", total_steps=total_steps)'
    )


def _answer(optima: tuple[Optimum, ...]) -> str:
    known = [optimum for optimum in optima if optimum.optimal_lr is not None]
    if not known:
        return "No learning rate could be settled on: see what each batch size says below."
    parts = [f"{format_lr(_value(optimum.optimal_lr))} at batch size {optimum.batch_size}" for optimum in known]
    return f"{listed(parts)}."


def _facts(choice: Recommendation, metric: str) -> list[Fact]:
    return [
        Fact(label="Peak learning rate", value=format_lr(choice.peak_lr), note=f"`{choice.schedule}`"),
        Fact(label="Batch size", value=format_number(choice.batch_size), note="recommended"),
        Fact(label=metric.capitalize(), value=format_number(choice.loss.value), note=format_interval(choice.loss)),
        _gain(choice, metric),
    ]


def _gain(choice: Recommendation, metric: str) -> Fact:
    """What was gained over the default, as far as it stands out from the noise between seeds."""
    label, default = "Against the default", choice.default_loss.value
    words = f"{metric} {format_number(default)} at {format_lr(choice.default_lr)}"
    if not math.isfinite(default):
        return Fact(label=label, value="it diverges", note=f"at {format_lr(choice.default_lr)}", tone="good")
    if choice.peak_lr == choice.default_lr:
        return Fact(label=label, value="the default", note=f"{format_lr(choice.default_lr)} did best on fresh seeds")
    if choice.gain.low is None or choice.gain.low <= 0:
        return _training_gain(choice) or Fact(label=label, value="no clear gain", note=words)
    if choice.loss.value > 0 and default > 0:
        return Fact(label=label, value=f"{times(default / choice.loss.value)} lower", note=words, tone="good")
    return Fact(label=label, value=f"{format_number(choice.gain.value)} lower", note=words, tone="good")


def _training_gain(choice: Recommendation) -> Fact | None:
    """What was gained in training loss where the metric shows no clear gain; None where that shows none either."""
    mine, usual = choice.train_loss, choice.default_train_loss
    if mine.high is None or usual.low is None or not 0 < mine.high < usual.low:
        return None
    note = f"training loss {format_number(usual.value)} at {format_lr(choice.default_lr)}; no clear gain in validation"
    return Fact(label="Against the default", value=f"{times(usual.value / mine.value)} lower", note=note, tone="good")


def _optimum_row(optimum: Optimum, color: str) -> list[CellValue]:
    return [
        Cell(text=str(optimum.batch_size), sort=optimum.batch_size, swatch=color),
        lr_cell(optimum.optimal_lr),
        optimum.expected_loss,
        STATUS.get(optimum.status, optimum.status),
        optimum.runs,
        float(optimum.full_run_equivalents),
    ]


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value
