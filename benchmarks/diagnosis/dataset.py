"""The trained sweeps as labelled curves, logged as people log: every step, thinned, averaged, smoothed, cut."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from lrscope.curves.curve import Curve
from lrscope.diagnosis.diagnose import FEWEST_POINTS
from lrscope.diagnosis.regime import Regime, accepted_regimes, sweep_excess, sweep_regimes

HORIZONS = (1.0, 0.3, 0.1)
"""Shares of a run that are judged as runs of their own where the rate is constant: nothing is decayed yet."""

FAIR = 300
"""So many examples, at least, the last 5 % of the steps must hold for their mean loss to name a regime."""

MEASURED = ("alpha", "grad_norm", "grad_norm_l1", "update_ratio")


@dataclass(frozen=True)
class Labelled:
    """One run of a sweep: its curve, its regime, what else counts as right, and by what factor its rate is off."""

    curve: Curve
    regime: Regime
    accepted: frozenset[Regime]
    excess: float
    factor: tuple[float, float, float]
    """The best rate over the run's, and the range of the rates that are good."""
    task: str
    sweep: str
    view: str
    decayed: bool


def good_range(lr: np.ndarray, excess: np.ndarray) -> tuple[float, float, float]:
    """The best rate (the middle of those with an excess ≤ 0.01), and the range with an excess ≤ 0.05 around it."""
    log_lr = np.log(lr)
    tight = excess <= 0.01
    best = float(np.exp(np.mean([log_lr[tight].min(), log_lr[tight].max()])))
    good = excess <= 0.05
    return best, float(lr[good].min()), float(lr[good].max())


@dataclass(frozen=True)
class View:
    """How a log is kept: which steps it has, each the mean of how many, with what smoothing."""

    name: str
    every: int
    averaged: bool = False
    smoothing: float = 0.0
    begins_untrained: bool = True
    begins: float = 0.0
    """The share of the run before the first point that is kept."""

    def log(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The steps and values of a series (steps,) logged this way."""
        step, found = self._log(values)
        kept = step >= self.begins * len(values)
        return step[kept], found[kept]

    def _log(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.smoothing:
            values = smoothed(values, self.smoothing)
        if not self.averaged or self.every == 1:
            return np.arange(0, len(values), self.every), values[:: self.every]
        whole = len(values) // self.every * self.every
        means = values[:whole].reshape(-1, self.every).mean(1)
        step = np.arange(self.every, whole + 1, self.every) - 1
        return (np.r_[0, step], np.r_[values[0], means]) if self.begins_untrained else (step, means)


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """The exponential moving average, debiased, that trackers show and export: NaN stays in it once it comes."""
    mean = lfilter([1 - weight], [1, -weight], values)
    return mean / (1 - weight ** np.arange(1, len(values) + 1))


def views(steps: int, rng: np.random.Generator) -> list[View]:
    """The ways in which a run of so many steps is logged, drawn anew for each sweep."""
    points = lambda low, high: float(np.exp(rng.uniform(np.log(low), np.log(high))))  # noqa: E731
    every = max(2, round(steps / points(30, 300)))
    mean = max(2, round(steps / points(8, 300)))
    smooth = max(1, round(steps / points(60, 400)))
    return [
        View("step", 1),
        View("thinned", every),
        View("averaged", mean, averaged=True, begins_untrained=bool(rng.random() < 0.5)),
        View("smoothed", smooth, smoothing=float(rng.choice([0.6, 0.9, 0.97]))),
        View("late", max(1, round(steps / points(40, 300))), averaged=True, begins=points(0.005, 0.1)),
    ]


def read_sweep(path: Path) -> Iterator[Labelled]:
    """Every run of a sweep file within 1000 times the best rate, in every view and horizon."""
    with np.load(path) as archive:
        data = {name: archive[name] for name in archive.files}
    meta = json.loads(str(data["meta"]))
    rng = np.random.default_rng([meta["seed"], meta["steps"]])
    constant = meta["schedule"] == "constant"
    for horizon in HORIZONS if constant else (1.0,):
        steps = round(horizon * meta["steps"])
        if steps >= 60 and 0.05 * steps * meta["batch_size"] >= FAIR:
            yield from _read_horizon(path.stem, data, meta, steps, rng)


def _read_horizon(
    name: str, data: dict[str, Any], meta: dict[str, Any], steps: int, rng: np.random.Generator
) -> Iterator[Labelled]:
    """The first so many steps of a sweep as runs of their own."""
    lr, share, loss = data["lr"], data["share"].astype(float), data["loss"].astype(float)
    with np.errstate(over="ignore", invalid="ignore"):
        final = loss[:, :steps][:, -max(1, round(0.05 * steps)) :].mean(1)
    initial = float(data["initial_loss"])
    if not np.nanmin(final) < 0.9 * initial:
        return
    regimes, accepted = sweep_regimes(lr, final, initial), accepted_regimes(lr, final, initial)
    excess = sweep_excess(final, initial)
    best, low, high = good_range(lr, excess)
    decayed = meta["schedule"] != "constant"
    whole = steps == meta["steps"]
    ways = [(view, steps) for view in views(steps, rng)] + [
        (View("evaluated", int(rng.choice([1, 1, 2, 3, 5]))), steps)
    ]
    if decayed:  # the schedule's run, looked at before it ends
        seen = round(steps * rng.uniform(0.3, 0.8))
        ways.append((View("cut", max(1, seen // 150), averaged=True), seen))
    for i in range(len(lr)):
        if not 1e-3 <= lr[i] / best <= 1.001e3:
            continue
        for view, seen in ways:
            if view.name == "evaluated":
                kept = data["full_step"] <= steps
                step, values = data["full_step"][kept][:: view.every], data["full_loss"][i][kept][:: view.every]
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    step, values = view.log(loss[i, :seen])
            if len(step) < FEWEST_POINTS:
                continue
            curve = Curve(
                name=f"{name}-{i}-{steps}-{view.name}", step=step, loss=values,
                lr=lr[i] * share[np.minimum(step, steps - 1)],
                optimizer=meta["optimizer"], batch_size=meta["batch_size"],
                total_steps=steps if whole or view.name == "cut" else None, **_measured(data, i, step),
            )  # fmt: skip
            yield Labelled(
                curve, regimes[i], accepted[i], float(excess[i]), (best / lr[i], low / lr[i], high / lr[i]),
                meta["task"], name, view.name, decayed,
            )  # fmt: skip


def _measured(data: dict[str, Any], i: int, step: np.ndarray) -> dict[str, np.ndarray]:
    """The monitor's series at the logged steps that follow each measurement."""
    at = data["measured_step"]
    kept = at <= step[-1]
    place = np.searchsorted(step, at[kept])
    names = {**{name: name for name in MEASURED}, "gradient_cosine": "same_batch_cosine"}
    series = {}
    for name, source in names.items():
        series[name] = np.full(len(step), np.nan)
        series[name][place] = data[source][i][kept]
    return series


def read_all(folder: Path) -> Iterator[Labelled]:
    """Every labelled curve of the folder that make_runs wrote."""
    for path in sorted(folder.glob("*-[0-9][0-9].npz")):
        yield from read_sweep(path)


def _rows(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8") as file:
        return [{key: float(v) if v else np.nan for key, v in row.items()} for row in csv.DictReader(file)]


def read_constant_lr_curves(
    folder: Path, kind: str, share: float = 1.0, relabelled: bool = False
) -> Iterator[Labelled]:
    """The third-party runs (DeepOBS baselines), never trained on: their `minibatch` bins or `epochs`, cut to a share.

    The label is by the final training loss of the whole run, or, relabelled, by the last 5 % before the cut.
    """
    with (folder / "runs.csv").open(encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    for problem in sorted({run["problem"] for run in runs}):
        logs: dict[int, list[dict[str, float]]] = {}
        for row in _rows(folder / f"{kind}_{problem}.csv"):
            logs.setdefault(int(row["run"]), []).append(row)
        start = {int(r["run"]): r["train_loss"] for r in _rows(folder / f"epochs_{problem}.csv") if r["epoch"] == 0}
        for optimizer in sorted({run["optimizer"] for run in runs}):
            sweep = [run for run in runs if (run["problem"], run["optimizer"]) == (problem, optimizer)]
            yield from _external_sweep(sweep, logs, start, kind, share, relabelled)


def _last(log: list[dict[str, float]], steps: int, kind: str, share: float) -> float:
    """The mean loss over the last 5 % of a log that is cut to a share of its run; NaN where it is not finite."""
    per_row = 1 if kind == "minibatch" else steps // 100
    place, loss = ("step", "loss_mean") if kind == "minibatch" else ("epoch", "train_loss")
    seen = [row[loss] for row in log if row[place] * per_row <= share * steps]
    return float(np.mean(seen[-max(1, round(0.05 * len(seen))) :])) if seen else float("nan")


def _external_sweep(
    sweep: list[dict[str, str]],
    logs: dict[int, list[dict[str, float]]],
    start: dict[int, float],
    kind: str,
    share: float,
    relabelled: bool,
) -> Iterator[Labelled]:
    lr = np.array([float(run["lr"]) for run in sweep])
    lost = np.array([run["diverged"] != "0" for run in sweep])
    final = np.where(lost, np.nan, [float(run["final_train_loss"] or "nan") for run in sweep])
    if relabelled:
        final = np.array([_last(logs.get(int(run["run"]), []), int(run["n_steps"]), kind, share) for run in sweep])
    initial = float(np.median([start[int(run["run"])] for run in sweep if int(run["run"]) in start]))
    regimes, accepted = sweep_regimes(lr, final, initial), accepted_regimes(lr, final, initial)
    excess = sweep_excess(final, initial)
    best, low, high = good_range(lr, excess)
    for i, run in enumerate(sweep):
        log = logs.get(int(run["run"]))
        if log is None:
            continue  # a run that was not finite from its first bin on has no log
        steps, batch = int(run["n_steps"]), int(run["batch_size"])
        scale = 1 if kind == "minibatch" else steps // int(run["num_epochs"])
        step = np.array([row["step" if kind == "minibatch" else "epoch"] for row in log]) * scale
        loss = np.array([row["loss_mean" if kind == "minibatch" else "train_loss"] for row in log])
        seen = step <= share * steps
        name = {"GradientDescent": "sgd", "Momentum": "momentum0.99", "Adam": "adam"}[run["optimizer"]]
        problem = run["problem"]
        curve = Curve(
            name=f"{problem}-{name}-{run['run']}", step=step[seen], loss=loss[seen], lr=np.full(int(seen.sum()), lr[i]),
            optimizer=name, batch_size=batch, total_steps=steps if share == 1.0 else None,
        )  # fmt: skip
        yield Labelled(
            curve, regimes[i], accepted[i], float(excess[i]), (best / lr[i], low / lr[i], high / lr[i]),
            problem, f"{problem}-{name}", kind, False,
        )  # fmt: skip
