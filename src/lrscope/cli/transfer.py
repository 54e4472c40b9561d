"""`lrscope transfer`: a tuned peak learning rate carried from one schedule to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrscope.cli.output import print_json, stdout
from lrscope.errors import InvalidInput


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
    from lrscope.cli.schedule import check_run, sampled_steps
    from lrscope.schedules.bound import convex_bound, transfer_peak_lr
    from lrscope.schedules.text import parse_schedule

    check_suffix(out)
    check_run(total_steps, lr)
    new_total = total_steps if to_total_steps is None else to_total_steps
    check_run(new_total, None)
    old = parse_schedule(source, total_steps=total_steps)(sampled_steps(total_steps))
    new = parse_schedule(target, total_steps=new_total)(sampled_steps(new_total))
    if len(old) != total_steps or len(new) != new_total:  # sampled: the lengths enter through their ratio alone
        shortest = min(total_steps, new_total)
        old = parse_schedule(source, total_steps=total_steps)(
            sampled_steps(total_steps, 20_000 * total_steps // shortest)
        )
        new = parse_schedule(target, total_steps=new_total)(sampled_steps(new_total, 20_000 * new_total // shortest))
    for text, shares in ((source, old), (target, new)):
        if not shares.max() > 0:
            raise InvalidInput(f"A rate cannot be carried by '{text}': it is zero at every update of the run.")
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
        return
    low, high = result.peak_lr.low, result.peak_lr.high
    stdout.print(
        f"Peak learning rate for {target}: {result.peak_lr.value:.4g} (from {low:.4g} to {high:.4g})", markup=False
    )
    stdout.print(
        f"×{result.factor:.3f} of the rate tuned for {source}; the bound is ×{result.relative_bound:.3f}.", markup=False
    )
