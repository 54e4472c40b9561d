"""The truth that searches are measured against: dense half-octave grids with three seeds, trained in full.

    python -m benchmarks.truth digits diabetes        # writes benchmarks/truth/{digits,diabetes}.csv

A table has one row a run: batch_size, lr, seed, train_loss, val_loss, initial_train_loss, initial_val_loss, seconds.
A diverged run has an infinite loss. Run again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from pathlib import Path

import numpy as np
from benchmarks.tasks import TASKS

from lrscope.study.bench import Bench
from lrscope.study.executors.base import default_workers, make_executor
from lrscope.study.load import TaskSource, load_file_task
from lrscope.study.plan import DEFAULT_SCHEDULE
from lrscope.study.trial import Trial

FOLDER = Path(__file__).parent / "truth"
FIELDS = (
    *("batch_size", "lr", "seed", "train_loss", "val_loss"),
    *("initial_train_loss", "initial_val_loss", "seconds"),
)
SEEDS = 3


def half_octaves(low: float, high: float) -> list[float]:
    """The half octaves 2^(k/2) from `low` to `high`."""
    return [2.0 ** (k / 2) for k in range(math.ceil(2 * math.log2(low)), math.floor(2 * math.log2(high)) + 1)]


def read_truth(path: Path) -> dict[str, np.ndarray]:
    """A table as columns."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in FIELDS}


def main() -> None:
    """Train what the tables do not have yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="*", default=[*TASKS], help=", ".join(TASKS))
    parser.add_argument("--workers", type=int, help="default: one per core, or one on a GPU")
    arguments = parser.parse_args()
    for name in arguments.task:
        make_truth(name, arguments.workers)


def make_truth(name: str, workers: int | None) -> None:
    """Train what the table of a task does not have yet."""
    task, path = TASKS[name], FOLDER / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    done = set()
    if path.exists():
        known = read_truth(path)
        keys = zip(known["batch_size"], known["lr"], known["seed"], strict=True)
        done = {(int(size), float(lr), int(seed)) for size, lr, seed in keys}
    bench = Bench(load_file_task(task.reference))
    trials = [
        Trial(batch_size=size, peak_lr=lr, schedule=DEFAULT_SCHEDULE, seed=seed, total_steps=steps, stop_at=steps)
        for seed in range(SEEDS)
        for size in bench.task.batch_sizes
        for lr in half_octaves(*task.lr)
        if (size, float(f"{lr:.9g}"), seed) not in done
        for steps in [bench.task.total_steps(size, bench.train_examples)]
    ]
    if not trials:
        return
    new, count = not path.exists(), workers or default_workers(bench.device)
    with (
        path.open("a", encoding="utf-8", newline="") as file,
        make_executor("local", TaskSource.of(task.reference), "loop", count) as executor,
    ):
        writer = csv.writer(file)
        if new:
            writer.writerow(FIELDS)
        for number, (result,) in enumerate(executor.run([(trial,) for trial in trials]), 1):
            values = [getattr(result, field) for field in FIELDS[3:]]
            key = [result.trial.batch_size, f"{result.trial.peak_lr:.9g}", result.trial.seed]
            writer.writerow([*key, *("" if value is None else f"{value:.6g}" for value in values)])
            file.flush()
            print(f"\r{path.name}: {number} of {len(trials)} runs", end="", file=sys.stderr)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
