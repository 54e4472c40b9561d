"""The truth that searches are measured against: dense half-octave grids with three seeds or more, trained in full.

    python -m benchmarks.truth digits diabetes        # writes benchmarks/truth/{digits,diabetes}.csv

A table has one row a run: batch_size, lr, seed, train_loss, val_loss, initial_train_loss, initial_val_loss, seconds.
A diverged run has an infinite loss. Run again, it goes on where it was. With three seeds the lowest mean may be the
luckiest: where a mean near it is uncertain by more than half a per cent of what training gains, the rates that lose
less than 30 % (three at least) get nine more seeds.
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
from lrscope.study.executors.base import Executor, default_workers, make_executor
from lrscope.study.load import TaskSource, load_file_task
from lrscope.study.plan import DEFAULT_SCHEDULE
from lrscope.study.trial import Trial

FOLDER = Path(__file__).parent / "truth"
FIELDS = (
    *("batch_size", "lr", "seed", "train_loss", "val_loss"),
    *("initial_train_loss", "initial_val_loss", "seconds"),
)
SEEDS, MOST_SEEDS = 3, 12
UNCERTAIN = 0.005  # of the gain: a standard error of the means near the best one that asks for more seeds
NEAR, WORTH = 0.1, 0.3  # regrets: near the best; worth more seeds
FEWEST = 3  # rates that are compared, and get more seeds, however much they lose: the one best may be the luckiest


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
    """Train what the table of a task does not have yet: the grid, then more seeds where they decide."""
    task, path = TASKS[name], FOLDER / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_text(",".join(FIELDS) + "\r\n", encoding="utf-8")
    bench = Bench(load_file_task(task.reference))
    count = workers or default_workers(bench.device)
    grid = [(size, lr, s) for s in range(SEEDS) for size in bench.task.batch_sizes for lr in half_octaves(*task.lr)]
    with make_executor("local", TaskSource.of(task.reference), "loop", count) as executor:
        train_rows(path, bench, executor, grid)
        train_rows(path, bench, executor, uncertain_rows(read_truth(path)))


def train_rows(path: Path, bench: Bench, executor: Executor, wanted: list[tuple[int, float, int]]) -> None:
    """Train the (batch size, rate, seed) that the table does not have, and add them to it."""
    known = read_truth(path)
    keys = zip(known["batch_size"], known["lr"], known["seed"], strict=True)
    done = {(int(size), float(lr), int(seed)) for size, lr, seed in keys}
    trials = [
        Trial(batch_size=size, peak_lr=lr, schedule=DEFAULT_SCHEDULE, seed=seed, total_steps=steps, stop_at=steps)
        for size, lr, seed in wanted
        if (size, float(f"{lr:.9g}"), seed) not in done
        for steps in [bench.task.total_steps(size, bench.train_examples)]
    ]
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for number, (result,) in enumerate(executor.run([(trial,) for trial in trials]), 1):
            values = [getattr(result, field) for field in FIELDS[3:]]
            key = [result.trial.batch_size, f"{result.trial.peak_lr:.9g}", result.trial.seed]
            writer.writerow([*key, *("" if value is None else f"{value:.6g}" for value in values)])
            file.flush()
            print(f"\r{path.name}: {number} of {len(trials)} runs", end="", file=sys.stderr)
    if trials:
        print(file=sys.stderr)


def uncertain_rows(table: dict[str, np.ndarray]) -> list[tuple[int, float, int]]:
    """The (batch size, rate, seed) beyond the first seeds of the batch sizes whose best rate luck may have chosen."""
    rows: dict[tuple[int, float, int], None] = {}
    for size in np.unique(table["batch_size"]).astype(int):
        for metric in ("train_loss", "val_loss"):
            first = (table["batch_size"] == size) & (table["seed"] < SEEDS) & ~np.isnan(table[metric])
            if not first.any():
                continue
            lr, at = np.unique(table["lr"][first], return_inverse=True)
            initial = float(table[f"initial_{metric}"][first].mean())
            losses = np.empty((len(lr), SEEDS))
            losses[at, table["seed"][first].astype(int)] = np.minimum(table[metric][first], initial)  # also inf
            regret = (losses.mean(1) - losses.mean(1).min()) / (initial - losses.mean(1).min())
            ranked = np.argsort(regret)
            near, worth = (ranked[: max(FEWEST, int(np.sum(regret < limit)))] for limit in (NEAR, WORTH))
            # What a seed adds to all rates decides nothing.
            spread = (losses[near] - losses[near].mean(0)).std(1, ddof=1)
            if np.sqrt(np.mean(spread**2) / SEEDS) > UNCERTAIN * (initial - losses.mean(1).min()):
                rates = 2.0 ** (np.round(2 * np.log2(np.sort(lr[worth]))) / 2)
                rows |= dict.fromkeys((int(size), float(x), s) for s in range(SEEDS, MOST_SEEDS) for x in rates)
    return list(rows)


if __name__ == "__main__":
    main()
