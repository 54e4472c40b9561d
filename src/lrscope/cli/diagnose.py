"""`lrscope diagnose`: is the learning rate of these runs right, by what factor not, and how do you know?"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lrscope.cli.output import print_json, stderr, stdout
from lrscope.errors import InvalidInput

if TYPE_CHECKING:
    from lrscope.curves.curve import Curve
    from lrscope.diagnosis.diagnose import Diagnosis

VERDICTS = ("very_high", "high", "good", "low", "inconclusive")
STYLES = {"very_high": "bold red", "high": "dark_orange", "good": "green", "low": "blue", "inconclusive": "dim"}
PICTURES = (".html", ".png", ".svg")

LOGS = "Logs or folders of logs: TensorBoard, W&B, MLflow, Optuna, CSV, JSON, text as scripts print it, a study."


def diagnose(
    path: Annotated[list[Path], typer.Argument(help=LOGS, metavar="PATH...")],
    compare: Annotated[bool, typer.Option("--compare", help="Read runs that differ by rate together.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the page FILE.html; .png and .svg give the picture.")] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 3 where a run's regime is this; may be repeated.")
    ] = None,
) -> None:
    """Judge the learning rate of training runs from their logs."""
    unwanted = check_fail_on(fail_on)
    if html is not None and html.suffix.lower() not in PICTURES:
        raise InvalidInput(f"--html must name a file that ends in .html, .png or .svg. Got '{html}'.")
    curves = read_all(path)
    verdicts = judge(curves, compare)
    if html is not None:
        _write_picture(curves, verdicts, html)
    if as_json:
        print_json(document(verdicts))
    else:
        for curve, verdict in zip(curves, verdicts, strict=True):
            _show(curve, verdict)
        if len(verdicts) > 1:
            stdout.print(_summary(verdicts))
    if any(verdict.regime in unwanted for verdict in verdicts):
        raise typer.Exit(3)


def check_fail_on(names: list[str] | None) -> frozenset[str]:
    """The regimes that fail the command; several may be given in one, separated by commas."""
    chosen = [name.strip() for item in names or () for name in item.split(",")]
    for name in chosen:
        if name not in VERDICTS:
            raise InvalidInput(f"--fail-on takes one of {', '.join(VERDICTS)}. Got '{name}'.")
    return frozenset(chosen)


def read_all(paths: list[Path]) -> list[Curve]:
    """The curves of all paths; names that occur in several are preceded by their path."""
    from lrscope.curves.readers import read_curves

    found = [(path, curve) for path in paths for curve in read_curves(path)]
    times = Counter(curve.name for _, curve in found)
    return [curve if times[curve.name] == 1 else replace(curve, name=f"{path}/{curve.name}") for path, curve in found]


def judge(curves: list[Curve], together: bool) -> list[Diagnosis]:
    """The verdicts, singly or together."""
    from lrscope.diagnosis.compare import compare
    from lrscope.diagnosis.diagnose import diagnose_all

    return compare(curves) if together else diagnose_all(curves)


def document(verdicts: list[Diagnosis]) -> dict[str, object]:
    """The JSON document of the command."""
    return {"schema": "lrscope/diagnosis/1", "runs": [verdict.to_json() for verdict in verdicts]}


def _write_picture(curves: list[Curve], verdicts: list[Diagnosis], path: Path) -> None:
    from lrscope.report.diagnosis import write_diagnosis

    stderr.print(f"Written: {write_diagnosis(curves, verdicts, path)}", highlight=False)


def _show(curve: Curve, verdict: Diagnosis) -> None:
    style = STYLES[verdict.regime]
    probability = verdict.probabilities.get(verdict.regime)
    sure = f" ({100 * probability:.0f} %)" if probability is not None else ""
    stdout.print(
        f"[bold]{_safe(verdict.name)}[/]  [{style}]{verdict.regime.replace('_', ' ')}[/]{sure}", highlight=False
    )
    for item in verdict.evidence:
        stdout.print(f"  · {item.says}", highlight=False, markup=False)
    stdout.print(f"  → {verdict.advice}", highlight=False, markup=False)
    for note in curve.notes:
        stdout.print(f"  note: {note}", style="dim", highlight=False, markup=False)
    stdout.print()


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _summary(verdicts: list[Diagnosis]) -> Table:
    from lrscope.diagnosis.advice import factor_text

    table = Table("run", "regime", "probability", "learning rate", box=None, header_style="dim")
    for verdict in verdicts:
        probability = verdict.probabilities.get(verdict.regime)
        change = "keep" if verdict.regime == "good" else factor_text(verdict.lr_factor)
        table.add_row(
            _safe(verdict.name),
            f"[{STYLES[verdict.regime]}]{verdict.regime.replace('_', ' ')}[/]",
            "" if probability is None else f"{100 * probability:.0f} %",
            "" if verdict.regime == "inconclusive" else change,
        )
    return table
