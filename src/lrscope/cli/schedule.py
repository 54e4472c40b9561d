"""`lrscope schedule`: draw, tabulate, compare and check schedules."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from lrscope.cli.output import print_json, stdout
from lrscope.errors import InvalidInput
from lrscope.numbers import format_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lrscope.schedules.schedule import Schedule

MOST_STEPS = 200_000
"""Steps that are looked at; a longer run is sampled evenly (but for a CSV, which has every step)."""


def schedule(
    text: Annotated[list[str], typer.Argument(help='Schedules, e.g. "warmup(5%) -> cosine".', metavar="TEXT...")],
    total_steps: Annotated[int | None, typer.Option(help="Updates of the whole run.")] = None,
    peak_lr: Annotated[float | None, typer.Option(help="The peak learning rate; without it shares are shown.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Length of the run, in place of --total-steps.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Length of the run, in place of --total-steps.")] = None,
    examples: Annotated[int | None, typer.Option(help="Training examples in an epoch.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples of a batch.")] = None,
    accumulation_steps: Annotated[int, typer.Option(help="Batches of one update.")] = 1,
    sequence_length: Annotated[int | None, typer.Option(help="Tokens of an example.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write FILE.png, .svg, .html, .csv or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Preview schedules: the picture, the rates, what is wrong with them, and how theory ranks them."""
    import numpy as np

    from lrscope.cli.export import check_suffix, export

    check_suffix(out)
    from lrscope.schedules.plan import Plan
    from lrscope.schedules.text import parse_schedule

    plan = Plan(
        examples=examples,
        batch_size=batch_size,
        accumulation_steps=accumulation_steps,
        sequence_length=sequence_length,
        total_steps=total_steps,
        epochs=epochs,
        tokens=tokens,
    )
    if plan.run_steps is None:
        raise InvalidInput("The run has no length: give --total-steps, or --epochs or --tokens with what they need.")
    total_steps = plan.run_steps
    check_run(total_steps, peak_lr)
    schedules = [parse_schedule(item, total_steps=total_steps, plan=plan) for item in text]
    exact = out is not None and out.suffix.lower() == ".csv"
    steps = sampled_steps(total_steps, None if exact else MOST_STEPS)
    shares = [np.asarray(item(steps), dtype=np.float64) for item in schedules]
    scale = 1.0 if peak_lr is None else peak_lr
    document = describe(text, schedules, steps, shares, total_steps, peak_lr)
    if out is not None:
        names = ["lr"] if len(text) == 1 else list(text)
        columns = [("step", steps), *((name, scale * share) for name, share in zip(names, shares, strict=True))]
        export(
            out,
            title="Schedules",
            chart=lambda: picture(text, steps, shares, peak_lr),
            columns=columns,
            document=document,
            subtitle=f"The learning rate over {total_steps:,} updates.",
            table=summary(document),
            remarks=remarks(document),
        )
    if as_json:
        print_json(document)
    else:
        show(document, [scale * share for share in shares])


def check_run(total_steps: int, peak_lr: float | None) -> None:
    """Refuse a run of no length, or a peak rate that is none."""
    if total_steps < 1:
        raise InvalidInput(f"--total-steps must be >= 1. Got {total_steps}.")
    if peak_lr is not None and not 0 < peak_lr < float("inf"):
        raise InvalidInput(f"The peak learning rate must be a number > 0. Got {peak_lr}.")


def sampled_steps(total_steps: int, most: int | None = MOST_STEPS) -> NDArray[np.int64]:
    """All steps of a run, or `most` of them spread evenly, the first and the last included."""
    import numpy as np

    if most is None or total_steps <= most:
        return np.arange(total_steps)
    return np.linspace(0, total_steps - 1, most).round().astype(np.int64)


def picture(text: list[str], steps: NDArray[np.int64], shares: list[NDArray[np.float64]], peak_lr: float | None) -> Any:
    """The chart of the schedules."""
    from lrscope.report.charts.schedules import schedule_chart

    return schedule_chart(text, steps, shares, peak_lr=peak_lr)


def describe(
    text: list[str],
    schedules: list[Schedule],
    steps: NDArray[np.int64],
    shares: list[NDArray[np.float64]],
    total_steps: int,
    peak_lr: float | None,
) -> dict[str, Any]:
    """The result as JSON has it."""
    from lrscope.schedules.bound import rank_schedules

    scale = 1.0 if peak_lr is None else peak_lr
    shown = sampled_steps(len(steps), 200)
    entries = [
        {
            "text": given,
            "resolved": str(item),
            "json": item.to_json(),
            "first_lr": scale * share[0],
            "highest_lr": scale * share.max(),
            "last_lr": scale * share[-1],
            "mean_share": share.mean(),
            "curve": {"step": steps[shown], "lr": scale * share[shown]},
            "findings": findings(item, total_steps),
        }
        for given, item, share in zip(text, schedules, shares, strict=True)
    ]
    usable = [i for i, share in enumerate(shares) if share.max() > 0 and share.min() >= 0]
    ranking = rank_schedules([text[i] for i in usable], [shares[i] for i in usable]) if usable else ()
    return {
        "schema": "lrscope/schedule/1",
        "total_steps": total_steps,
        "peak_lr": peak_lr,
        "schedules": entries,
        "ranking": [
            {"text": place.name, "relative_bound": place.relative_bound, "relative_peak_lr": place.relative_peak_lr}
            for place in ranking
        ],
    }


def findings(item: Schedule, total_steps: int) -> list[dict[str, Any]]:
    """What the checks find, each finding's fields as plain values."""
    from lrscope.schedules.check import check_schedule

    return [dataclasses.asdict(found) for found in check_schedule(item, total_steps)]


def summary(document: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: each schedule's rates, and its place by the convex bound where there are several."""
    heads = ["schedule", "first", "highest", "last", "mean share"]
    keys = ("first_lr", "highest_lr", "last_lr", "mean_share")
    rows = [[entry["text"], *(format_number(float(entry[key])) for key in keys)] for entry in document["schedules"]]
    places = {place["text"]: place for place in document["ranking"]}
    if len(places) > 1:
        heads += ["convex bound", "best peak rate"]
        for row in rows:
            place = places.get(row[0])
            row += ["–"] * 2 if place is None else [f"×{place[k]:.3g}" for k in ("relative_bound", "relative_peak_lr")]
    return heads, rows


def remarks(document: dict[str, Any]) -> list[str]:
    """What the checks find, with the schedule that it is of."""
    return [f"{entry['text']}: {found['message']}" for entry in document["schedules"] for found in entry["findings"]]


def show(document: dict[str, Any], rates: list[NDArray[np.float64]]) -> None:
    """Print the picture, the rates and the findings."""
    from lrscope.cli.braille import COLORS, braille_plot

    stdout.print(braille_plot(rates, width=max(20, min(96, stdout.width - 12))), end="")
    table = Table(box=None)
    heads, rows = summary(document)
    for name in heads[:5]:
        table.add_column(name, justify="left" if name == "schedule" else "right", overflow="fold")
    for index, (name, *numbers) in enumerate(rows):
        title = Text("━ ", style=COLORS[index % len(COLORS)]).append(name, style="default")
        table.add_row(title, *numbers[:4])
    stdout.print(table)
    for remark in remarks(document):
        stdout.print(Text(f"! {remark}", style="yellow"))
    if len(document["ranking"]) > 1:
        ranks = Table("by the convex bound", "bound", "best peak rate", box=None)
        for place in document["ranking"]:
            ranks.add_row(Text(place["text"]), f"×{place['relative_bound']:.3f}", f"×{place['relative_peak_lr']:.2f}")
        stdout.print(ranks)
