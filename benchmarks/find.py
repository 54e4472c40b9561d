"""How good the quick answer is: `lrscope find` against the dense grids, judged by the training loss.

    python -m benchmarks.find

Every batch size of every task, several seeds. The truth is the half-octave grid of benchmarks/truth; regret is read off
it between its rates, an interval holds where the optimum of the curve fitted to it lies in it. Prints the table and
writes benchmarks/results/find.md.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from benchmarks.replay import read_truths
from benchmarks.study_regret import task_names
from benchmarks.tasks import TASKS

from lrscope.study.find import find_lr
from lrscope.study.load import TaskSource

RESULTS = Path(__file__).parent / "results" / "find.md"
SEEN = (
    "Of the tasks held out, row-gru, wine and denoising-cnn had been seen when the edge of cut batches was first "
    "explored, and seven were looked at before two changes; digit-pairs, iris-width and next-token were looked at only "
    "when all stood. No constant is set from any of them."
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One suggestion against the truth."""

    task: str
    status: str
    regret: float
    octaves_off: float
    holds: bool
    equivalents: float
    seconds: float


def answers(name: str, seeds: int, budget: float) -> list[Answer]:
    """The suggestions for a task's batch sizes."""
    task = TaskSource.of(TASKS[name].reference).load()
    made = []
    for size, truth in read_truths(name, "train_loss").items():
        best = truth.fit.optimal_lr
        assert best is not None
        for seed in range(10, 10 * seeds + 1, 10):
            found = find_lr(task, batch_size=size, budget=budget, seed=seed)
            rate = found.suggested_lr
            made.append(
                Answer(
                    task=name,
                    status=found.status,
                    regret=1.0 if rate is None else truth.regret(rate.value),
                    octaves_off=math.inf if rate is None else abs(math.log2(rate.value / best.value)),
                    holds=rate is not None and best.value in rate,
                    equivalents=found.full_run_equivalents,
                    seconds=found.seconds,
                )
            )
    return made


def row(title: str, some: Sequence[Answer]) -> str:
    """A row of the table."""
    if not some:
        return f"| {title} | 0 | | | | | | | |"
    regrets = np.array([one.regret for one in some])
    return (
        f"| {title} | {len(some)} | {np.median(regrets):.2%} | {np.mean(regrets <= 0.05):.0%} | "
        f"{np.mean([one.octaves_off <= math.log2(3) for one in some]):.0%} | {np.mean(regrets > 0.5):.0%} | "
        f"{np.mean([one.holds for one in some]):.0%} | {np.mean([one.equivalents for one in some]):.2f} | "
        f"{np.median([one.seconds for one in some]):.1f} |"
    )


def table(made: Sequence[Answer]) -> str:
    """A row for the tasks tuned on and for those held out, in all and by status, then one for each task."""
    lines = [
        "| answers | n | regret: median | ≤ 5 % | within ×3 | half lost | interval holds | full runs | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for held_out, title in ((False, "tuned on"), (True, "held out")):
        some = [one for one in made if TASKS[one.task].held_out == held_out]
        lines.append(row(f"{title}: all", some))
        lines.append(row(f"{title}: found", [one for one in some if one.status == "found"]))
        lines.append(row(f"{title}: inconclusive", [one for one in some if one.status != "found"]))
    names = dict.fromkeys(one.task for one in made)
    lines += [row(name, [one for one in made if one.task == name]) for name in names]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="all", help="names with commas, all, tuning or held-out")
    parser.add_argument("--seeds", type=int, default=4, help="base seeds 10, 20, …: none is the truth's")
    parser.add_argument("--budget", type=float, default=0.3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    made = [one for name in task_names(arguments.tasks) for one in answers(name, arguments.seeds, arguments.budget)]
    text = table(made)
    print(text)
    arguments.out.write_text(
        f"# The quick answer, `lrscope find`\n\n{text}\n\n{len({one.task for one in made})} tasks, three batch sizes, "
        f"{arguments.seeds} seeds, a budget of {arguments.budget:g} full runs, judged by the training loss against the "
        f"half-octave grids with three seeds or twelve. {SEEN} {platform.machine()}, {os.cpu_count()} cores, shared "
        f"with other work.\n\n`python -m benchmarks.find --tasks {arguments.tasks} --seeds {arguments.seeds} "
        f"--budget {arguments.budget:g}`\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
