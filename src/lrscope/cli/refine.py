"""`lrscope refine`: the schedule that a log's gradient norms ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lrscope.cli.output import print_json, stdout
from lrscope.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lrscope.curves.curve import Curve
    from lrscope.schedules.refine import Optimizer, Refinement


def refine(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A training log with gradient norms.")],
    run: Annotated[str | None, typer.Option(help="The run's name, where the log holds several.")] = None,
    optimizer: Annotated[str, typer.Option(help="auto, sgd (weights G^-2) or adam (G^-1).")] = "auto",
    window: Annotated[float, typer.Option(help="Share of the run that the running median spans.")] = 0.1,
    total_steps: Annotated[int | None, typer.Option(help="Updates of the run; default: the log's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write FILE.png, .svg, .html, .csv or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Refine a schedule from a run's gradient norms (Defazio 2023, arXiv 2310.07831)."""
    from lrscope.cli.export import check_suffix, export
    from lrscope.curves.readers import read_curves
    from lrscope.schedules.refine import refine_schedule

    check_suffix(out)
    curve = pick_run(read_curves(log), run, log)
    kind = resolve_optimizer(optimizer, curve)
    norms = curve.grad_norm_l1 if kind == "adam" and curve.grad_norm_l1 is not None else curve.grad_norm
    if norms is None:
        raise InvalidInput(f"The run '{curve.name}' of '{log}' has no gradient norms: log them as 'grad_norm'.")
    length = curve.total_steps if total_steps is None else total_steps
    if total_steps is None and length is not None and length <= int(curve.step[-1]):
        length = None  # the log goes on beyond what was planned
    result = refine_schedule(norms, step=curve.step, total_steps=length, optimizer=kind, window=window)
    notes = []
    if kind == "adam" and curve.grad_norm_l1 is None:
        notes.append(
            "Adam asks for the L1 norm of the gradients; the log has the L2 norm, which was used in its place."
        )
    document = describe(curve, result, notes)
    if out is not None:
        from lrscope.report.charts.schedules import refinement_chart

        export(
            out,
            title=f"Refined from {curve.name}",
            chart=lambda: refinement_chart(result, logged_shares(curve, result)),
            columns=[("step", result.step), ("share", result.rates)],
            document=document,
        )
    if as_json:
        print_json(document)
    else:
        show(document, result)


def logged_shares(curve: Curve, result: Refinement) -> NDArray[np.float64] | None:
    """The run's own rates at the refinement's steps, as shares of their peak; None where they were not logged."""
    import numpy as np

    known = np.zeros(0, dtype=bool) if curve.lr is None else np.isfinite(curve.lr)
    if curve.lr is None or not known.any() or curve.lr[known].max() <= 0:
        return None
    rates = np.interp(result.step, curve.step[known], curve.lr[known])
    return np.asarray(rates / curve.lr[known].max(), dtype=np.float64)


def pick_run(curves: list[Curve], run: str | None, log: Path) -> Curve:
    """The run called `run`, or the only one with gradient norms."""
    names = [curve.name for curve in curves]
    if run is not None:
        if run not in names:
            raise InvalidInput(f"There is no run '{run}' in '{log}'. It holds: {', '.join(names)}.")
        return curves[names.index(run)]
    usable = [curve for curve in curves if curve.grad_norm is not None or curve.grad_norm_l1 is not None]
    if len(usable) > 1:
        raise InvalidInput(f"'{log}' holds several runs, name one with --run: {', '.join(c.name for c in usable)}.")
    return (usable or curves)[0]


def resolve_optimizer(optimizer: str, curve: Curve) -> Optimizer:
    """Which weighting to use: as told, or by the log's own optimizer; SGD where nothing is known."""
    if optimizer == "auto":
        return "adam" if "adam" in (curve.optimizer or "").lower() else "sgd"
    known: dict[str, Optimizer] = {"sgd": "sgd", "adam": "adam"}
    if optimizer not in known:
        raise InvalidInput(f"--optimizer must be auto, sgd or adam. Got '{optimizer}'.")
    return known[optimizer]


def describe(curve: Curve, result: Refinement, notes: list[str]) -> dict[str, Any]:
    """The result as JSON has it."""
    return {
        "schema": "lrscope/refine/1",
        "run": curve.name,
        "optimizer": result.optimizer,
        "total_steps": result.total_steps,
        "warmup_share": result.warmup_share,
        "schedule": {"step": result.step, "share": result.rates},
        "notes": notes,
    }


def show(document: dict[str, Any], result: Refinement) -> None:
    """Print the picture and what it says."""
    from lrscope.cli.braille import braille_plot

    stdout.print(braille_plot([result.rates], width=max(20, min(96, stdout.width - 12))), end="")
    steps = round(result.warmup_share * result.total_steps)
    middle, late = (float(result.rates[int(share * (len(result.rates) - 1))]) for share in (0.5, 0.9))
    stdout.print(
        f"The gradient norms of {document['run']} ask for a warm-up of {steps} updates "
        f"({100 * result.warmup_share:.3g} % of the run), then {middle:.3f} of the peak at half time "
        f"and {late:.3f} at 90 %.",
        markup=False,
    )
    for note in document["notes"]:
        stdout.print(Text(f"! {note}", style="yellow"))
