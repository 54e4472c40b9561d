"""What a study is made from: the task's fingerprint and the options, as facts that are stored and compared."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrscope.errors import InvalidInput, StudyMismatch
from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import Bench
from lrscope.study.fingerprint import fingerprint
from lrscope.study.load import TaskSource
from lrscope.study.space import Cell, SearchSpace
from lrscope.study.task import check_batch_sizes

DEFAULT_SCHEDULE = "warmup(5%) -> cosine"
METRICS = ("val_loss", "train_loss")
SEARCHES = ("adaptive", "grid")
MOST_SEEDS = 1000
HIGHEST_SEED = 2**53  # beyond it, JSON's readers round


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study's options, checked and complete, and the facts of its task."""

    task: str
    optimizer: str
    train_examples: int
    metric: str
    space: SearchSpace
    defaults: tuple[float, ...]
    fingerprint: dict[str, Any]

    def to_facts(self) -> dict[str, Any]:
        """The plan as the store keeps it."""
        space = self.space
        return {
            "task": self.task,
            "optimizer": self.optimizer,
            "training examples": self.train_examples,
            "metric": self.metric,
            "batch sizes": sorted({cell.batch_size for cell in space.cells}),
            "schedules": list(dict.fromkeys(cell.schedule for cell in space.cells)),
            "total steps": {str(size): steps for size, steps in space.total_steps.items()},
            "lr range": [space.lr_low, space.lr_high],
            "tolerance": space.tolerance,
            "seeds": space.seeds,
            "seed": space.base_seed,
            "search": space.method,
            "default learning rates": list(self.defaults),
            **self.fingerprint,
        }

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> StudyPlan:
        """The plan that a store's facts came from."""
        cells = make_cells(facts["batch sizes"], facts["schedules"])
        space = SearchSpace(
            cells=cells,
            total_steps={int(size): steps for size, steps in facts["total steps"].items()},
            lr_low=facts["lr range"][0],
            lr_high=facts["lr range"][1],
            tolerance=facts["tolerance"],
            seeds=facts["seeds"],
            base_seed=facts["seed"],
            method=facts["search"],
        )
        return StudyPlan(
            task=facts["task"],
            optimizer=facts["optimizer"],
            train_examples=facts["training examples"],
            metric=facts["metric"],
            space=space,
            defaults=tuple(facts["default learning rates"]),
            fingerprint={},
        )


def make_cells(batch_sizes: Sequence[int], schedules: Sequence[str]) -> tuple[Cell, ...]:
    """Every batch size under every schedule, sorted by batch size, then schedule as given."""
    return tuple(Cell(batch_size=size, schedule=schedule) for size in batch_sizes for schedule in schedules)


def make_plan(
    bench: Bench,
    source: TaskSource,
    defaults: tuple[float, ...],
    *,
    batch_sizes: Sequence[int] | None,
    schedules: Sequence[str],
    lr: tuple[float, float] | None,
    metric: str | None,
    seeds: int,
    seed: int,
    search: str,
    tolerance: float,
) -> StudyPlan:
    """Check the options against the task.

    Raises:
        InvalidInput: with one sentence that names the option, the value and what is accepted.
    """
    task = bench.task
    sizes = task.batch_sizes if batch_sizes is None else check_batch_sizes(batch_sizes, "the option --batch-sizes")
    total_steps = {size: task.total_steps(size, bench.train_examples) for size in sizes}
    _check_schedules(schedules, total_steps.values())
    low, high = (1e-6, 10.0) if lr is None else lr
    if not (0 < low <= high and math.isfinite(high)):
        raise InvalidInput(f"--lr must be LOW:HIGH with 0 < LOW <= HIGH. Got {low:g}:{high:g}.")
    _check_thoroughness(seeds, seed, search, tolerance)
    space = SearchSpace(
        cells=make_cells(sizes, list(dict.fromkeys(schedules))),
        total_steps=total_steps,
        lr_low=float(low),
        lr_high=float(high),
        tolerance=float(tolerance),
        seeds=seeds,
        base_seed=seed,
        method="grid" if search == "grid" else "adaptive",
    )
    return StudyPlan(
        task=task.name,
        optimizer=task.optimizer_name,
        train_examples=bench.train_examples,
        metric=_metric(metric, validated=bench.validation is not None),
        space=space,
        defaults=defaults,
        fingerprint=fingerprint(bench, source),
    )


def _check_schedules(schedules: Sequence[str], total_steps: Collection[int]) -> None:
    if isinstance(schedules, str) or not schedules:
        raise InvalidInput(f"The schedules of a study must be a list of at least one text. Got {schedules!r}.")
    for schedule in schedules:
        for steps in total_steps:
            parse_schedule(schedule, total_steps=steps)


def _metric(metric: str | None, *, validated: bool) -> str:
    """What is compared: the validation loss where there is validation data, unless told otherwise."""
    if metric is None:
        return "val_loss" if validated else "train_loss"
    if metric not in METRICS or (metric == "val_loss" and not validated):
        accepted = "train_loss, as the task has no validation data" if metric == "val_loss" else " or ".join(METRICS)
        raise InvalidInput(f"--metric must be {accepted}. Got {metric!r}.")
    return metric


def _check_thoroughness(seeds: int, seed: int, search: str, tolerance: float) -> None:
    if not 1 <= seeds <= MOST_SEEDS:
        raise InvalidInput(f"--seeds must lie between 1 and {MOST_SEEDS}. Got {seeds}.")
    if not 0 <= seed <= HIGHEST_SEED:
        raise InvalidInput(f"--seed must lie between 0 and {HIGHEST_SEED}. Got {seed}.")
    if search not in SEARCHES:
        raise InvalidInput(f"--search must be one of {', '.join(SEARCHES)}. Got {search!r}.")
    if not 0 < tolerance < 1:
        raise InvalidInput(f"--tolerance must lie between 0 and 1. Got {tolerance:g}.")


def check_same(stored: dict[str, Any], asked: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a study that was made from something else.

    Raises:
        StudyMismatch: names each difference, and how to start anew.
    """
    differences = [
        _difference(name, stored[name], value)
        for name, value in asked.items()
        if name in stored and stored[name] != value
    ]
    if differences:
        raise StudyMismatch(
            f"The study in '{folder}' was made from something else ({'; '.join(differences)}). "
            "To start anew, delete that folder or give another (--out)."
        )


def _difference(name: str, there: Any, now: Any) -> str:
    """A fact's two values; of code, the first lines that differ."""
    if isinstance(there, dict) and isinstance(now, dict):
        changed = next(key for key in [*there, *now] if there.get(key) != now.get(key))
        before, after = (str(values.get(changed, "")).splitlines() for values in (there, now))
        lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
        removed, added = ([line[1:].strip() for line in lines if line[0] == sign] for sign in "-+")
        there, now = (f"`{part[0]}`" if part else "nothing" for part in (removed, added))
        name = f"{name}, {changed}"
    return f"{name}: {_short(there)} there, {_short(now)} now"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "…"
