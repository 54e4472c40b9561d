"""`lrscope study`: the best learning rate for each batch size of a training job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from lrscope.cli.output import end_interrupted, only_ours_on_stdout, print_json, stderr, stdout, to_plain
from lrscope.errors import InvalidInput, MissingExtra
from lrscope.numbers import format_interval, format_lr, format_number, format_seconds
from lrscope.report.files import write_atomically

if TYPE_CHECKING:
    from lrscope.study.result import StudyResult


WIDE = 160
"""The columns of a table where the output is no terminal."""


def study(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A bundled task (see `lrscope tasks`) or path/to/file.py:function.")
    ],
    batch_sizes: Annotated[str | None, typer.Option(help="Comma-separated; default: the task's.")] = None,
    schedule: Annotated[
        list[str] | None, typer.Option(help='A schedule, e.g. "warmup(5%) -> cosine"; may be repeated.')
    ] = None,
    lr: Annotated[str | None, typer.Option(metavar="LOW:HIGH", help="The range not to leave.")] = None,
    metric: Annotated[str | None, typer.Option(help="val_loss or train_loss.")] = None,
    seeds: Annotated[int, typer.Option(help="At most this many seeds a point.")] = 3,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    search: Annotated[str, typer.Option(help="adaptive or grid.")] = "adaptive",
    tolerance: Annotated[float, typer.Option(help="The expected regret that is good enough.")] = 0.01,
    max_runs: Annotated[int | None, typer.Option(help="Stop after this many trials.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; default: one per core, or one on a GPU.")
    ] = None,
    executor: Annotated[str, typer.Option(help="local, serial or ray.")] = "local",
    engine: Annotated[str, typer.Option(help="auto, loop or vmap.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="The study's folder; default: lrscope-out/<task>.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Measure the best learning rate for each batch size, and verify the recommendation.

    The folder keeps study.db, summary.json and report.html; run again, the study goes on where it was.
    """
    sizes = None if batch_sizes is None else parse_sizes(batch_sizes)
    rates = None if lr is None else parse_range(lr)
    with stderr.status("opening the task"):
        folder, reference = find_study(task, out)
    from lrscope.cli.progress import StudyProgress
    from lrscope.study.plan import DEFAULT_SCHEDULE
    from lrscope.study.run import run_study

    try:
        with only_ours_on_stdout(), StudyProgress(stderr) as progress:
            result = run_study(
                reference, batch_sizes=sizes, schedules=tuple(schedule or [DEFAULT_SCHEDULE]), lr=rates, metric=metric,
                seeds=seeds, seed=seed, search=search, tolerance=tolerance, max_runs=max_runs, workers=workers,
                executor=executor, engine=engine, out=folder, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        end_interrupted(f"Stopped: what was finished is kept in '{folder}', and the same command goes on from there.")
    write_outputs(result, folder)
    if as_json:
        print_json(result.to_json())
    else:
        print_summary(result, folder)


def find_study(task: str, out: Path | None) -> tuple[Path, str]:
    """The folder of a task's study, and the task's reference."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtra("torch", "study") from None
    from lrscope.study.load import resolve_reference
    from lrscope.tasks import BUNDLED

    reference = resolve_reference(task, {name: bundled.reference for name, bundled in BUNDLED.items()})
    if out is not None:
        return out, reference
    file, _, function = reference.rpartition(":")
    stem = Path(file).stem
    own = stem if function in ("task", stem) else f"{stem}-{function}"
    return Path("lrscope-out") / (task if task in BUNDLED else own), reference


def write_outputs(result: StudyResult, folder: Path) -> None:
    """Write summary.json and, where the report's packages are installed, report.html."""
    summary = json.dumps(to_plain(result.to_json()), indent=1, allow_nan=False) + "\n"
    write_atomically(folder / "summary.json", summary.encode("utf-8"))
    try:
        from lrscope.report.study import write_study_report

        write_study_report(result, folder / "report.html")
    except MissingExtra as missing:
        stderr.print(f"No report.html was written. {missing}", markup=False, soft_wrap=True)


def print_summary(result: StudyResult, folder: Path) -> None:
    """The optima and the recommendation, for the terminal."""
    several = len({optimum.schedule for optimum in result.optima}) > 1
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("batch size", "best lr", "80 % interval", "loss", "status", "runs", "full runs"):
        table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True)
    if several:
        table.add_column("schedule", no_wrap=True)
    for optimum in result.optima:
        lr, loss = optimum.optimal_lr, optimum.expected_loss
        row = [
            str(optimum.batch_size),
            "–" if lr is None else format_lr(lr.value),
            "–" if lr is None else format_interval(lr, lr=True) or "–",
            "–" if loss is None else format_number(loss.value),
            optimum.status,
            str(optimum.runs),
            f"{optimum.full_run_equivalents:.1f}",
        ]
        table.add_row(*row, *([optimum.schedule] if several else []))
    wide = stdout if stdout.is_terminal else Console(width=WIDE)
    wide.print(table)
    for line in _words(result, folder):
        stdout.print(line, markup=False, highlight=False, soft_wrap=True)


def _words(result: StudyResult, folder: Path) -> Iterator[str]:
    """What the summary says below its table."""
    runs = "1 run" if result.cost.runs == 1 else f"{result.cost.runs} runs"
    for optimum in result.optima:
        if optimum.status != "found":
            yield f"Batch size {optimum.batch_size}, {optimum.schedule}: {optimum.advice}"
    choice, cost = result.recommended, result.cost
    yield ""
    if choice is not None:
        yield (
            f"Recommended: batch size {choice.batch_size}, peak learning rate {format_lr(choice.peak_lr)}, "
            f"schedule {choice.schedule}. {choice.reason}"
        )
        yield choice.verdict
        yield from _ranking(result, choice.batch_size)
    yield from result.notes
    yield (
        f"Cost: {runs}, {cost.full_run_equivalents:.1f} full-run equivalents ({cost.search:.1f} search, "
        f"{cost.verification:.1f} verification), {format_seconds(cost.seconds)}."
    )
    if (folder / "report.html").is_file():
        yield f"The page: {folder / 'report.html'}"


def _ranking(result: StudyResult, batch_size: int) -> Iterator[str]:
    """The schedules of a batch size from the best on, a line each, where they ran on the same fresh seeds."""
    from lrscope.report.extract.schedules import rank_schedules

    rows = [row for row in rank_schedules(result) if row.batch_size == batch_size and row.measured]
    if len(rows) < 2:
        return
    yield f"Schedules at batch size {batch_size}, each at its own best learning rate on the same fresh seeds:"
    for row in rows:
        line = f"  {row.rank}. {row.schedule}: {format_number(row.loss.value)}"
        if row.behind is not None:
            interval = format_interval(row.behind)
            line += f", {format_number(row.behind.value)} above the first{f' (80 %: {interval})' if interval else ''}"
        yield f"{line}{': not to be told apart' if row.tied else ''}."


def parse_sizes(text: str) -> tuple[int, ...]:
    """`16,64,256` as whole numbers.

    Raises:
        InvalidInput: something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidInput(f"--batch-sizes must be whole numbers with commas, like 16,64,256. Got '{text}'.") from None


def parse_range(text: str) -> tuple[float, float]:
    """`1e-4:0.1` as two numbers.

    Raises:
        InvalidInput: something else.
    """
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise InvalidInput(f"--lr must be LOW:HIGH, like 1e-4:0.1. Got '{text}'.") from None
    return low, high
