"""`lrscope forecast`: the loss of a schedule that nobody ran, from a few runs' logs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from lrscope.cli.output import print_json, stderr, stdout
from lrscope.errors import InvalidInput

CHOICES: tuple[Literal["both", "multi_power", "annealing"], ...] = ("both", "multi_power", "annealing")

if TYPE_CHECKING:
    from lrscope.curves.curve import Curve
    from lrscope.schedules.forecast import FittedLaw, LossForecast, ScheduledRun


def forecast(
    log: Annotated[
        list[Path],
        typer.Argument(metavar="LOG...", help="Logs with learning rate and loss, of runs that differ in schedule."),
    ],
    schedule: Annotated[str, typer.Option(help='The schedule to forecast, e.g. "warmup(5%) -> cosine".')],
    total_steps: Annotated[int | None, typer.Option(help="Updates of its run; default: the longest log's.")] = None,
    peak_lr: Annotated[float | None, typer.Option(help="Its peak learning rate; default: the logs' highest.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Learn from runs of this name (with *); may be repeated.")
    ] = None,
    held_out: Annotated[list[str] | None, typer.Option(help="Keep runs of this name out, and score them.")] = None,
    law: Annotated[str, typer.Option(help="multi_power, annealing, or both and their weighted mean.")] = "both",
    seed: Annotated[int, typer.Option(help="Seed of the fit's random starts.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write FILE.png, .svg, .html, .csv or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Forecast the loss of a schedule that nobody ran, from a few runs of the same job."""
    from lrscope.cli.export import check_suffix, export
    from lrscope.cli.schedule import check_run, sampled_steps
    from lrscope.schedules.forecast import fit_loss_law
    from lrscope.schedules.text import parse_schedule

    check_suffix(out)
    name = next((known for known in CHOICES if known == law), None)
    if name is None:
        raise InvalidInput(f"--law must be one of {', '.join(CHOICES)}. Got '{law}'.")
    runs, others = split_runs(read_runs(log), only or [], held_out or [])
    total = max(length_of(run) for run in runs) if total_steps is None else total_steps
    peak = max(float(run.lr.max()) for run in runs) if peak_lr is None else peak_lr
    check_run(total, peak)
    planned = parse_schedule(schedule, total_steps=total)
    with stderr.status("Fitting the laws to the runs …"):
        fitted = fit_loss_law(runs, law=name, random_seed=seed)
    steps = sampled_steps(total, 4_000)
    ahead = fitted.predict(steps, peak * planned(steps))
    document = describe(fitted, ahead, others) | {"schedule": schedule, "total_steps": total, "peak_lr": peak}
    if out is not None:
        from lrscope.report.charts.schedules import forecast_chart

        columns = [("step", ahead.step), ("loss", ahead.loss), ("low", ahead.low), ("high", ahead.high)]
        export(
            out,
            title="Forecast",
            chart=lambda: forecast_chart(ahead, schedule, runs),
            columns=columns,
            document=document,
        )
    if as_json:
        print_json(document)
    else:
        show(document)


def read_runs(logs: list[Path]) -> list[ScheduledRun]:
    """All runs of the logs that have learning rates."""
    from lrscope.curves.readers import read_curves

    curves = [curve for log in logs for curve in read_curves(log)]
    usable = [curve for curve in curves if curve.lr is not None]
    if not usable:
        raise InvalidInput("None of the logs has learning rates: a forecast needs a column 'lr' beside the loss.")
    return [to_run(curve) for curve in usable]


def to_run(curve: Curve) -> ScheduledRun:
    """A curve as a run to learn from: its training loss, or its validation loss where it has no other."""
    import numpy as np

    from lrscope.schedules.forecast import scheduled_run

    lr = np.asarray(curve.lr)
    if not np.isfinite(curve.loss).any() and curve.val_step is not None and curve.val_loss is not None:
        known = np.isfinite(lr)
        return scheduled_run(
            curve.name, curve.val_step, np.interp(curve.val_step, curve.step[known], lr[known]), curve.val_loss
        )
    return scheduled_run(curve.name, curve.step, lr, curve.loss)


def split_runs(
    runs: list[ScheduledRun], only: list[str], held_out: list[str]
) -> tuple[list[ScheduledRun], list[ScheduledRun]]:
    """The runs to learn from, and those kept out to score the forecast."""
    out = [run for run in runs if any(fnmatchcase(run.name, pattern) for pattern in held_out)]
    rest = [run for run in runs if run not in out]
    kept = [run for run in rest if not only or any(fnmatchcase(run.name, pattern) for pattern in only)]
    if not kept:
        raise InvalidInput(f"No run is left to learn from. The logs hold: {', '.join(run.name for run in runs)}.")
    if held_out and not out:
        raise InvalidInput(
            f"No run is called {', '.join(held_out)}. The logs hold: {', '.join(run.name for run in runs)}."
        )
    return kept, out


def length_of(run: ScheduledRun) -> int:
    """The number of updates of a run: one spacing of its log past its last point."""
    return int(run.step[-1] + max(1.0, run.step[-1] - run.step[-2]))


def describe(fitted: FittedLaw, ahead: LossForecast, others: list[ScheduledRun]) -> dict[str, Any]:
    """The result as JSON has it."""
    import numpy as np

    shown = np.unique(np.linspace(0, ahead.step.size - 1, min(400, ahead.step.size)).round().astype(int))
    return {
        "schema": "lrscope/forecast/1",
        "final": ahead.final.to_json(),
        "law": {
            "name": fitted.name,
            "formulas": {fit.law.name: fit.law.formula for fit in fitted.fits},
            "sources": {fit.law.name: fit.law.source for fit in fitted.fits},
            "weights": {fit.law.name: weight for fit, weight in zip(fitted.fits, fitted.weights, strict=True)},
            "parameters": fitted.parameters,
            "fit_error": fitted.fit_error,
            "transfer_error": fitted.transfer_error,
            "runs": list(fitted.runs),
        },
        "curve": {name: getattr(ahead, name)[shown] for name in ("step", "loss", "low", "high")},
        "held_out": [score(fitted, run) for run in others],
        "notes": list(fitted.notes),
    }


def score(fitted: FittedLaw, run: ScheduledRun) -> dict[str, Any]:
    """How far the forecast of a run that was kept out lies from its loss."""
    import numpy as np

    from lrscope.schedules.rate_history import warmup_end

    first = warmup_end(run.lr)
    found = fitted.predict(run.step, run.lr, run.step[first:])
    error = found.loss - run.loss[first:]
    return {"name": run.name, "mean_absolute_error": float(np.mean(np.abs(error))), "final_error": float(error[-1])}


def show(document: dict[str, Any]) -> None:
    """Print the forecast, the law behind it and how far to trust it."""
    final, law = document["final"], document["law"]
    stdout.print(
        f"Final loss under {document['schedule']}, {document['total_steps']} updates at peak "
        f"{document['peak_lr']:.4g}: {final['value']:.4f} (80 %: {final['low']:.4f} to {final['high']:.4f})",
        markup=False,
        highlight=False,
    )
    stdout.print(
        f"{' and '.join(name.replace('_', '-') for name in law['weights'])} law ({'; '.join(law['sources'].values())}) "
        f"on {', '.join(law['runs'])}: mean fit error {law['fit_error']:.4f}",
        markup=False,
        highlight=False,
    )
    if document["held_out"]:
        table = Table("kept out", "mean absolute error", "error at the end", box=None)
        for entry in document["held_out"]:
            table.add_row(Text(entry["name"]), f"{entry['mean_absolute_error']:.4f}", f"{entry['final_error']:+.4f}")
        stdout.print(table)
    for note in document["notes"]:
        stdout.print(Text(f"! {note}", style="yellow"))
