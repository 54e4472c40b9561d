"""`lrscope transfer`: a tuned peak learning rate carried from one schedule to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrscope.cli.output import print_json, stdout
from lrscope.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLED = 20_000
"""Updates of the shorter run that are looked at where a run is too long to look at all."""


def transfer(
    source: Annotated[str, typer.Option("--from", help="The schedule that the rate was tuned for.")],
    target: Annotated[str, typer.Option("--to", help="The schedule to carry it to.")],
    lr: Annotated[float, typer.Option(help="The tuned peak learning rate.")],
    total_steps: Annotated[int, typer.Option(help="Updates of the run.")] = 10_000,
    to_total_steps: Annotated[int | None, typer.Option(help="Updates of the new run, where they differ.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write FILE.png, .svg, .html, .csv or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Carry a tuned peak learning rate to another schedule or run length, by the convex bound (arXiv 2501.18965)."""
    from lrscope.cli.export import check_suffix, export
    from lrscope.cli.schedule import check_run
    from lrscope.schedules.bound import convex_bound, transfer_peak_lr

    check_suffix(out)
    check_run(total_steps, lr)
    new_total = total_steps if to_total_steps is None else to_total_steps
    check_run(new_total, None)
    old, new = shares_of((source, total_steps), (target, new_total))
    result = transfer_peak_lr(lr, old, new)
    document = {
        "schema": "lrscope/transfer/1",
        "from": source,
        "to": target,
        "lr": lr,
        "total_steps": total_steps,
        "to_total_steps": new_total,
        "peak_lr": result.peak_lr.to_json(),
        "factor": result.factor,
        "relative_bound": result.relative_bound,
    }
    if out is not None:
        from lrscope.report.charts.schedules import bound_chart

        names, bounds = [source, target], [convex_bound(old), convex_bound(new)]
        if source == target:
            names = [f"{source}, {total_steps} updates", f"{target}, {new_total} updates"]
        columns = [(name, [value]) for name, value in (("lr", result.peak_lr.value), ("factor", result.factor))]
        export(out, title="Transfer", chart=lambda: bound_chart(names, bounds), columns=columns, document=document)
    if as_json:
        print_json(document)
    else:
        show(document)


def shares_of(*runs: tuple[str, int]) -> list[NDArray[np.float64]]:
    """The shares of the peak rate at every update of each run, given by its schedule's text and its updates.

    Of long runs, samples that keep the ratio of their lengths, which is all that enters.
    """
    from lrscope.cli.schedule import MOST_STEPS, sampled_steps
    from lrscope.schedules.text import parse_schedule

    shortest = min(steps for _, steps in runs)
    whole = all(steps <= MOST_STEPS for _, steps in runs)
    rows = []
    for text, steps in runs:
        shares = parse_schedule(text, total_steps=steps)(
            sampled_steps(steps, None if whole else SAMPLED * steps // shortest)
        )
        if not shares.max() > 0:
            raise InvalidInput(f"A rate cannot be carried by '{text}': it is zero at every update of the run.")
        rows.append(shares)
    return rows


def show(document: dict[str, Any]) -> None:
    """Print the new rate, and how it lies to the old one."""
    rate = document["peak_lr"]
    stdout.print(
        f"Peak learning rate for {document['to']}: {rate['value']:.4g} (from {rate['low']:.4g} to {rate['high']:.4g})",
        markup=False,
    )
    stdout.print(
        f"×{document['factor']:.3f} of the rate tuned for {document['from']}; the bound is "
        f"×{document['relative_bound']:.3f}.",
        markup=False,
    )
