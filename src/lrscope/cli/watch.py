"""`lrscope watch`: follow growing logs, and say when a verdict changes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from lrscope.cli.diagnose import STYLES, check_fail_on, document, judge, read_all
from lrscope.cli.output import print_json, stdout
from lrscope.errors import InvalidInput
from lrscope.report.sparkline import BARS, DIVERGED

if TYPE_CHECKING:
    from lrscope.curves.curve import Curve
    from lrscope.diagnosis.diagnose import Diagnosis


@dataclass
class _History:
    """When each run's verdict changed: name -> [(step, regime)]."""

    changes: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def note(self, curves: list[Curve], verdicts: list[Diagnosis]) -> None:
        for curve, verdict in zip(curves, verdicts, strict=True):
            seen = self.changes.setdefault(verdict.name, [])
            if not seen or seen[-1][1] != verdict.regime:
                seen.append((int(curve.step[-1]) if len(curve) else 0, verdict.regime))


def watch(
    path: Annotated[list[Path], typer.Argument(help="Growing logs, or folders of them.", metavar="PATH...")],
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON (implies --once).")] = False,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="End with exit code 3 as soon as a run's regime is this.")
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between looks.")] = 2.0,
) -> None:
    """Follow growing logs: the curves, the verdicts, and when they changed."""
    unwanted = check_fail_on(fail_on)
    if not every > 0:
        raise InvalidInput(f"--every must be a number of seconds > 0. Got {every}.")
    if once or as_json:
        curves = read_all(path)
        verdicts = judge(curves, False)
        if as_json:
            print_json(document(verdicts))
        else:
            history = _History()
            history.note(curves, verdicts)
            stdout.print(_view(curves, verdicts, history))
        if _failed(verdicts, unwanted):
            raise typer.Exit(3)
        return
    _follow(path, every, unwanted)


def _follow(paths: list[Path], every: float, unwanted: frozenset[str]) -> None:
    from rich.live import Live

    history, known = _History(), -1.0
    read_all(paths)  # what cannot be read at the start is said at once
    with Live(console=stdout, auto_refresh=False) as live:
        try:
            while True:
                stamp = _stamp(paths)
                if stamp != known:
                    known = stamp
                    try:
                        curves = read_all(paths)
                    except InvalidInput:
                        continue  # a log that is being replaced; the next look will find it
                    verdicts = judge(curves, False)
                    history.note(curves, verdicts)
                    live.update(_view(curves, verdicts, history), refresh=True)
                    if _failed(verdicts, unwanted):
                        raise typer.Exit(3)
                time.sleep(every)
        except KeyboardInterrupt:
            return


def _failed(verdicts: list[Diagnosis], unwanted: frozenset[str]) -> bool:
    return any(verdict.regime in unwanted for verdict in verdicts)


def _stamp(paths: list[Path]) -> float:
    """A number that changes when a file below the paths does."""
    total = 0.0
    for path in paths:
        for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
            try:
                about = file.stat()
            except OSError:
                continue
            total += about.st_mtime + about.st_size
    return total


def _view(curves: list[Curve], verdicts: list[Diagnosis], history: _History) -> RenderableType:
    parts: list[RenderableType] = []
    for curve, verdict in zip(curves, verdicts, strict=True):
        style = STYLES[verdict.regime]
        line = Text()
        line.append(f"{verdict.name}  ", style="bold")
        line.append(verdict.regime.replace("_", " "), style=style)
        probability = verdict.probabilities.get(verdict.regime)
        line.append(f" {100 * probability:.0f} %" if probability is not None else "", style="dim")
        step = int(curve.step[-1]) if len(curve) else 0
        line.append(f"   step {step}, loss {curve.loss[-1]:.4g}" if len(curve) else "", style="dim")
        parts.append(line)
        parts.append(Text("  " + bars(curve), style=style))
        changes = history.changes.get(verdict.name, [])
        if len(changes) > 1:
            told = ", ".join(f"{regime.replace('_', ' ')} from step {at}" for at, regime in changes)
            parts.append(Text(f"  {told}", style="dim"))
        parts += [Text(f"  · {item.says}", style="dim") for item in verdict.evidence[:2]]
        parts.append(Text(f"  → {verdict.advice}"))
    return Group(*parts)


def bars(curve: Curve, width: int = 60) -> str:
    """The loss as one line of bars, the mean of each column; × where it is not finite."""
    import numpy as np

    if len(curve) == 0:
        return ""
    columns = np.array_split(curve.loss, min(width, len(curve)))
    means = np.array([np.mean(column) if np.isfinite(column).all() else np.nan for column in columns])
    finite = np.isfinite(means)
    if not finite.any():
        return DIVERGED * len(means)
    low, high = float(means[finite].min()), float(np.quantile(means[finite], 0.98))
    level = np.clip((means - low) / (high - low if high > low else 1.0), 0.0, 1.0)
    return "".join(
        BARS[round(float(x) * (len(BARS) - 1))] if ok else DIVERGED for x, ok in zip(level, finite, strict=True)
    )
