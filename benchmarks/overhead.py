"""What the loop engine adds to an update, over the training loop that one would write by hand.

    python benchmarks/overhead.py [TASK…]

Both train the same run in the same process, in turns, by the CPU seconds of the process; short runs more often.
Prints the table and writes it to benchmarks/results/overhead.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from engines import ROUNDS, RUN_SECONDS, SCHEDULE, hardware, in_turns, loop_seconds, seconds_of
from tasks import TASKS

from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import Bench, one_thread
from lrscope.study.engines.loop import LoopEngine
from lrscope.study.load import load_file_task
from lrscope.study.trial import Trial

RESULT = Path(__file__).parent / "results" / "overhead.md"
MOST_ROUNDS = 61


def main(names: Sequence[str]) -> None:
    """Measure all tasks, or those named, and write the table."""
    time.perf_counter = time.process_time  # the engine's clock: what else the machine does is not counted
    overheads: list[Overhead] = []
    with one_thread():
        for name in names or TASKS:
            bench = Bench(load_file_task(TASKS[name].reference))
            if bench.task.loss is not None and hasattr(bench.train, "tensors"):
                overheads += [measure_overhead(name, bench, size) for size in bench.task.batch_sizes[::2]]
            RESULT.write_text("\n".join(overhead_table(overheads)), encoding="utf-8")
    print("\n".join(overhead_table(overheads)))


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """What the loop engine takes over a bare loop: (rounds,) ratios for a run of so many updates."""

    task: str
    batch_size: int
    updates: int
    microseconds: float
    ratios: np.ndarray


def measure_overhead(name: str, bench: Bench, batch_size: int) -> Overhead:
    """The loop engine against the training loop that one would write by hand, on a full run or the start of one."""
    update_seconds = loop_seconds(bench, batch_size)
    updates = min(
        max(24, round(RUN_SECONDS / update_seconds)), bench.task.total_steps(batch_size, bench.train_examples)
    )
    trial = Trial(batch_size=batch_size, peak_lr=1e-3, schedule=SCHEDULE, seed=0, total_steps=updates, stop_at=updates)
    engine = LoopEngine()
    rounds = min(MOST_ROUNDS, max(ROUNDS, round(RUN_SECONDS * MOST_ROUNDS / 10 / (updates * update_seconds))))
    runs = {"bare": lambda: bare(bench, trial), "loop": lambda: seconds_of(engine.train(bench, [trial]))}
    times = in_turns(runs, rounds)
    return Overhead(
        task=name,
        batch_size=batch_size,
        updates=updates,
        microseconds=float(np.median(times["bare"])) / updates * 1e6,
        ratios=times["loop"] / times["bare"],
    )


def bare(bench: Bench, trial: Trial) -> float:
    """Seconds of a bare training loop: indexed tensors, no DataLoader, nothing recorded but the losses."""
    model = bench.make_model(trial.seed).train()
    optimizer = bench.make_optimizer(model, trial.peak_lr)
    inputs, targets = bench.train.tensors  # type: ignore[attr-defined]
    loss_of = bench.task.loss
    shares = parse_schedule(trial.schedule, total_steps=trial.total_steps)(np.arange(trial.stop_at)).tolist()
    batches = len(inputs) // trial.batch_size
    losses = torch.zeros(trial.stop_at)
    started = time.perf_counter()
    for step in range(trial.stop_at):
        place = step % batches
        if place == 0:
            order = torch.randperm(len(inputs))
        rows = order[place * trial.batch_size : (place + 1) * trial.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = trial.peak_lr * shares[step]
        optimizer.zero_grad()
        loss = loss_of(model(inputs[rows]), targets[rows])  # type: ignore[misc]
        loss.backward()
        if bench.task.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), bench.task.clip_norm)
        optimizer.step()
        losses[step] = loss.detach()
    return time.perf_counter() - started


def overhead_table(overheads: Sequence[Overhead]) -> list[str]:
    """What the loop engine adds to an update."""
    lines = [
        "# What the plain loop adds to an update",
        "",
        f"`python benchmarks/overhead.py` on {hardware()}. The loop engine, which records, measures and evaluates, "
        "over the bare loop that one would write by hand (no DataLoader, one thread, the same optimizer), on whole "
        f"runs or {RUN_SECONDS} s of one, in turns, by CPU seconds; evaluations are not counted.",
        "",
        "| task | batch size | updates | bare update, µs | rounds | loop engine: median [lower, upper quartile] |",
        "|---|---|---|---|---|---|",
    ]
    for one in overheads:
        low, middle, high = (f"{100 * (value - 1):+.1f} %" for value in np.quantile(one.ratios, [0.25, 0.5, 0.75]))
        lines.append(
            f"| {one.task} | {one.batch_size} | {one.updates} | {one.microseconds:.0f} | {len(one.ratios)} | "
            f"{middle} [{low}, {high}] |"
        )
    medians = [np.median(one.ratios) - 1 for one in overheads]
    most = f"the most {max(medians):+.1%}; more than 10 % in {sum(one > 0.1 for one in medians)}"
    return [*lines, "", f"Median over these {len(medians)}: {np.median(medians):+.1%}; {most}.", ""]


if __name__ == "__main__":
    main(sys.argv[1:])
