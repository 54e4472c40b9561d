"""How near to a dense sweep the study's choice comes, and what it costs: the regret of the rate that it chooses.

    python -m benchmarks.study_regret                  # all tasks, four base seeds
    python -m benchmarks.study_regret --tasks held-out --trained

A study of the task's three batch sizes is replayed on real training, each trial trained once and kept. Its regret is
(L(chosen) − L(best)) / (L_init − L(best)) on the table of benchmarks/truth: half octaves, three seeds or twelve.
L(chosen) is read off the table between its rates, or with --trained trained on the table's seeds. An interval holds
where the optimum of the curve that is fitted to the whole table lies in it; that of the expected loss, where the
table's mean over seeds at the chosen rate does. Prints the table and writes benchmarks/results/study_regret.md.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from benchmarks.replay import Trainer, Truth, drive, metrics_of, open_trainer, read_truths, train_choice
from benchmarks.tasks import TASKS

from lrscope.study.assemble import assemble, observe
from lrscope.study.search import next_trials

BUNDLED = ("digits", "digits-adamw", "pydoc-text")
RESULTS = Path(__file__).parent / "results" / "study_regret.md"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One optimum of one study."""

    task: str
    metric: str
    seed: int
    batch_size: int
    status: str
    lr: float
    best_lr: float
    regret: float
    holds: bool
    loss_holds: bool
    low: float  # the interval's ends and its width, in octaves
    high: float
    width: float
    equivalents: float
    runs: int


def study(trainer: Trainer, metric: str, seed: int, trained: bool) -> list[Case]:
    """The optima of one study against the truth."""
    plan = trainer.plan(metric=metric, seed=seed)
    seen = drive(trainer, lambda seen: next_trials(plan.space, observe(seen, metric)))
    truths = read_truths(trainer.name, metric)
    cases = []
    for optimum in assemble(plan, seen, "loop", 0.0).optima:
        truth: Truth = truths[optimum.batch_size]
        chosen = optimum.optimal_lr
        assert chosen is not None
        losses = train_choice(trainer, plan, optimum.batch_size, chosen.value) if trained else None
        best = truth.fit.optimal_lr
        assert best is not None
        low, high = chosen.low or 0.0, chosen.high or math.inf
        regret, expected = truth.regret(chosen.value, losses), optimum.expected_loss
        assert expected is not None
        cases.append(
            Case(
                task=trainer.name,
                metric=metric,
                seed=seed,
                batch_size=optimum.batch_size,
                status=optimum.status,
                lr=chosen.value,
                best_lr=best.value,
                regret=regret,
                holds=low <= best.value <= high,
                loss_holds=truth.loss_of(regret) in expected,
                low=math.log2(low) if low > 0 else -math.inf,
                high=math.log2(high),
                width=math.log2(high / low) if low > 0 else math.inf,
                equivalents=optimum.full_run_equivalents,
                runs=optimum.runs,
            )
        )
    return cases


def table(cases: list[Case]) -> str:
    """The cases by task and metric, and all together."""
    rows = [
        "| task | metric | optima | found | regret: median | 95 % | worst | interval holds | octaves | loss holds "
        "| full runs |"
    ]
    rows += ["|---|---|---|---|---|---|---|---|---|---|---|"]
    groups = dict.fromkeys((case.task, case.metric) for case in cases)
    for task, metric in groups:
        rows.append(_row(task, metric, [case for case in cases if (case.task, case.metric) == (task, metric)]))
    rows.append(_row("**all**", "", cases))
    return "\n".join(rows)


def tables(cases: list[Case]) -> str:
    """A table for the bundled tasks, for those that the search was tuned on beside them, and for those held out."""
    groups = {
        "Bundled tasks": [case for case in cases if case.task in BUNDLED],
        "Other tasks that the search was tuned on": [
            case for case in cases if case.task not in BUNDLED and not TASKS[case.task].held_out
        ],
        "Tasks held out: never looked at while the search was tuned": [
            case for case in cases if TASKS[case.task].held_out
        ],
    }
    return "\n\n".join(f"## {title}\n\n{table(part)}" for title, part in groups.items() if part)


def _row(task: str, metric: str, cases: list[Case]) -> str:
    regrets = 100 * np.array([case.regret for case in cases])
    numbers = (
        f"{np.median(regrets):.2f} % | {np.quantile(regrets, 0.95):.2f} % | {regrets.max():.2f} % | "
        f"{np.mean([case.holds for case in cases]):.0%} | {np.median([case.width for case in cases]):.1f} | "
        f"{np.mean([case.loss_holds for case in cases]):.0%} | {np.mean([case.equivalents for case in cases]):.2f}"
    )
    found = sum(case.status == "found" for case in cases)
    return f"| {task} | {metric.replace('_', ' ')} | {len(cases)} | {found} | {numbers} |"


def main() -> None:
    """Replay, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="all", help="names with commas, all, tuning or held-out")
    parser.add_argument("--metrics", default="val_loss,train_loss")
    parser.add_argument("--seeds", type=int, default=4, help="base seeds 10, 20, …: none is the truth's")
    parser.add_argument("--trained", action="store_true", help="train the chosen rates on the table's seeds")
    parser.add_argument("--each", action="store_true", help="print every optimum")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    cases = []
    for name in task_names(arguments.tasks):
        with open_trainer(name) as trainer:
            for metric in metrics_of(name):
                for number in range(arguments.seeds if metric in arguments.metrics.split(",") else 0):
                    cases += study(trainer, metric, 10 * (number + 1), arguments.trained)
    if arguments.each:
        for case in sorted(cases, key=lambda case: -case.regret):
            print(case)
    text = tables(cases)
    print(text)
    options = f"--tasks {arguments.tasks} --metrics {arguments.metrics} --seeds {arguments.seeds}"
    chosen = ", the choice trained on its seeds" if arguments.trained else ""
    arguments.out.write_text(
        f"# Regret of the study's choice\n\n{text}\n\n"
        f"{arguments.seeds} studies (base seeds) a task and metric, three batch sizes each. Regrets are against the "
        f"best of the half-octave grid with three seeds or twelve{chosen}; intervals are of 80 %, loss holds is that "
        f"of the expected loss at the choice; full runs are equivalents a batch size, nothing "
        f"left out. {platform.machine()}, {os.cpu_count()} cores.\n\n"
        f"`python -m benchmarks.study_regret {options}{' --trained' if arguments.trained else ''}`\n",
        encoding="utf-8",
    )


def task_names(text: str) -> list[str]:
    """The tasks meant by a list of names, `all`, `tuning` or `held-out`."""
    if text in ("all", "tuning", "held-out"):
        return [name for name, task in TASKS.items() if text == "all" or task.held_out == (text == "held-out")]
    return text.split(",")


if __name__ == "__main__":
    main()
