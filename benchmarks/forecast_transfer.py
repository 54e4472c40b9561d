"""How well the convex bound says where the best peak rate goes when the share of linear decay changes: real GPT runs.

    python benchmarks/forecast_transfer.py RUNS.csv

RUNS.csv has the columns n_layers, d_model, batch_tokens, tokens_total, matrix_lr, wd, warmdown_ratio, total_steps,
final_loss. In each cell (all but rate and warm-down equal) the best rate of each warm-down is a parabola's minimum in
log rate, where it lies inside the grid; the bound carries it from the cell's shortest warm-down to the others.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from lrscope.schedules.bound import transfer_peak_lr

RESULT = Path(__file__).parent / "results" / "forecast_transfer.md"


def best_rate(points: list[tuple[float, float]]) -> float | None:
    """The minimum of a parabola through the best rate of the grid and its neighbours; None at an edge."""
    by_rate: dict[float, list[float]] = defaultdict(list)
    for rate, value in points:
        by_rate[rate].append(value)
    points = sorted((rate, float(np.mean(values))) for rate, values in by_rate.items())
    loss = np.array([value for _, value in points])
    best = int(np.argmin(loss))
    if len(points) < 3 or best in (0, len(points) - 1):
        return None
    x = np.log([rate for rate, _ in points[best - 1 : best + 2]])
    a, b, _ = np.polyfit(x - x[1], loss[best - 1 : best + 2], 2)
    return float(np.exp(x[1] - b / (2 * a)))


def warmdown(share: float, steps: int = 2000) -> np.ndarray:
    return np.minimum(1.0, (steps - np.arange(steps)) / max(1.0, share * steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs")
    options = parser.parse_args()
    cells: dict[tuple[str, ...], dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    with open(options.runs, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = tuple(row[key] for key in ("n_layers", "d_model", "batch_tokens", "tokens_total", "wd"))
            cells[cell][float(row["warmdown_ratio"])].append((float(row["matrix_lr"]), float(row["final_loss"])))
    carried, unchanged, inside = [], [], []
    for by_share in cells.values():
        best = {share: rate for share, points in by_share.items() if (rate := best_rate(points)) is not None}
        if len(best) < 2:
            continue
        start = min(best)
        for share, rate in best.items():
            if share != start:
                result = transfer_peak_lr(best[start], warmdown(start), warmdown(share))
                carried.append(abs(np.log2(result.peak_lr.value / rate)))
                unchanged.append(abs(np.log2(best[start] / rate)))
                inside.append(rate in result.peak_lr)
    if not carried:
        raise SystemExit("No cell has its best rate inside the grid for two shares of decay.")
    text = "\n".join(
        [
            "# A tuned rate carried to another share of linear decay",
            "",
            "`python benchmarks/forecast_transfer.py RUNS.csv`: published GPT runs; the best rate of each cell's "
            "shortest decay, carried by the convex bound.",
            "",
            "| transfers | cells | carried: octaves off, median | left as it was | 80 % interval holds |",
            "|---|---|---|---|---|",
            f"| {len(carried)} | {len(cells)} | {np.median(carried):.2f} | {np.median(unchanged):.2f} "
            f"| {sum(inside)}/{len(inside)} |",
            "",
        ]
    )
    print(text)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
