"""Real trainings of a small network on scikit-learn's digits, for the pages' pictures: each kept once it is made.

One hidden layer of 128 units, 1,438 images, cross-entropy. Runs are kept under `.cache/questions`, by their settings.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import BatchOrder, Bench, one_thread
from lrscope.study.task import Task
from lrscope.tasks.digits import digits_adamw

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "questions"


@dataclass(frozen=True, kw_only=True)
class Run:
    """The settings of one training.

    `batch` examples an update, in `parts` equal microbatches whose gradients are averaged, or summed; `steps` updates,
    the later half of them at `then` times the rate.
    """

    lr: float
    batch: int = 64
    optimizer: str = "sgd"
    steps: int = 220
    schedule: str = "warmup(5%) -> cosine"
    seed: int = 0
    parts: int = 1
    summed: bool = False
    then: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a training gave: the loss of each update's batch, and the training loss over all images at the end."""

    losses: list[float]
    final: float


@lru_cache(maxsize=4)
def bench(optimizer: str) -> Bench:
    """Data and network; `optimizer` is sgd (momentum 0.9), plain (none) or adamw."""
    plain = digits_adamw()
    kind = {"plain": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr)}.get(optimizer, optimizer)
    return Bench(
        Task(name="digits", model=network, loss=plain.loss, train=plain.train, validation=plain.validation,
             optimizer=kind, epochs=10, batch_sizes=(64,))
    )  # fmt: skip


def network() -> nn.Module:
    """One hidden layer of 128 units."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def train(run: Run) -> Outcome:
    """The outcome of a run, from the cache where it is there."""
    name = "-".join(str(value).replace(" ", "").replace("%", "p").replace(">", "") for value in asdict(run).values())
    path = CACHE / f"{name}.json"
    if not path.is_file():
        with one_thread():
            outcome = _train(run)
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    return Outcome(**json.loads(path.read_text(encoding="utf-8")))


def _train(run: Run) -> Outcome:
    place = bench(run.optimizer)
    model = place.make_model(run.seed)
    optimizer = place.make_optimizer(model, run.lr)
    order = BatchOrder(place.train_examples, run.batch, run.seed, place.device)
    shares = parse_schedule(run.schedule, total_steps=run.steps)(np.arange(run.steps))
    shares[run.steps // 2 :] *= run.then
    losses = []
    for step in range(run.steps):
        for group in optimizer.param_groups:
            group["lr"] = run.lr * float(shares[step])
        optimizer.zero_grad()
        total = 0.0
        for part in order[step].chunk(run.parts):
            loss = place.batch_loss(model, place.train.batch(part))
            (loss if run.summed else loss / run.parts).backward()
            total += float(loss.detach()) / run.parts
        optimizer.step()
        losses.append(total if math.isfinite(total) else math.inf)
        if not math.isfinite(total):
            break
    final, _ = place.evaluate(model, place.train)
    return Outcome(losses=losses, final=final if math.isfinite(final) else math.inf)


def sweep(rates: list[float], seeds: int = 1, **settings: object) -> list[tuple[float, float]]:
    """Final losses by rate: (rate, mean over seeds; inf where one diverged)."""
    found = []
    for lr in rates:
        runs = [train(Run(lr=lr, seed=seed, **settings)) for seed in range(seeds)]  # type: ignore[arg-type]
        found.append((lr, float(np.mean([run.final for run in runs]))))
    return found


def octaves(low: float, high: float, step: float = 1.0) -> list[float]:
    """Rates from 2^low to 2^high."""
    return [2.0**exponent for exponent in np.arange(low, high + 1e-9, step)]
