"""`lrscope noise`: how noisy are the gradients, and up to which batch size do larger ones help?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrscope.cli.output import only_ours_on_stdout, print_json, stderr, stdout
from lrscope.cli.study import find_study
from lrscope.errors import InvalidInput

if TYPE_CHECKING:
    from lrscope.estimate import Estimate
    from lrscope.study.noise import NoiseResult


def noise(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A bundled task (see `lrscope tasks`) or path/to/file.py:function.")
    ],
    batch_size: Annotated[int | None, typer.Option(help="Of the training; default: the task's middle one.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Its peak rate; default: the study's optimum, else the optimizer's default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, data order and the examples that are measured.")] = 0,
    branches: Annotated[
        bool, typer.Option("--branches", help="Measure the critical batch size by training on, too.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The study's folder; default: lrscope-out/<task>.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the page to this .html file.")] = None,
) -> None:
    """Measure the gradient noise scale along a short training, and the batch size beyond which more helps little."""
    if html is not None and html.suffix.lower() != ".html":
        raise InvalidInput(f"--html must name a file that ends in .html. Got '{html}'.")
    if lr is not None and not (math.isfinite(lr) and lr > 0):
        raise InvalidInput(f"--lr must be a positive number. Got {lr}.")
    folder, reference = find_study(task, out)
    with only_ours_on_stdout():
        result = _measure(reference, folder, batch_size, lr, seed, branches)
    if html is not None:
        from lrscope.report.noise import write_noise_report

        stderr.print(f"The page: {write_noise_report(result, html)}", markup=False, soft_wrap=True)
    if as_json:
        print_json(result.to_json())
    else:
        show(result)


def _measure(
    reference: str, folder: Path, batch_size: int | None, lr: float | None, seed: int, branches: bool
) -> NoiseResult:
    from dataclasses import replace

    from lrscope.study.load import load_file_task
    from lrscope.study.noise import measure_noise

    sizes = load_file_task(reference).batch_sizes
    size = sizes[len(sizes) // 2] if batch_size is None else batch_size
    known = studied_lr(folder, size) if lr is None else None
    result = measure_noise(reference, batch_size=size, lr=lr if known is None else known, seed=seed, branches=branches)
    return result if known is None else replace(result, lr_from=f"the study in {folder}")


def studied_lr(folder: Path, batch_size: int) -> float | None:
    """The optimum that the study in a folder found for a batch size; None where it found none."""
    from lrscope.study.run import load_study

    if not (folder / "study.db").is_file():
        return None
    for optimum in load_study(folder).optima:
        if optimum.batch_size == batch_size and optimum.status == "found" and optimum.optimal_lr is not None:
            return optimum.optimal_lr.value
    return None


def show(result: NoiseResult) -> None:
    """The answer for the terminal."""
    from lrscope.report.sparkline import sparkline

    inner = [point for point in result.trajectory if point.step > 0 and math.isfinite(point.noise_scale.value)]
    lines = [
        f"{result.task}: {result.steps} updates of batch size {result.batch_size}, rate {result.lr:.3g} "
        f"({result.lr_from}).",
        f"Noise scale before the training: {_text(result.initial)} examples.",
        f"Noise scale over the training:   {_text(result.noise_scale)}.",
    ]
    if len(inner) > 1:
        picture = sparkline([point.step for point in inner], [point.noise_scale.value for point in inner])
        lines.append(f"Its course, first to last update: {picture}")
    if result.adam is not None:
        lines.append(f"In Adam's metric:                {_text(result.adam)}.")
    lines.append(
        f"Critical batch size:             {_text(result.critical_batch_size)}: below it, doubling the batch nearly "
        "halves the updates; above it, hardly."
    )
    if result.branched is not None:
        lines.append(f"Critical batch size by branches: {_text(result.branched.critical_batch_size)}.")
    for line in [*lines, *result.notes]:
        stdout.print(line, markup=False, highlight=False)


def _text(estimate: Estimate) -> str:
    ends = " … ".join("?" if end is None else f"{end:.3g}" for end in (estimate.low, estimate.high))
    return f"{estimate.value:.3g} ({ends})"
