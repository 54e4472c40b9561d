"""Train the runs that the diagnosis learns from: sweeps of nothing but the rate, each as one vectorised program.

    nice -n 10 python -m benchmarks.diagnosis.make_runs --out .cache/diagnosis [--first 0] [--sweeps 17] [--task NAME]

One `.npz` file per sweep: `lr` (runs,), `loss` (runs, steps), `share` (steps,), the monitor's evidence (runs, measured)
at `measured_step`, the loss of a fixed part of the training set `full_loss` (runs, evaluations) at `full_step`,
`initial_loss`, and `meta` as JSON text. A file that exists is not made again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.diagnosis.tasks import FlatTask, make_tasks
from torch import Tensor
from torch.func import grad_and_value, vmap

OPTIMIZERS = ("sgd", "momentum0.9", "momentum0.99", "adam", "adamw", "rmsprop")
CENTRE = {"sgd": 0.1, "momentum0.9": 0.01, "momentum0.99": 0.001, "adam": 0.01, "adamw": 0.01, "rmsprop": 0.003}
"""The middle of the grid of rates, per optimizer; runs beyond 1/1000…1000 times the best are left out afterwards."""
DECADES = np.linspace(-3.64, 3.64, 27)
LONG = 14
"""From this one on, the sweeps of the tasks that are quick to train are long: tens or hundreds of epochs."""
MEASUREMENTS = 60
EVALUATED = 300
"""The examples of the fixed part of the training set whose mean loss stands for the epochs' evaluations."""


@dataclass(frozen=True)
class Sweep:
    """What is alike for every run of a sweep."""

    task: str
    optimizer: str
    batch_size: int
    steps: int
    schedule: str
    warmup: float
    clip: float | None
    seed: int


def plan(task: FlatTask, index: int) -> Sweep:
    """The index-th sweep of a task: optimizers and schedules in turn, the rest drawn."""
    rng = np.random.default_rng([zlib.crc32(task.name.encode()), index])
    schedule = ("constant", "constant", "cosine", "constant", "linear", "step", "wsd")[(index + rng.integers(7)) % 7]
    batch = min(task.max_batch, int(2 ** rng.integers(3, 9)))
    least = max(300.0, 6000.0 / batch)  # the mean over the last 5 % of the steps names the regime: let it be a fair one
    most = max(least, task.max_steps)
    if index >= LONG and task.max_steps >= 5000:
        least, most = 8000.0, 20_000.0
    steps = int(round(np.exp(rng.uniform(math.log(least), math.log(most))) / 50) * 50)
    warmup = float(rng.choice([0.0, 0.0, 0.05, 0.1, 0.25]))
    clip = float(rng.choice([0.0, 0.0, 0.0, 1.0])) or None
    return Sweep(task.name, OPTIMIZERS[index % 6], batch, steps, schedule, warmup, clip, index)


def shares(sweep: Sweep) -> np.ndarray:
    """(steps,) the share of the peak rate at each update."""
    t, total = np.arange(sweep.steps), sweep.steps
    warm = int(sweep.warmup * total)
    p = np.clip((t - warm) / max(1, total - warm - 1), 0, 1)
    decay = {
        "constant": np.ones(total),
        "cosine": 0.5 * (1 + np.cos(np.pi * p)),
        "linear": 1 - p,
        "step": 0.1 ** np.floor(3 * np.minimum(p, 0.999)),
        "wsd": np.minimum(1.0, (1 - p) / 0.2),
    }[sweep.schedule]
    return np.where(t < warm, (t + 1) / max(1, warm), decay)


class Updater:
    """The optimizers of PyTorch on stacked weights (runs, weights), each run at its own rate."""

    def __init__(self, name: str, weights: Tensor) -> None:
        self.name, self.t = name, 0
        self.first, self.second = torch.zeros_like(weights), torch.zeros_like(weights)

    def update(self, weights: Tensor, gradient: Tensor, lr: Tensor) -> Tensor:
        """The change of the weights at this step; lr is (runs, 1)."""
        self.t += 1
        if self.name == "sgd":
            return -lr * gradient
        if self.name.startswith("momentum"):
            self.first.mul_(float(self.name[8:])).add_(gradient)
            return -lr * self.first
        if self.name == "rmsprop":
            self.second.mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            return -lr * gradient / (self.second.sqrt() + 1e-8)
        self.first.mul_(0.9).add_(gradient, alpha=0.1)
        self.second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        step = self.first / (1 - 0.9**self.t) / ((self.second / (1 - 0.999**self.t)).sqrt() + 1e-8)
        return -lr * (step + 0.01 * weights if self.name == "adamw" else step)


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """Between rows."""
    return (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))


def step_length(loss0: Tensor, loss1: Tensor, slope0: Tensor, slope1: Tensor) -> Tensor:
    """The normalised step length α of a step on one batch: −1 stays, 0 reaches the parabola's minimum, 1 mirrors it.

    Least squares parabola through both losses and slopes, s in [0, 1] along the step (Cockpit, arXiv 2102.06604).
    """
    slope = slope0 + ((loss1 - loss0) - 0.5 * (slope0 + slope1)) / 5.0  # the fitted slope at the start
    curvature = slope1 - slope0
    alpha = torch.where(slope < 0, -curvature / slope - 1.0, torch.full_like(slope, 5.0))
    return torch.where(curvature > 0, alpha, torch.full_like(slope, -1.0)).clamp(-1.0, 5.0)


def train(task: FlatTask, sweep: Sweep, lr: np.ndarray) -> dict[str, np.ndarray]:
    """Train every rate of the sweep at once, on the same weights, batches and schedule."""
    runs, share = len(lr), shares(sweep)
    weights = task.initial(sweep.seed).expand(runs, -1).clone()
    updater = Updater(sweep.optimizer, weights)
    gradients = vmap(grad_and_value(task), in_dims=(0, None, None))
    rng = np.random.default_rng(sweep.seed)
    count = len(task.inputs)
    every = max(1, sweep.steps // MEASUREMENTS)
    rates = torch.tensor(lr, dtype=torch.float32)[:, None]
    losses, order = np.empty((sweep.steps, runs), np.float32), np.empty(0, np.int64)
    evidence: list[dict[str, np.ndarray]] = []
    measured_step: list[int] = []
    initial_loss = float(task(weights[0], task.inputs[:1000], task.targets[:1000]))
    previous = None
    fixed = torch.from_numpy(np.random.default_rng(0).permutation(count)[:EVALUATED])
    evaluate = vmap(task, in_dims=(0, None, None))
    evaluations = np.unique(np.linspace(0, sweep.steps, MEASUREMENTS + 1).astype(int))
    full = []
    for t in range(sweep.steps):
        if t in evaluations:
            full.append(evaluate(weights, task.inputs[fixed], task.targets[fixed]).numpy())
        if len(order) < sweep.batch_size:
            order = rng.permutation(count)
        chosen, order = order[: sweep.batch_size], order[sweep.batch_size :]
        x, y = task.inputs[chosen], task.targets[chosen]
        gradient, loss = gradients(weights, x, y)
        losses[t] = loss.numpy()
        applied = gradient
        if sweep.clip is not None:
            applied = gradient * (sweep.clip / gradient.norm(dim=1, keepdim=True)).clamp(max=1.0)
        change = updater.update(weights, applied, rates * float(share[t]))
        measured = t % every == every - 1
        if measured and previous is not None:
            after, loss_after = gradients(weights + change, x, y)
            slope0, slope1 = (gradient * change).sum(1), (after * change).sum(1)
            seen = {
                "alpha": step_length(loss, loss_after, slope0, slope1),
                "same_batch_cosine": cosine(gradient, after),
                "gradient_cosine": cosine(gradient, previous),
                "grad_norm": gradient.norm(dim=1),
                "grad_norm_l1": gradient.abs().sum(1),
                "update_ratio": change.norm(dim=1) / weights.norm(dim=1),
                "descent": -slope0,
                "gain": loss - loss_after,
            }
            evidence.append({name: value.numpy() for name, value in seen.items()})
            measured_step.append(t)
        weights = weights + change
        previous = gradient
    full.append(evaluate(weights, task.inputs[fixed], task.targets[fixed]).numpy())
    return {
        "lr": lr, "loss": losses.T, "share": share.astype(np.float32), "initial_loss": np.float64(initial_loss),
        "full_step": evaluations, "full_loss": np.stack(full, 1),
        "measured_step": np.array(measured_step), "meta": np.array(json.dumps(asdict(sweep))),
        **{name: np.stack([row[name] for row in evidence], -1).astype(np.float32) for name in evidence[0]},
    }  # fmt: skip


def main() -> None:
    """Make every sweep that is missing in the folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(".cache/diagnosis"))
    parser.add_argument("--sweeps", type=int, default=17)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--task", action="append")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in make_tasks() if arguments.task is None or task.name in arguments.task]
    for index in range(arguments.first, arguments.sweeps):
        for task in tasks:
            path = arguments.out / f"{task.name.replace(' ', '-')}-{index:02d}.npz"
            if path.exists():
                continue
            sweep, start = plan(task, index), time.perf_counter()
            arrays = train(task, sweep, CENTRE[sweep.optimizer] * 10.0**DECADES)
            temporary = path.with_suffix(".part")
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)
            temporary.rename(path)
            print(f"{path.stem}: {sweep.steps} steps, {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
