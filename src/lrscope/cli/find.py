"""`lrscope find`: a learning rate for one batch size, for a fraction of one training run."""

from __future__ import annotations

from typing import Annotated

import typer

from lrscope.cli.output import only_ours_on_stdout, print_json, stdout
from lrscope.cli.study import find_study


def find(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A bundled task (see `lrscope tasks`) or path/to/file.py:function.")
    ],
    batch_size: Annotated[int | None, typer.Option(help="Default: the task's middle one.")] = None,
    budget: Annotated[float, typer.Option(help="What may be spent, in full runs.")] = 0.3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Suggest a peak learning rate for one batch size from short runs.

    It is judged by the training loss, which is all that short runs can tell; `lrscope study` measures the rest.
    """
    _, reference = find_study(task, None)
    from lrscope.report.sparkline import sparkline
    from lrscope.study.find import find_lr

    with only_ours_on_stdout():
        found = find_lr(reference, batch_size=batch_size, budget=budget)
    if as_json:
        print_json(found.to_json())
        return
    runs = [branch for branch in found.branches if branch.run.stage == "walk"]
    rate = found.suggested_lr
    if rate is not None:
        low, high = ("?" if end is None else f"{end:.2g}" for end in (rate.low, rate.high))
        stdout.print(f"Suggested peak learning rate: {rate.value:.2g}  (80 %: {low} … {high})", markup=False)
    stdout.print(f"Batch size {found.batch_size}, {found.status}. {found.advice}", markup=False)
    if len(runs) > 1:
        rates = [2.0**branch.run.octave for branch in runs]
        picture = sparkline(rates, [branch.loss for branch in runs])
        stdout.print(f"Loss of the short runs, {min(rates):.2g} … {max(rates):.2g}: {picture}", markup=False)
    stdout.print(f"Cost: {found.full_run_equivalents:.2f} full runs, {found.seconds:.1f} s.", markup=False)
