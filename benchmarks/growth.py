"""How a study's own time and its price grow: with trials, batch sizes, precision, model and data.

    python benchmarks/growth.py

lrscope's own time is all that is not training or evaluation: setting up, searching, storing, fitting, and the page.
One process, the loop engine; own time in CPU seconds. Prints the tables and writes them to
benchmarks/results/growth.md.
"""

from __future__ import annotations

import math
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.nn.functional as F
from torch import nn

from lrscope.report.study import write_study_report
from lrscope.study.result import StudyResult
from lrscope.study.run import load_study, run_study
from lrscope.study.task import Task
from lrscope.tasks.digits import digits_adamw

RESULT = Path(__file__).parent / "results" / "growth.md"


def line(**changes: Any) -> Task:
    """A linear regression of which a run takes a few milliseconds: what a study spends on it is its own."""
    inputs = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    settings = {
        "name": "line",
        "model": lambda: nn.Linear(8, 1),
        "loss": F.mse_loss,
        "train": (inputs, inputs.sum(1, keepdim=True)),
        "steps": 20,
        "batch_sizes": (16,),
    }
    return Task(**(settings | changes))  # type: ignore[arg-type]


def width(units: int, examples: int | None = None) -> Task:
    """The digits under an MLP of so many hidden units, on all examples or the first so many."""
    task = digits_adamw()
    inputs, targets = task.train
    return replace(
        task,
        model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, units), nn.ReLU(), nn.Linear(units, 10)),
        train=(inputs[:examples], targets[:examples]),
        batch_sizes=(64,),
    )


def run(task: Task, **options: Any) -> tuple[StudyResult, float]:
    """A study in this process, and lrscope's own CPU seconds in it."""
    time.perf_counter = time.process_time  # the engine's clock, so that the two can be subtracted
    started = time.process_time()
    result = run_study(task, executor="serial", engine="loop", **options)
    spent = time.process_time() - started
    return result, spent - sum(trial.seconds + trial.eval_seconds for trial in result.trials)


def trials_table() -> list[str]:
    """Own time against the number of trials."""
    lines = [
        "| trials | how | own time a trial, ms | of one trial more, ms | read again, s | page written, s | page, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    run(line())  # PyTorch's own imports at the first optimizer are not a study's
    before: tuple[int, float] | None = None
    for seeds in (4, 36, 72):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            result, own = run(line(), search="grid", lr=(1e-4, 1.0), seeds=seeds, out=folder)
            reading = timed(lambda folder=folder: load_study(folder))  # type: ignore[misc]
            page = folder / "report.html"
            writing = timed(lambda result=result, page=page: write_study_report(result, page))  # type: ignore[misc]
            count = len(result.trials)
            more = "" if before is None else f"{1e3 * (own - before[1]) / (count - before[0]):.2f}"
            lines.append(
                f"| {count} | grid, {seeds} seeds | {1e3 * own / count:.2f} | {more} | {reading:.2f} | {writing:.2f} | "
                f"{page.stat().st_size / 1e6:.2f} |"
            )
            before = count, own
    for sizes, schedules in (((16,), 1), ((4, 16, 64), 1), ((2, 4, 8, 16, 32, 64, 128, 256), 4)):
        names = ("cosine", "linear", "constant", "rex")[:schedules]
        result, own = run(line(batch_sizes=sizes), schedules=names)
        count = len(result.trials)
        how = f"adaptive, batch sizes: {len(sizes)}, schedules: {schedules}"
        lines.append(f"| {count} | {how} | {1e3 * own / count:.2f} | | | | |")
    return lines


def price_table() -> list[str]:
    """Runs and full-run equivalents of adaptive studies of the digits under an MLP."""
    studies: list[tuple[str, Callable[[], Task], dict[str, Any]]] = [
        *((f"batch sizes: {len(sizes)}", digits_adamw, {"batch_sizes": sizes}) for sizes in _sizes((1, 2, 4, 8))),
        *((f"tolerance {t:g}", lambda: width(128), {"tolerance": t}) for t in (0.03, 0.01, 0.003)),
        *((f"{units} units", lambda units=units: width(units), {}) for units in (32, 128, 512)),
        *((f"{count} examples", lambda count=count: width(128, count), {}) for count in (350, 700, 1400)),
    ]
    lines = [
        "| digits, MLP | optima found | full-run equivalents an optimum | octaves wide | own time, s | training, s |",
        "|---|---|---|---|---|---|",
    ]
    for name, make, options in studies:
        result, own = run(make(), **options)
        found = sum(optimum.status == "found" for optimum in result.optima)
        widths = [
            f"{math.log2(best.high / best.low):.1f}"
            for best in (optimum.optimal_lr for optimum in result.optima)
            if best is not None and best.low is not None and best.high is not None
        ]
        training = sum(trial.seconds + trial.eval_seconds for trial in result.trials)
        lines.append(
            f"| {name} | {found} of {len(result.optima)} | {result.cost.search / len(result.optima):.2f} | "
            f"{', '.join(widths)} | {own:.1f} | {training:.0f} |"
        )
        print(lines[-1], flush=True)
    return lines


def _sizes(counts: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [tuple(sorted((64, 16, 256, 32, 128, 8, 512, 24)[:count])) for count in counts]


def timed(work: Callable[[], object]) -> float:
    """CPU seconds."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Measure and write."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [
        "# How a study grows",
        "",
        f"`python benchmarks/growth.py` on {machine}, torch {torch.__version__}; one process of one thread, the loop "
        "engine, one study a row. Own time is CPU time that is neither training nor evaluation.",
        "",
        *trials_table(),
        "",
        *price_table(),
        "",
    ]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
