"""How well a loss law, fitted on three runs, predicts the other runs of the same model: published pre-training curves.

    python benchmarks/forecast.py CURVES.csv [--triples N]

CURVES.csv has the columns model_M, schedule, step, lr, loss (Luo 2025, arXiv 2503.12811). First table: fitted on the
three runs that its authors used. Second: fitted on N other triples of the 24,000-step runs, with the coverage of the
80 % interval. Writes both to benchmarks/results/forecast.md.
"""

from __future__ import annotations

import argparse
import csv
import platform
import time
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import scipy

from lrscope.schedules.forecast import FittedLaw, ScheduledRun, fit_loss_law, scheduled_run

RESULT = Path(__file__).parent / "results" / "forecast.md"
CHOICES: tuple[Literal["both", "multi_power", "annealing"], ...] = ("both", "multi_power", "annealing")
AUTHORS = ("cosine_24000", "constant_24000", "wsdcon_9")
Runs = dict[str, ScheduledRun]


def read(path: str) -> dict[str, Runs]:
    """Runs by model size and schedule."""
    rows: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["model_M"], row["schedule"]].append([float(row[key]) for key in ("step", "lr", "loss")])
    sizes: dict[str, Runs] = defaultdict(dict)
    for (size, schedule), points in rows.items():
        sizes[size][schedule] = scheduled_run(schedule, *np.array(points).T)
    return sizes


def held_out_errors(fitted: FittedLaw, runs: Runs) -> tuple[list[float], list[float], list[bool]]:
    """Of each run not fitted: mean absolute error, error at the end, and whether the interval held there."""
    means, ends, inside = [], [], []
    for name, run in runs.items():
        if name not in fitted.runs:
            ahead = fitted.predict(run.step, run.lr)
            means.append(float(np.mean(np.abs(ahead.loss - run.loss))))
            ends.append(float(ahead.loss[-1] - run.loss[-1]))
            inside.append(run.loss[-1] in ahead.final)
    return means, ends, inside


def on_the_authors_runs(sizes: dict[str, Runs]) -> list[str]:
    """One line per law and model size: fitted on the three runs that the law's authors used."""
    lines = []
    for law in CHOICES:
        for size, runs in sizes.items():
            begun = time.perf_counter()
            fitted = fit_loss_law([runs[name] for name in AUTHORS], law=law)
            seconds = time.perf_counter() - begun
            means, ends, inside = held_out_errors(fitted, runs)
            lines.append(
                f"| {law} | {size}M | {np.mean(means):.4f} | {max(means):.4f} | {max(ends, key=abs):+.4f} "
                f"| {sum(inside)}/{len(inside)} | {seconds:.1f} |"
            )
    return lines


def on_other_triples(sizes: dict[str, Runs], count: int) -> list[str]:
    """One line per law: fitted on other triples of the short runs, every other run predicted."""
    names = sorted(name for name in next(iter(sizes.values())) if not name.endswith("72000"))
    triples = [triple for triple in combinations(names, 3) if set(triple) != set(AUTHORS)]
    chosen = [triples[i] for i in np.linspace(0, len(triples) - 1, min(count, len(triples))).astype(int)]
    lines = []
    for law in CHOICES:
        found = [
            held_out_errors(fit_loss_law([runs[name] for name in triple], law=law), runs)
            for runs in sizes.values()
            for triple in chosen
        ]
        means = np.array([np.mean(item[0]) for item in found])
        inside = [held for item in found for held in item[2]]
        lines.append(
            f"| {law} | {len(found)} | {np.median(means):.4f} | {np.quantile(means, 0.9):.4f} | {means.max():.4f} "
            f"| {np.mean(means <= 0.005):.2f} | {np.mean(inside):.2f} of {len(inside)} |"
        )
    return lines


def main() -> None:
    """Runs everything and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves")
    parser.add_argument("--triples", type=int, default=34)
    options = parser.parse_args()
    sizes = read(options.curves)
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    text = "\n".join(
        [
            "# The loss of schedules that were not learnt from",
            "",
            f"`python benchmarks/forecast.py CURVES.csv --triples {options.triples}`: published pre-training curves "
            f"of three model sizes, nine schedules each (arXiv 2503.12811), {versions}. Errors in nats.",
            "",
            f"Learnt from {', '.join(AUTHORS)}; the other six runs:",
            "",
            "| law | model | mean of run MAEs | worst run | worst error at the end | 80 % interval holds | seconds |",
            "|---|---|---|---|---|---|---|",
            *on_the_authors_runs(sizes),
            "",
            "Learnt from other triples of the runs of 24,000 steps; all other runs:",
            "",
            "| law | fits | mean MAE, median | 90th percentile | worst | share ≤ 0.005 | 80 % interval holds |",
            "|---|---|---|---|---|---|---|",
            *on_other_triples(sizes, options.triples),
            "",
        ]
    )
    print(text)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
