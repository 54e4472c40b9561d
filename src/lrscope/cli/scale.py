"""`lrscope scale`: from anybody's sweep to the optima, how they move with the batch size, and the rate nobody ran."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table as RichTable

from lrscope.cli.output import print_json, stderr, stdout
from lrscope.errors import InvalidInput
from lrscope.numbers import format_number, format_size

if TYPE_CHECKING:
    from lrscope.estimate import Estimate
    from lrscope.scaling.steps_to_target import StepsLaw
    from lrscope.scaling.table import Curve, GroupScaling, Scaling

MOST_GROUPS = 12
"""So many groups are shown whole in the terminal; of the others, only the optima."""


def scale(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="A CSV, JSON or Parquet table of runs, a study, a folder of logs."),
    ],
    lr_column: Annotated[str | None, typer.Option(help="The column of peak learning rates, where not found.")] = None,
    batch_column: Annotated[str | None, typer.Option(help="The column of batch sizes, where not found.")] = None,
    loss_column: Annotated[str | None, typer.Option(help="The column of final losses, or of a metric.")] = None,
    maximize: Annotated[bool, typer.Option("--maximize", help="Higher is better in the loss column.")] = False,
    by: Annotated[
        str | None, typer.Option(help="Columns that split the runs into groups, like n_params,tokens; '' for none.")
    ] = None,
    predict: Annotated[str | None, typer.Option(help="Batch sizes to predict the rate at, like 1024,4096.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the page to this .html file.")] = None,
) -> None:
    """Find the best learning rate of each batch size in any sweep, and predict it for others."""
    from lrscope.cli.scale_input import read_table
    from lrscope.scaling.table import scale_runs, scale_steps

    if html is not None and html.suffix.lower() != ".html":
        raise InvalidInput(f"--html must name a file that ends in .html. Got '{html}'.")
    wanted = parse_batch_sizes(predict)
    names = None if by is None else [name.strip() for name in by.split(",") if name.strip()]
    read = read_table(table, lr=lr_column, batch=batch_column, loss=loss_column, maximize=maximize, by=names)
    if read.roles.to_target is not None:
        scaling = scale_steps(read.batch_sizes(), read.numbers(read.roles.to_target), read.groups)
    else:
        scaling = scale_runs(read.runs(), wanted)
    if html is not None:
        from lrscope.report.scale import write_scale_report

        path = write_scale_report(scaling, html, name=table.name, notes=read.notes)
        stderr.print(f"The page: {path}", markup=False, soft_wrap=True)
    if as_json:
        print_json(document(scaling, read.notes))
    else:
        show(scaling, read.notes)


def parse_batch_sizes(text: str | None) -> list[float]:
    """`1024,4096` as numbers.

    Raises:
        InvalidInput: something else, or a size that is not positive.
    """
    if text is None:
        return []
    try:
        sizes = [float(part) for part in text.split(",")]
    except ValueError:
        sizes = [math.nan]
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        raise InvalidInput(f"--predict must be positive batch sizes with commas, like 1024,4096. Got '{text}'.")
    return sizes


def document(scaling: Scaling, notes: Sequence[str]) -> dict[str, Any]:
    """The JSON document of the command; losses are in the units of the table's column."""
    return {
        "schema": "lrscope/scale/1",
        "metric": scaling.metric,
        "maximize": scaling.ceiling is not None,
        "covariates": list(scaling.covariates),
        "groups": [_group_json(scaling, group) for group in scaling.groups],
        "notes": list(notes),
    }


def _group_json(scaling: Scaling, group: GroupScaling) -> dict[str, Any]:
    entry = {
        "group": dict(group.group),
        "optima": [_optimum_json(scaling, curve) for curve in group.curves],
        "laws": [
            {
                "name": law.name,
                "formula": law.formula,
                "parameters": {name: value.to_json() for name, value in law.parameters.items()},
                "weight": law.weight,
            }
            for law in group.laws
        ],
        "predictions": [{"batch_size": _whole(size), "optimal_lr": lr.to_json()} for size, lr in group.predictions],
        "next_run": None
        if group.next_run is None
        else group.next_run.to_json() | {"batch_size": _whole(group.next_run.batch_size)},
        "notes": list(group.notes),
    }
    if group.steps_law is not None:
        entry["steps_law"] = _steps_json(group.steps_law)
    return entry


def _optimum_json(scaling: Scaling, curve: Curve) -> dict[str, Any]:
    from lrscope.report.extract.sweep import curve_points

    found = curve.u_curve
    return {
        "batch_size": _whole(curve.batch_size),
        "schedule": None,
        "status": found.status,
        "optimal_lr": _json(found.optimal_lr),
        "expected_loss": _json(scaling.estimate_in_units(found.expected_loss)),
        "initial_loss": None if found.initial_loss is None else scaling.in_units(found.initial_loss),
        "runs": curve.runs,
        "full_run_equivalents": float(curve.runs),
        "advice": found.advice,
        "curve": [
            {"lr": point.lr, "loss": scaling.in_units(point.loss), "regime": point.regime}
            for point in curve_points(curve)
        ],
    }


def _steps_json(law: StepsLaw) -> dict[str, Any]:
    sizes = map(_whole, law.batch_size)
    return {
        "formula": law.formula,
        "min_steps": law.min_steps.to_json(),
        "min_examples": law.min_examples.to_json(),
        "critical_batch_size": law.critical_batch_size.to_json(),
        "deviation": law.deviation,
        "points": [{"batch_size": size, "steps": steps} for size, steps in zip(sizes, law.steps, strict=True)],
    }


def _whole(size: float | None) -> float | None:
    """A batch size as JSON has it: a whole number without a point."""
    return int(size) if size is not None and float(size).is_integer() else size


def _json(estimate: Estimate | None) -> dict[str, float | None] | None:
    return None if estimate is None else estimate.to_json()


def show(scaling: Scaling, notes: Sequence[str]) -> None:
    """The answer for the terminal: per group the curves in one line each, the laws, the predictions, the next run."""
    from lrscope.report.extract.sweep import group_title

    for note in notes:
        stdout.print(note, style="dim", markup=False, highlight=False)
    for index, group in enumerate(scaling.groups):
        if group.group:
            stdout.print(f"\n[bold]{escape(group_title(group.group))}[/]", highlight=False)
        if group.steps_law is not None:
            _show_steps(group.steps_law)
        if group.curves:
            stdout.print(_curves_table(scaling, group))
            for curve in group.curves:
                if curve.u_curve.status != "found":
                    where = "" if curve.batch_size is None else f"Batch size {format_size(curve.batch_size)}: "
                    stdout.print(f"{where}{curve.u_curve.advice}", markup=False, highlight=False)
        if index < MOST_GROUPS:
            _show_laws(group)
    if len(scaling.groups) > MOST_GROUPS:
        stdout.print(
            f"\nLaws and predictions of {len(scaling.groups) - MOST_GROUPS} more groups: --json or --html FILE."
        )


def _curves_table(scaling: Scaling, group: GroupScaling) -> RichTable:
    from lrscope.report.sparkline import sparkline

    table = RichTable(box=None, pad_edge=False, collapse_padding=True)
    for name in ("batch size", "low … high", "optimal lr", "80 % interval", scaling.metric, "runs", "status"):
        table.add_column(escape(name), no_wrap=True)
    for curve in group.curves:
        found = curve.u_curve
        best = scaling.estimate_in_units(found.expected_loss)
        rates = [*found.lr, *found.diverged_lr]
        losses = [*found.loss, *[math.inf] * len(found.diverged_lr)]
        table.add_row(
            format_size(curve.batch_size),
            sparkline(rates, losses, initial_loss=found.initial_loss, width=min(24, len(rates))),
            "–" if found.optimal_lr is None else format_number(found.optimal_lr.value),
            "–" if found.optimal_lr is None else _interval(found.optimal_lr),
            "–" if best is None else f"{best.value:.4g}",
            str(curve.runs),
            found.status.replace("_", " "),
        )
    return table


def _show_laws(group: GroupScaling) -> None:
    ranked = [f"{law.name} {100 * law.weight:.0f} %" for law in group.laws if law.weight >= 0.01]
    if ranked:
        stdout.print(f"Laws: {', '.join(ranked)}.", markup=False, highlight=False)
    for size, lr in group.predictions:
        rate = f"{format_number(lr.value)} ({_interval(lr)})"
        stdout.print(f"At batch size {format_size(size)}: {rate}.", markup=False, highlight=False)
    for note in group.notes:
        stdout.print(note, markup=False, highlight=False)
    if group.next_run is not None:
        run = group.next_run
        where = "" if run.batch_size is None else f" at batch size {format_size(run.batch_size)}"
        stdout.print(f"Run next: {format_number(run.lr)}{where}. {run.why}", markup=False, highlight=False)


def _show_steps(law: StepsLaw) -> None:
    critical = law.critical_batch_size
    if critical.low is None and critical.high is None:
        stdout.print(f"{law.formula}. The critical batch size is open.", markup=False, highlight=False)
        return
    stdout.print(
        f"{law.formula}. Critical batch size {critical.value:.4g} ({_interval(critical)}): twice the least possible "
        f"steps, {law.min_steps.value:.4g}, and twice the least possible examples, {law.min_examples.value:.4g}.",
        markup=False,
        highlight=False,
    )


def _interval(estimate: Estimate) -> str:
    return " … ".join("?" if end is None else format_number(end) for end in (estimate.low, estimate.high))
