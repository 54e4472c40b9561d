"""How well a loss law, fitted on three runs, predicts the other runs of the same model: published pre-training curves.

    python benchmarks/forecast.py CURVES.csv [--triples N]

CURVES.csv has the columns model_M, schedule, step, lr, loss (Luo 2025, arXiv 2503.12811). First table: fitted on the
three runs that its authors used. Second: fitted on N other triples of the 24,000-step runs, with the coverage of the
80 % interval.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from itertools import combinations

import numpy as np

from lrscope.schedules.forecast import FittedLaw, ScheduledRun, fit_loss_law, scheduled_run
from lrscope.schedules.loss_law import LAWS

AUTHORS = ("cosine_24000", "constant_24000", "wsdcon_9")
Runs = dict[str, ScheduledRun]


def read(path: str) -> dict[str, Runs]:
    """Runs by model size and schedule."""
    rows: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    with open(path) as file:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves")
    parser.add_argument("--triples", type=int, default=9)
    options = parser.parse_args()
    sizes = read(options.curves)
    print(f"Fitted on {', '.join(AUTHORS)}; the other runs:")
    print(
        f"{'law':12} {'size':>5} {'mean of run MAEs':>17} {'worst run':>10} {'worst end':>10} {'inside':>7} "
        f"{'seconds':>8}"
    )
    for law in LAWS:
        for size, runs in sizes.items():
            begun = time.perf_counter()
            fitted = fit_loss_law([runs[name] for name in AUTHORS], law=law)
            seconds = time.perf_counter() - begun
            means, ends, inside = held_out_errors(fitted, runs)
            print(
                f"{law:12} {size + 'M':>5} {np.mean(means):17.4f} {max(means):10.4f} {max(ends, key=abs):+10.4f} "
                f"{sum(inside)}/{len(inside):<5} {seconds:8.2f}"
            )
    names = sorted(name for name in next(iter(sizes.values())) if not name.endswith("72000"))
    triples = list(combinations(names, 3))
    chosen = [triples[i] for i in np.linspace(0, len(triples) - 1, min(options.triples, len(triples))).astype(int)]
    for law in LAWS:
        found = [
            held_out_errors(fit_loss_law([runs[name] for name in triple], law=law), runs)
            for runs in sizes.values()
            for triple in chosen
        ]
        means = [float(np.mean(item[0])) for item in found]
        inside = [held for item in found for held in item[2]]
        print(
            f"{law}: {len(found)} fits on other triples: mean of run MAEs, median {np.median(means):.4f}, "
            f"90th percentile {np.quantile(means, 0.9):.4f}; 80 % interval at the end held {np.mean(inside):.2f} "
            f"of {len(inside)}"
        )


if __name__ == "__main__":
    main()
