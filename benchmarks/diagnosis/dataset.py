"""The trained sweeps as labelled curves, logged the ways that people log: every step, thinned, averaged, per epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrscope.curves.curve import Curve
from lrscope.diagnosis.regime import Regime, accepted_regimes, sweep_excess, sweep_regimes

HORIZONS = (1.0, 0.3, 0.1)
"""Shares of a run that are judged as runs of their own where the rate is constant: nothing is decayed yet."""


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


def _optimizer(name: str) -> tuple[str, float]:
    return ("sgd", float(name[8:])) if name.startswith("momentum") else (name, 0.0)


def views(steps: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """How the log is kept: per step, every k-th step, means over k steps, evaluations of a fixed part."""
    thin = int(np.clip(steps // rng.integers(40, 200), 2, 50))
    mean = int(np.clip(steps // rng.integers(20, 110), 2, 100))
    return [("step", 1), ("thinned", thin), ("averaged", mean), ("full", 0)]


def log_as(view: str, k: int, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps and values of a series (steps,) logged one of the ways."""
    if view == "step":
        return np.arange(len(values)), values
    if view == "thinned":
        return np.arange(0, len(values), k), values[::k]
    whole = len(values) // k * k
    means = values[:whole].reshape(-1, k).mean(1)
    return np.r_[0, np.arange(k, whole + 1, k)], np.r_[values[0], means]  # epoch 0 is logged before training


def read_sweep(path: Path, horizons: tuple[float, ...] = HORIZONS) -> Iterator[Labelled]:
    """Every run of a sweep file within 1000 times the best rate, in every view and horizon."""
    data = np.load(path)
    meta = json.loads(str(data["meta"]))
    rng = np.random.default_rng([meta["seed"], meta["steps"]])
    lr, share = data["lr"], data["share"].astype(float)
    optimizer = "sgd" if meta["optimizer"] == "sgd" else meta["optimizer"]
    for horizon in horizons if meta["schedule"] == "constant" else (1.0,):
        steps = int(round(horizon * meta["steps"]))
        if steps < 60:
            continue
        loss = data["loss"][:, :steps].astype(float)
        with np.errstate(over="ignore", invalid="ignore"):
            final = loss[:, -max(1, round(0.05 * steps)) :].mean(1)
        initial = float(data["initial_loss"])
        if not np.nanmin(final) < 0.9 * initial:
            continue
        regimes, accepted = sweep_regimes(lr, final, initial), accepted_regimes(lr, final, initial)
        excess = sweep_excess(final, initial)
        best, low, high = good_range(lr, excess)
        ways = views(steps, rng)
        measured = data["measured_step"]
        measured = measured[measured < steps]
        for i in range(len(lr)):
            if not 1e-3 <= lr[i] / best <= 1.001e3:
                continue
            for view, k in ways:
                if view == "full":
                    kept = data["full_step"] <= steps
                    step, values = data["full_step"][kept], data["full_loss"][i][kept].astype(float)
                else:
                    step, values = log_as(view, k, loss[i])
                if len(step) < 15:
                    continue
                series = {}
                for name in ("alpha", "gradient_cosine", "grad_norm", "update_ratio"):
                    kind = "same_batch_cosine" if name == "gradient_cosine" else name
                    series[name] = np.full(len(step), np.nan)
                    series[name][np.searchsorted(step[:-1], measured)] = data[kind][i, : len(measured)]
                curve = Curve(
                    name=f"{path.stem}-{i}-{horizon}-{view}", step=step, loss=values,
                    lr=lr[i] * share[np.minimum(step, steps - 1)], optimizer=optimizer, batch_size=meta["batch_size"],
                    total_steps=steps, **series,
                )  # fmt: skip
                yield Labelled(
                    curve, regimes[i], accepted[i], float(excess[i]), (best / lr[i], low / lr[i], high / lr[i]),
                    meta["task"], path.stem, view, meta["schedule"] != "constant",
                )  # fmt: skip


def read_all(folder: Path) -> Iterator[Labelled]:
    """Every labelled curve of the folder that make_runs wrote."""
    for path in sorted(folder.glob("*-[0-9][0-9].npz")):
        yield from read_sweep(path)


def read_constant_lr_curves(folder: Path, kind: str) -> Iterator[Labelled]:
    """The third-party runs (DeepOBS baselines), from their `minibatch` bins or their `epochs`; never trained on."""
    import pandas as pd

    runs = pd.read_csv(folder / "runs.csv")
    for problem, table in runs.groupby("problem"):
        points = dict(tuple(pd.read_csv(folder / f"{kind}_{problem}.csv").groupby("run")))
        initial = pd.read_csv(folder / f"epochs_{problem}.csv").query("epoch == 0").set_index("run").train_loss
        for optimizer, sweep in table.groupby("optimizer"):
            lr = sweep.lr.to_numpy()
            final = sweep.final_train_loss.where(sweep.diverged == 0).to_numpy(float)
            start = float(initial.reindex(sweep.run).median())
            regimes, accepted = sweep_regimes(lr, final, start), accepted_regimes(lr, final, start)
            excess = sweep_excess(final, start)
            best, low, high = good_range(lr, excess)
            name = {"GradientDescent": "sgd", "Momentum": "momentum0.99", "Adam": "adam"}[str(optimizer)]
            for i, run in enumerate(sweep.itertuples()):
                if run.run not in points:
                    continue  # a run that was not finite from its first bin on has no log
                log = points[run.run]
                step, loss = (log.step, log.loss_mean) if kind == "minibatch" else (log.epoch, log.train_loss)
                scale = 1 if kind == "minibatch" else run.n_steps // run.num_epochs
                curve = Curve(
                    name=f"{problem}-{optimizer}-{run.run}", step=step.to_numpy() * scale, loss=loss.to_numpy(float),
                    lr=np.full(len(step), run.lr), optimizer=name, batch_size=int(run.batch_size), total_steps=int(run.n_steps),
                )  # fmt: skip
                yield Labelled(
                    curve, regimes[i], accepted[i], float(excess[i]), (best / lr[i], low / lr[i], high / lr[i]),
                    str(problem), f"{problem}-{optimizer}", kind, False,
                )  # fmt: skip
