"""Predict the learning rate nobody ran, on grids where somebody did, against fixed rules and single laws.

    LRSCOPE_SHARED=../shared python benchmarks/scaling.py

Reads the grids under $LRSCOPE_SHARED/data, prints the tables and writes them to benchmarks/results/scaling.md.
`--no-refit` leaves out the slowest part, in which the trend's own numbers are chosen anew without each held-out cell.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scaling_cases import (
    Case,
    Cells,
    Fits,
    excess_loss,
    language_models,
    own_optimum,
    own_tasks,
    plain_law,
    small_networks,
    splits,
    steps_to_target,
)

from lrscope.estimate import Estimate
from lrscope.scaling.batch_law import fit_batch_law, fit_group_laws, predict_optimal_lr
from lrscope.scaling.laws import LAWS
from lrscope.scaling.steps_to_target import fit_steps_to_target
from lrscope.scaling.table import Runs, scale_runs
from lrscope.scaling.trend import Habits
from lrscope.scaling.u_curve import fit_u_curve

RULES = {"keep the rate": 0.0, "scale by the root": 0.5, "scale in proportion": 1.0}
NATS, WHOLE_CELL_NATS = 0.005, 0.01
SHARE = 0.02  # of a cell's range of losses, for losses that are not in nats
AUTHORS_RATIO = {"85M": 2191, "151M": 3240, "302M": 5433}  # b/a of log steps = log(a + b/B), as published
HABITS_GRID = [
    Habits(slope=slope, margin=margin, decline=decline)
    for slope, margin, decline in itertools.product((0.6, 0.8, 1.0), (0.8, 1.2, 1.6), (0.0, 0.15, 0.3))
]
Tolerance = Callable[[Cells, Case], float]


def nats(cells: Cells, case: Case) -> float:
    """The tolerance for language models."""
    return NATS


def share_of_range(cells: Cells, case: Case) -> float:
    """2 % of what there is to gain in the cell: from the median over batch sizes of the worst run to the best run."""
    losses = [runs[:, 1] for runs in cells[case.cell].values()]
    return SHARE * float(np.median([loss.max() for loss in losses]) - min(loss.min() for loss in losses))


class Tally:
    """Hits of each method over cases, and whether intervals hold the cell's own optimum."""

    def __init__(self) -> None:
        self.cases = 0
        self.hits: dict[str, int] = defaultdict(int)
        self.held: list[bool] = []
        self.octaves: list[float] = []

    def add(self, name: str, lr: float, runs: np.ndarray, tolerance: float) -> None:
        """Count a method's rate."""
        self.hits[name] += excess_loss(runs, lr) <= tolerance

    def hold(self, predicted: Estimate, runs: np.ndarray) -> None:
        """Count an interval, where the cell shows its optimum."""
        own = own_optimum(runs)
        if own is not None:
            self.held.append(own in predicted)
            ends = (predicted.low or predicted.value / 16, predicted.high or predicted.value * 16)
            self.octaves.append(math.log2(ends[1] / ends[0]))

    def share(self, name: str) -> float:
        """Of the cases that a method hit."""
        return self.hits[name] / self.cases


def from_the_cell_alone(fits: Fits, fewest: int, tolerance: Tolerance) -> Tally:
    """Every case from its own cell, by lrscope, by each rule from the largest batch size used, by each law alone."""
    tally = Tally()
    for case in splits(fits.cells, fewest):
        runs, limit = fits.cells[case.cell][case.wanted], tolerance(fits.cells, case)
        known = fits.optima(case.cell, case.used)
        if not known:
            continue
        tally.cases += 1
        predicted = predict_optimal_lr(fits.laws(case), case.wanted)
        tally.add("lrscope", predicted.value, runs, limit)
        tally.hold(predicted, runs)
        size, curve = known[-1]
        best = fits.cells[case.cell][case.used[-1]]
        for name, power in RULES.items():
            tally.add(name, curve.optimal_lr.value * (case.wanted / size) ** power, runs, limit)
            from_run = best[int(np.argmin(best[:, 1])), 0] * (case.wanted / case.used[-1]) ** power
            tally.add(f"{name}, from the best run", from_run, runs, limit)
        sizes, optima = np.array([s for s, _ in known]), np.array([c.optimal_lr.value for _, c in known])
        for law in LAWS:
            tally.add(law.name, plain_law(law.name, sizes, optima, case.wanted), runs, limit)
    return tally


def refitted(fits: Fits, fewest: int, tolerance: Tolerance) -> tuple[float, int]:
    """The share of hits where the trend's numbers are chosen, for each cell, by the hits on the other cells."""
    cases = list(splits(fits.cells, fewest))
    hits = np.zeros((len(HABITS_GRID), len(cases)))
    for column, case in enumerate(cases):
        runs, limit = fits.cells[case.cell][case.wanted], tolerance(fits.cells, case)
        for row, habits in enumerate(HABITS_GRID):
            lr = predict_optimal_lr(fits.laws(case, habits), case.wanted).value
            hits[row, column] = excess_loss(runs, lr) <= limit
    found = 0.0
    for key in fits.cells:
        own = np.array([case.cell == key for case in cases])
        if own.any():
            found += hits[int(np.argmax(hits[:, ~own].sum(axis=1)))][own].sum()
    return found / len(cases), len(cases)


def company_of(fits: Fits, key: tuple, sizes: tuple[int, ...]) -> tuple:
    """The laws of one cell, of which these batch sizes were run (none: a cell nobody ran), in company of the others."""
    rows = [
        (other, size, curve.optimal_lr)
        for other in fits.cells
        for size, curve in (fits.optima(key, sizes) if other == key and sizes else fits.optima(other))
        if other != key or sizes
    ]
    laws = fit_group_laws(
        [size for _, size, _ in rows], [lr for _, _, lr in rows], [cell for cell, _, _ in rows], ["n_params", "tokens"]
    )
    return laws.at(key)


def in_company(fits: Fits, fewest: int) -> Tally:
    """Every case with the other cells, whole, as company."""
    tally, made = Tally(), {}
    for case in splits(fits.cells, fewest):
        if (case.cell, case.used) not in made:
            made[case.cell, case.used] = company_of(fits, case.cell, case.used)
        predicted = predict_optimal_lr(made[case.cell, case.used], case.wanted)
        runs = fits.cells[case.cell][case.wanted]
        tally.cases += 1
        tally.add("lrscope", predicted.value, runs, NATS)
        tally.hold(predicted, runs)
    return tally


def whole_cells(fits: Fits) -> Tally:
    """Every batch size of a cell from the other cells alone, beside StepLaw (arXiv 2503.04715)."""
    tally = Tally()
    for key, cell in fits.cells.items():
        laws = company_of(fits, key, ())
        parameters, tokens = (float(value) for value in key)
        for size, runs in cell.items():
            predicted = predict_optimal_lr(laws, size)
            tally.cases += 1
            tally.add("lrscope", predicted.value, runs, WHOLE_CELL_NATS)
            tally.add("StepLaw", 1.79 * parameters**-0.713 * tokens**0.307, runs, WHOLE_CELL_NATS)
            tally.hold(predicted, runs)
    return tally


def five_rates(cells: Cells, fewest: int, choose: Callable[[int, int], np.ndarray], draws: int) -> dict[str, float]:
    """Optima from five of a batch size's rates: how many lie within half an octave of that from all of them."""
    single = joint = count = 0
    for draw, cell in itertools.product(range(draws), cells.values()):
        full = {size: runs for size, runs in cell.items() if len(runs) >= fewest and own_optimum(runs)}
        curves = {size: fit_u_curve(*runs[choose(len(runs), draw)].T) for size, runs in full.items()}
        known = [(size, curve) for size, curve in curves.items() if curve.optimal_lr]
        if not known:
            continue
        rates = [curve.optimal_lr for _, curve in known]
        laws = fit_batch_law([size for size, _ in known], rates, curves=[curve for _, curve in known])
        for size, runs in full.items():
            own, alone = math.log2(own_optimum(runs) or 1.0), curves[size].optimal_lr
            count += 1
            single += alone is not None and abs(math.log2(alone.value) - own) <= 0.5
            joint += abs(math.log2(predict_optimal_lr(laws, size).value) - own) <= 0.5
    return {"n": count, "curve by curve": single / count, "through the laws": joint / count}


def evenly(count: int, draw: int) -> np.ndarray:
    """Five rates from end to end."""
    return np.unique(np.linspace(0, count - 1, 5).round().astype(int))


def randomly(count: int, draw: int) -> np.ndarray:
    """Any five."""
    return np.sort(np.random.default_rng(1000 * draw + count).choice(count, 5, replace=False))


def third_of_own_tasks(metric: str) -> Tally:
    """Dense grids of this project's tasks, none of which was looked at in the making: the largest of three batch sizes
    from the runs at the other two, as `lrscope scale` reads them; within 2 % of the gain."""
    tally = Tally()
    for columns in own_tasks().values():
        if not np.isfinite(columns[metric]).any():
            continue  # a task without validation data
        sizes = np.unique(columns["batch_size"])
        used, wanted = columns["batch_size"] < sizes[-1], columns["batch_size"] == sizes[-1]
        table = Runs(
            lr=columns["lr"][used], loss=columns[metric][used], batch_size=columns["batch_size"][used],
            seed=columns["seed"][used], initial_loss=columns[f"initial_{metric}"][used], by={},
        )  # fmt: skip
        (group,) = scale_runs(table, [float(sizes[-1])]).groups
        rates = np.unique(columns["lr"][wanted])
        losses = np.array([np.mean(columns[metric][wanted & (columns["lr"] == lr)]) for lr in rates])
        runs = np.column_stack([rates, losses])[np.isfinite(losses)]
        limit = SHARE * float(np.mean(columns[f"initial_{metric}"]) - runs[:, 1].min())
        predicted, nearest = group.predictions[0][1], group.curves[-1].u_curve.optimal_lr
        tally.cases += 1
        tally.add("lrscope", predicted.value, runs, limit)
        tally.hold(predicted, runs)
        for name, power in RULES.items():
            tally.add(name, nearest.value * (sizes[-1] / sizes[-2]) ** power, runs, limit)
    return tally


def planted(noise: float, rates: int, seeds: int) -> dict[str, float]:
    """Sweeps made to a known law, from 16 to 128: the prediction at 512, its error in octaves and its interval."""
    held, errors = [], []
    for seed, (law, theta) in itertools.product(range(seeds), (("linear", 0.0), ("square-root", 0.0), ("power", 0.3))):
        rng = np.random.default_rng(seed)
        shape = next(item for item in LAWS if item.name == law).shape
        truth = {size: -8 + float(shape(np.array([math.log2(size / 16)]), np.array([theta]))[0]) for size in (16, 512)}
        sizes, curves = (16, 32, 64, 128), []
        for size in sizes:
            best = -8 + float(shape(np.array([math.log2(size / 16)]), np.array([theta]))[0])
            x = np.round(best) + np.sort(rng.choice(np.arange(-4, 4), rates, replace=False)).astype(float)
            loss = 2 + 0.02 * (x - best) ** 2 + noise * rng.normal(size=rates)
            curves.append(fit_u_curve(2.0**x, np.where(x > best + 3, np.nan, loss)))
        known = [(size, curve) for size, curve in zip(sizes, curves, strict=True) if curve.optimal_lr]
        laws = fit_batch_law([s for s, _ in known], [c.optimal_lr for _, c in known], curves=[c for _, c in known])
        predicted = predict_optimal_lr(laws, 512)
        held.append(2 ** truth[512] in predicted)
        errors.append(abs(math.log2(predicted.value) - truth[512]))
    return {"n": len(held), "held": float(np.mean(held)), "error": float(np.median(errors))}


def alone_table(fits: Fits, title: str, tolerance: Tolerance, fewest: Iterable[int]) -> list[str]:
    """The table of predictions from the cell alone."""
    tallies = {count: from_the_cell_alone(fits, count, tolerance) for count in fewest}
    laws = [law.name for law in LAWS]
    rules = [name for rule in RULES for name in (rule, f"{rule}, from the best run")]
    lines = head(
        title, "batch sizes used | cases | lrscope | best rule | best single law | interval holds | octaves wide"
    )
    for count, tally in tallies.items():
        rule, law = max(rules, key=tally.share), max(laws, key=tally.share)
        lines.append(
            f"| {count} or more | {tally.cases} | **{tally.share('lrscope'):.2f}** | "
            f"{tally.share(rule):.2f} ({rule}) | "
            f"{tally.share(law):.2f} ({law}) | {np.mean(tally.held):.0%} of {len(tally.held)} | "
            f"{np.median(tally.octaves):.1f} |"
        )
    middle = tallies[2]
    listed = ", ".join(f"{name} {middle.share(name):.2f}" for name in [*RULES, *laws])
    return [*lines, "", f"Two batch sizes or more, each method: {listed}."]


def head(title: str, columns: str) -> list[str]:
    """A heading, and the head of a table."""
    return ["", f"### {title}", "", f"| {columns} |", "|" + "---|" * (columns.count("|") + 1)]


def report(refit: bool) -> str:
    """All tables."""
    llm, small = Fits(language_models()), Fits(small_networks())
    title = f"Language models, 4 to 8 times beyond, from the cell alone: within {NATS} nats"
    lines = alone_table(llm, title, nats, (1, 2, 3, 4))
    if refit:
        share, count = refitted(llm, 2, nats)
        lines += ["", f"With the trend's numbers chosen anew for each cell, on the others: {share:.2f} of {count}."]
    lines += alone_table(small, "Small networks, the same, within 2 % of the range", share_of_range, (1, 2, 3))
    lines += company_table(llm) + own_tasks_table() + five_rates_table(llm.cells) + steps_table() + planted_table()
    return "\n".join(lines)


def intervals(tally: Tally) -> str:
    """The last two cells of a row: how often the interval held, and how wide it was."""
    return f"{np.mean(tally.held):.0%} of {len(tally.held)} | {np.median(tally.octaves):.1f}"


def company_table(llm: Fits) -> list[str]:
    """Cells of several models together, and a cell that nobody ran, beside StepLaw."""
    lines = head(
        "Language models in company (`--by n_params,tokens`)",
        "asked for | cases | lrscope | StepLaw | interval holds | octaves wide",
    )
    asked = [(f"4 to 8 times beyond, {n} or more used: within {NATS} nats", in_company(llm, n)) for n in (1, 2, 3)]
    rows = [(name, tally, "–") for name, tally in asked]
    whole = whole_cells(llm)
    rows.append((f"a cell nobody ran: within {WHOLE_CELL_NATS} nats", whole, f"{whole.share('StepLaw'):.2f}"))
    return lines + [
        f"| {name} | {tally.cases} | **{tally.share('lrscope'):.2f}** | {theirs} | {intervals(tally)} |"
        for name, tally, theirs in rows
    ]


def own_tasks_table() -> list[str]:
    """The project's own tasks, beside the rules."""
    lines = head(
        "Tasks of this project: the largest of three batch sizes from the other two, within 2 % of the gain",
        f"metric | tasks | lrscope | {' | '.join(RULES)} | interval holds | octaves wide",
    )
    for metric in ("train_loss", "val_loss"):
        tally = third_of_own_tasks(metric)
        shares = " | ".join(f"{tally.share(name):.2f}" for name in RULES)
        lines.append(f"| {metric} | {tally.cases} | **{tally.share('lrscope'):.2f}** | {shares} | {intervals(tally)} |")
    return lines


def five_rates_table(cells: Cells) -> list[str]:
    """What five of a grid's rates tell of its optimum."""
    lines = head(
        "Five of a batch size's rates: optimum within half an octave of that from all",
        "rates of the grid | which five | optima | curve by curve | through the laws",
    )
    choices = (("evenly spaced", evenly, 1), ("any five, 10 draws", randomly, 10))
    for fewest, (name, choose, draws) in itertools.product((12, 9), choices):
        found = five_rates(cells, fewest, choose, draws)
        lines.append(
            f"| {fewest} or more | {name} | {found['n']} | {found['curve by curve']:.2f} | "
            f"{found['through the laws']:.2f} |"
        )
    return lines


def steps_table() -> list[str]:
    """The critical batch size from steps to a target, beside what the authors of the runs give."""
    lines = head(
        "Steps to a target: E_min/S_min against the ratio that its authors give",
        "model | lrscope | 80 % interval | authors | off by",
    )
    for model, points in steps_to_target().items():
        found = fit_steps_to_target(points[:, 0], points[:, 1]).critical_batch_size
        authors = AUTHORS_RATIO[model]
        lines.append(
            f"| {model} | {found.value:.0f} | {found.low:.0f} to {found.high:.0f} | {authors} | "
            f"{abs(found.value / authors - 1):.2%} |"
        )
    return lines


def planted_table() -> list[str]:
    """Sweeps whose law is known."""
    lines = head(
        "Planted sweeps: linear, square-root and power laws from 16 to 128, predicted at 512",
        "noise, in octave excesses | rates a batch size | sweeps | median error, octaves | interval holds",
    )
    for noise, rates in itertools.product((0.0, 0.004, 0.01), (4, 6)):
        made = planted(noise, rates, 30)
        lines.append(f"| {noise / 0.02:.1f} | {rates} | {made['n']} | {made['error']:.2f} | {made['held']:.0%} |")
    return lines


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-refit", action="store_true", help="leave out the refitted trend")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scaling.md")
    arguments = parser.parse_args()
    started = time.perf_counter()
    tables = report(not arguments.no_refit)
    print(tables)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    opening = (
        "# The learning rate nobody ran\n\n"
        f"`python benchmarks/scaling.py`, {time.perf_counter() - started:.0f} s on {machine}, NumPy {np.__version__}.\n"
        "Shares of cases; a hit is a rate whose loss, linear between the runs of the grid, exceeds their least by no\n"
        "more than is said. Intervals are meant to hold the optimum 80 % of the time; the optimum is the vertex of a\n"
        "parabola through five runs. Rules start from the fitted optimum (or the best run) of the largest batch size\n"
        "used; single laws are fitted to the same optima by least squares.\n"
    )
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(opening + tables + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
