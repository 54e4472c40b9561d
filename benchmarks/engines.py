"""What each engine makes of a task, a batch size and a number of trials side by side.

    python benchmarks/engines.py [TASK…]

Every engine trains the same trials in the same process, in turns, by the CPU seconds of the process; a figure is the
median over rounds of the ratio to the loop in the same round. `auto` chose before, with rounds of its own. Prints the
tables and writes them to benchmarks/results/engines.md.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tasks import TASKS

from lrscope.study.bench import Bench, one_thread
from lrscope.study.engines.base import NotStackable, Stacking
from lrscope.study.engines.certify import certify, certify_compiled
from lrscope.study.engines.choose import Load, fastest
from lrscope.study.engines.loop import LoopEngine
from lrscope.study.engines.measure import loop_update, measure
from lrscope.study.engines.vmap import VmapEngine, programs_of
from lrscope.study.load import load_file_task
from lrscope.study.trial import Trial

RESULT = Path(__file__).parent / "results" / "engines.md"
TRIALS = (2, 8)
ROUNDS = 7
RUN_SECONDS = 0.25
SCHEDULE = "warmup(5%) -> cosine"

Run = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Case:
    """So many trials of a task at a batch size; costs are in those of the loop, by the name of the engine."""

    task: str
    batch_size: int
    trials: int
    examples_per_second: float
    costs: dict[str, np.ndarray]
    chosen: str
    chosen_long: str
    note: str = ""


def main(names: Sequence[str]) -> None:
    """Measure all tasks, or those named, and write the tables."""
    time.perf_counter = time.process_time  # the engines' clock: what else the machine does is not counted
    cases, lines = [], []
    with one_thread():
        for name in names or TASKS:
            bench = Bench(load_file_task(TASKS[name].reference))
            for batch_size in bench.task.batch_sizes[::2]:
                cases += measure_cases(name, bench, batch_size)
            lines = [*heading(), *speed_table(cases), "", *auto_summary(cases), ""]
            RESULT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def measure_cases(name: str, bench: Bench, batch_size: int) -> list[Case]:
    """Every number of trials of a task at a batch size."""
    try:
        stacking = certify(programs_of(bench), batch_size)
    except NotStackable as reason:
        return [case_of(name, bench, batch_size, trials, {}, str(reason)) for trials in TRIALS[-1:]]
    cases = []
    for trials in TRIALS:
        stackings = {"vmap": stacking}
        try:
            stackings["compiled"] = certify_compiled(programs_of(bench, "compiled"), batch_size, trials)
        except NotStackable as reason:
            print(f"{name}, {batch_size}: {reason}", file=sys.stderr)
        cases.append(case_of(name, bench, batch_size, trials, stackings, ""))
        print(name, batch_size, trials, {key: np.median(cost) for key, cost in cases[-1].costs.items()}, flush=True)
    return cases


def case_of(name: str, bench: Bench, batch_size: int, trials: int, stackings: dict[str, Stacking], note: str) -> Case:
    """One case: what `auto` chooses, then every engine's own measurement."""
    chosen = engine_name(choice(bench, batch_size, trials, long=False))
    chosen_long = engine_name(choice(bench, batch_size, trials, long=True)) if "compiled" in stackings else chosen
    updates = max(24, round(RUN_SECONDS / loop_seconds(bench, batch_size)))
    asked = [
        Trial(
            batch_size=batch_size, peak_lr=1e-4 * 1.5**i, schedule=SCHEDULE, seed=0, total_steps=updates,
            stop_at=updates,
        )
        for i in range(trials)
    ]  # fmt: skip
    one = LoopEngine()
    runs: dict[str, Run] = {"loop": lambda: seconds_of(one.train(bench, asked[:1]))}
    for engine, stacking in stackings.items():
        stacked = VmapEngine({batch_size: stacking})
        runs[engine] = lambda stacked=stacked: seconds_of(stacked.train(bench, asked)) / trials  # type: ignore[misc]
    times = in_turns(runs)
    return Case(
        task=name,
        batch_size=batch_size,
        trials=trials,
        examples_per_second=updates * batch_size / float(np.median(times["loop"])),
        costs={engine: times[engine] / times["loop"] for engine in stackings},
        chosen=chosen,
        chosen_long=chosen_long,
        note=note,
    )


def choice(bench: Bench, batch_size: int, trials: int, *, long: bool) -> Stacking | None:
    """What `auto` takes where a worker's trials take two minutes in all, or twenty."""
    seconds = 1200 if long else 120
    updates = seconds / loop_seconds(bench, batch_size)
    try:
        return fastest(bench, Load(batch_size=batch_size, updates={trials: updates}))
    except NotStackable:
        return None


def engine_name(stacking: Stacking | None) -> str:
    """The name of a choice in the tables."""
    if stacking is None:
        return "loop"
    return "compiled" if stacking.compiled else "vmap"


def loop_seconds(bench: Bench, batch_size: int) -> float:
    """An update of the loop, roughly."""
    return float(np.median(measure({"loop": loop_update(bench, batch_size)}, 0.1)["loop"]))


def seconds_of(results: Sequence[object]) -> float:
    """The training time of trials, evaluations left out."""
    return sum(result.seconds for result in results)  # type: ignore[attr-defined]


def in_turns(runs: dict[str, Run], rounds: int = ROUNDS) -> dict[str, np.ndarray]:
    """(rounds,) seconds of each, in turns, the order reversed at every other round; one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for number in range(rounds):
        for name in list(runs)[:: 1 if number % 2 else -1]:
            times[name].append(runs[name]())
    return {name: np.array(values) for name, values in times.items()}


def heading() -> list[str]:
    """What was run, and on what."""
    return [
        "# Engines",
        "",
        f"`python benchmarks/engines.py` on {hardware()}. One process of one thread; every engine trains the same "
        f"trials in turns, {ROUNDS} rounds, by CPU seconds; a speed is in times that of the loop in the same round: "
        "median [least, most]. `auto` chose beforehand, where a worker's trials take two minutes in all (no compiler "
        "is tried) and where they take twenty.",
        "",
    ]


def speed_table(cases: Sequence[Case]) -> list[str]:
    """A row for each case."""
    lines = [
        "| task | batch size | trials | loop, examples/s | vmap | compiled | auto, 2 min | auto, 20 min |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        cells = [speed(case.costs.get(name)) for name in ("vmap", "compiled")]
        if case.note:
            cells = [f"no: {case.note}", ""]
        lines.append(
            f"| {case.task} | {case.batch_size} | {case.trials} | {case.examples_per_second:,.0f} | "
            f"{' | '.join(cells)} | {case.chosen} | {case.chosen_long} |"
        )
    return lines


def speed(cost: np.ndarray | None) -> str:
    """Times as fast as the loop."""
    return "–" if cost is None else f"×{1 / np.median(cost):.2f} [{1 / cost.max():.2f}, {1 / cost.min():.2f}]"


def auto_summary(cases: Sequence[Case]) -> list[str]:
    """By how much auto's choice is slower than the best engine of a case."""
    lines = [
        "| auto | cases | best engine chosen | never slower than | slower by more than 5 % |",
        "|---|---|---|---|---|",
    ]
    for title, long in (("two minutes: loop or vmap", False), ("twenty minutes: compiled too", True)):
        able = [case for case in cases if case.costs and (not long or "compiled" in case.costs)]
        if not able:
            continue
        slower = np.array([regret(case, long) for case in able])
        lines.append(
            f"| {title} | {len(able)} | {np.mean(slower == 0):.0%} | {slower.max():.1%} | {np.sum(slower > 0.05)} |"
        )
    return lines


def regret(case: Case, long: bool) -> float:
    """By what share the engine that auto chose is slower than the best it could choose."""
    costs = {"loop": 1.0} | {name: float(np.median(cost)) for name, cost in case.costs.items()}
    if not long:
        costs.pop("compiled", None)
    return costs[case.chosen_long if long else case.chosen] / min(costs.values()) - 1


def hardware() -> str:
    """The machine and the versions, in one line."""
    information = Path("/proc/cpuinfo")
    names = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    model = next((line.split(":")[1].strip() for line in names if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"


if __name__ == "__main__":
    main(sys.argv[1:])
