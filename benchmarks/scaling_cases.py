"""Sweeps over learning rate and batch size, the splits of them that a prediction is asked for, and what is true there.

A cell is a sweep of one job: batch size -> runs (log₂ η, loss). Its own optimum at a batch size is taken from its runs
alone, by no method of lrscope: the vertex of a parabola through the five runs about the best, for intervals; the least
loss, with the loss of any other rate linear between neighbours (and beyond the ends), for regrets.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrscope.scaling.batch_law import BatchLaw, fit_batch_law
from lrscope.scaling.trend import HABITS, Habits
from lrscope.scaling.u_curve import UCurve, fit_u_curve

DATA = Path(os.environ.get("LRSCOPE_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
FEWEST_STEPS = 8000  # a cell's runs of fewer steps are mostly warm-up
Cell = dict[int, np.ndarray]  # batch size -> (runs, 2): learning rate, loss; by rate
Cells = dict[tuple[float | str, ...], Cell]


@dataclass(frozen=True)
class Case:
    """Predict at batch size `wanted` from the runs of a cell at the batch sizes `used`, in order."""

    cell: tuple[float | str, ...]
    used: tuple[int, ...]
    wanted: int


def language_models() -> Cells:
    """Cells by (parameters, tokens); the loss is in nats."""
    with (DATA / "llm_lr_batch_grid" / "final_loss.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["steps"]) >= FEWEST_STEPS]
    keys = [(float(row["n_params"]), float(row["tokens"])) for row in rows]
    return _cells(keys, [(row["batch_size"], row["lr"], row["final_loss"]) for row in rows])


def small_networks() -> Cells:
    """Cells by data set (and schedule); the loss is the median 1 − accuracy, or MSE, over configurations."""
    keys: list[tuple[float | str, ...]] = []
    values = []
    for name, names, sign in (("mlp_accuracy", ("dataset",), -1), ("regression_mse", ("dataset", "lr_schedule"), 1)):
        with (DATA / "small_nets_lr_batch_grid" / f"{name}.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                keys.append((name, *(row[column] for column in names)))
                median = float(row["median"])
                values.append((row["batch_size"], row["lr"], 1 - median if sign < 0 else median))
    return _cells(keys, values)


def own_tasks() -> dict[str, dict[str, np.ndarray]]:
    """Task -> columns of the dense grids of this project's own tasks: batch_size, lr, seed, losses (inf = diverged)."""
    tasks = {}
    for path in sorted((Path(__file__).parent / "truth").glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        tasks[path.stem] = {
            name: np.array([float(row[name]) if row[name] not in ("", "nan") else math.inf for row in rows])
            for name in rows[0]
        }
    return tasks


def steps_to_target() -> dict[str, np.ndarray]:
    """Model -> (points, 2): batch size in sequences, steps to the target."""
    found: dict[str, list[tuple[float, float]]] = {}
    with (DATA / "steps_to_target" / "steps_to_target.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["model"], []).append((float(row["batch_seqs"]), float(row["steps_to_target"])))
    return {model: np.array(points) for model, points in sorted(found.items())}


def _cells(keys: list, values: list) -> Cells:
    cells: dict = {}
    for key, (size, lr, loss) in zip(keys, values, strict=True):
        cells.setdefault(key, {}).setdefault(round(float(size)), []).append((float(lr), float(loss)))
    return {
        key: {size: np.array(sorted(runs)) for size, runs in sorted(cell.items())}
        for key, cell in sorted(cells.items(), key=str)
    }


def splits(cells: Cells, fewest: int, low: float = 3.9, high: float = 8.1) -> Iterator[Case]:
    """All cases: the smallest batch sizes of a cell, `fewest` at least, and one 4 to 8 times beyond the largest."""
    for key, cell in cells.items():
        sizes = list(cell)
        for count in range(fewest, len(sizes) + 1):
            for wanted in sizes:
                if low <= wanted / sizes[count - 1] <= high:
                    yield Case(cell=key, used=tuple(sizes[:count]), wanted=wanted)


def excess_loss(runs: np.ndarray, lr: float) -> float:
    """The loss at a rate above the least of the runs."""
    x, y, at = np.log2(runs[:, 0]), runs[:, 1], math.log2(lr)
    end = 0 if at < x[0] else len(x) - 2
    if x[0] <= at <= x[-1]:
        return float(np.interp(at, x, y) - y.min())
    slope = (y[end + 1] - y[end]) / (x[end + 1] - x[end])
    return float(y[end] + slope * (at - x[end]) - y.min())


def own_optimum(runs: np.ndarray) -> float | None:
    """The vertex of a parabola through the (up to) five runs about the best; None where the best is at an end."""
    x, y = np.log2(runs[:, 0]), runs[:, 1]
    best = int(np.argmin(y))
    if best in (0, len(x) - 1):
        return None
    near = slice(max(0, best - 2), best + 3)
    curvature, slope, _ = np.polyfit(x[near], y[near], 2)
    vertex = -slope / 2 / curvature if curvature > 0 else x[best]
    return float(2 ** np.clip(vertex, x[best - 1], x[best + 1]))


class Fits:
    """The fitted curves of cells, each made once."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self._made: dict[tuple, UCurve] = {}

    def curve(self, key: tuple, size: int) -> UCurve:
        """The curve of one cell and batch size."""
        if (key, size) not in self._made:
            runs = self.cells[key][size]
            self._made[key, size] = fit_u_curve(runs[:, 0], runs[:, 1])
        return self._made[key, size]

    def optima(self, key: tuple, sizes: tuple[int, ...] | None = None) -> list[tuple[int, UCurve]]:
        """Those that a law can be fitted to."""
        curves = [(size, self.curve(key, size)) for size in sizes or tuple(self.cells[key])]
        return [(size, curve) for size, curve in curves if curve.optimal_lr and curve.status in ("found", "edge")]

    def laws(self, case: Case, habits: Habits = HABITS) -> tuple[BatchLaw, ...]:
        """The laws of a case, from its own cell alone."""
        known = self.optima(case.cell, case.used)
        return fit_batch_law(
            [size for size, _ in known], [curve.optimal_lr for _, curve in known],
            curves=[curve for _, curve in known], habits=habits,
        )  # fmt: skip


def plain_law(name: str, sizes: np.ndarray, optima: np.ndarray, wanted: float) -> float:
    """One law alone, as a textbook has it: least squares in log η, and its value at the batch size wanted."""
    from lrscope.scaling.laws import LAWS

    shape = next(law for law in LAWS if law.name == name)
    b, x = np.log2(sizes), np.log2(optima)
    grids = {"none": np.zeros(1), "exponent": np.linspace(-0.5, 1.5, 201), "batch_size": np.linspace(0.0, 20.0, 401)}
    theta = grids[shape.kind]
    curves = shape.shape(b, theta[:, None])  # (parameters, optima)
    level = (x - curves).mean(axis=1)
    best = int(np.argmin(((x - curves - level[:, None]) ** 2).sum(axis=1)))
    return float(2 ** (level[best] + shape.shape(np.array([math.log2(wanted)]), theta[best : best + 1])[0]))
