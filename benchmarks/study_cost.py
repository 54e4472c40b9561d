"""What the optimum costs: lrscope beside its peers, regret against full-run equivalents.

    python -m benchmarks.study_cost                 # the tasks that no search was tuned on
    python -m benchmarks.study_cost --tasks all

Peers run as their users run them. Optuna's TPE, GP and random samplers, on 1e-6 to 10, look up their runs in the dense
grid of benchmarks/truth, seed by seed, straight lines between its half octaves: a run is one full-run equivalent, one
outside the grid on the left is read off its first slope, one on the right diverged (counted as a tenth of a run). All
others, and lrscope itself, train for real. Tuners are judged by the study's metric, finders, which look at short runs
only, by the training loss. Prints the table, writes
benchmarks/results/study_cost.md and the picture docs/pictures/study_cost.{svg,png}. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from benchmarks.finders import FINDERS, TUNING_FREE, quiet, train_free
from benchmarks.races import HIGH, LOW, RACES
from benchmarks.replay import CACHE, Trainer, Truth, drive, metrics_of, open_trainer, read_truths
from benchmarks.study_regret import task_names
from benchmarks.truth import FOLDER, read_truth

from lrscope.study.assemble import assemble, observe
from lrscope.study.search import next_trials

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "study_cost.md"
PICTURE = ROOT / "docs" / "pictures" / "study_cost"
BUDGETS = (3, 4, 5, 6, 8, 10, 12, 15, 20, 30)
SHOWN = (5, 10, 15, 30)  # of these, in the table
NOTE = """Tasks: {tasks}, three batch sizes each, {seeds} base seeds ({tuners} for the samplers). Full runs are full-run
equivalents a batch size. Studies, samplers and races are judged by the validation loss (the training loss where there
is none), finders by the training loss. The truth is the half-octave grid with three seeds, and with twelve near the
best rate where luck would choose it, read between its rates along their logarithm. What lrscope find calls inconclusive
counts like the rest here; find.md tells them apart. The samplers look their runs up in the grid: their seconds are
their own overhead alone. Other seconds are of one thread on {machine} with {cores} cores, shared with other work.

`python -m benchmarks.study_cost {command}`
"""
DIVERGED_COST = 0.1
SAMPLERS = ("Optuna TPE", "Optuna GP", "random")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One optimum by one method: what its choice loses, what it cost, how far it is from the best rate in octaves."""

    method: str
    task: str
    batch_size: int
    metric: str
    seed: int
    regret: float
    equivalents: float
    seconds: float
    octaves_off: float


class Table:
    """A dense grid as a job whose runs cost nothing: the loss of one seed at any rate."""

    def __init__(self, truth: Truth, seed: int) -> None:
        self.octaves = np.log2(truth.lr)
        whole = truth.losses[:, ~np.isnan(truth.losses).any(axis=0)]  # the seeds that every rate has
        column = whole[:, seed % whole.shape[1]]
        self.losses = np.where(np.isfinite(column), column, math.inf)
        self.initial = truth.initial

    def loss(self, lr: float) -> float:
        """The final loss; inf where it diverged."""
        octave = math.log2(lr)
        if octave > self.octaves[-1]:
            return math.inf
        if octave < self.octaves[0]:
            slope = (self.losses[0] - self.losses[1]) / (self.octaves[1] - self.octaves[0])
            return float(min(self.losses[0] + max(slope, 0.0) * (self.octaves[0] - octave), self.initial))
        at = int(np.searchsorted(self.octaves, octave))
        if at == 0 or not math.isfinite(self.losses[at]) or not math.isfinite(self.losses[at - 1]):
            return float(self.losses[at])
        return float(np.interp(octave, self.octaves[at - 1 : at + 1], self.losses[at - 1 : at + 1]))


def tuner(name: str, table: Table, seed: int, trials: int) -> list[tuple[float, float, float]]:
    """(rate, loss, seconds so far) of each trial of a sampler over log-uniform rates."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "Optuna TPE": lambda: optuna.samplers.TPESampler(seed=seed),
        "Optuna GP": lambda: optuna.samplers.GPSampler(seed=seed),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    study = optuna.create_study(sampler=samplers[name]())
    started, runs = time.perf_counter(), []
    for _ in range(trials):
        trial = study.ask()
        rate = trial.suggest_float("lr", LOW, HIGH, log=True)
        loss = table.loss(rate)
        # A diverged run is told as one that learned nothing: a sampler cannot take infinity.
        study.tell(trial, min(loss, table.initial))
        runs.append((rate, loss, time.perf_counter() - started))
    return runs


def tuner_outcomes(name: str, truths: dict[int, Truth], task: str, metric: str, seeds: int) -> Iterator[Outcome]:
    """A sampler's best rate after each budget."""
    for size, truth in truths.items():
        for seed in range(seeds):
            table = Table(truth, seed)
            runs = tuner(name, table, seed, max(BUDGETS))
            costs = np.cumsum([1.0 if math.isfinite(loss) else DIVERGED_COST for _, loss, _ in runs])
            for budget in BUDGETS:
                seen = [run for run, cost in zip(runs, costs, strict=True) if cost <= budget]
                best = min(seen, key=lambda run: run[1])
                yield outcome(f"{name}, {budget} runs", task, size, metric, seed, truth, best[0], budget, seen[-1][2])


def outcome(
    method: str, task: str, size: int, metric: str, seed: int, truth: Truth, rate: float | None, cost: float, sec: float
) -> Outcome:
    """The outcome of a suggested rate; none at all counts as the rate's default, nothing learned."""
    best = truth.lr[int(np.argmin(truth.mean))] if truth.fit.optimal_lr is None else truth.fit.optimal_lr.value
    return Outcome(
        method=method, task=task, batch_size=size, metric=metric, seed=seed,
        regret=1.0 if rate is None else truth.regret(rate), equivalents=float(cost), seconds=sec,
        octaves_off=math.inf if rate is None else abs(math.log2(rate / best)),
    )  # fmt: skip


def study_outcomes(
    trainer: Trainer, metric: str, seed: int, savings: frozenset[str] | None, name: str
) -> list[Outcome]:
    """The optima of one study, by real training."""
    plan = trainer.plan(metric=metric, seed=seed)
    if savings is not None:
        plan = replace(plan, space=replace(plan.space, savings=savings))
    seen = drive(trainer, lambda seen: next_trials(plan.space, observe(seen, metric)))
    truths = read_truths(trainer.name, metric)
    result = assemble(plan, seen, "loop", 0.0)
    seconds = sum(run.seconds for run in seen.values()) / len(result.optima)
    return [
        outcome(
            name, trainer.name, found.batch_size, metric, seed, truths[found.batch_size],
            None if found.optimal_lr is None else found.optimal_lr.value, found.full_run_equivalents, seconds,
        )
        for found in result.optima
    ]  # fmt: skip


def finder_outcomes(trainer: Trainer, seed: int) -> Iterator[Outcome]:
    """Every finder on every batch size, judged by the training loss."""
    bench = trainer.bench
    for size, truth in read_truths(trainer.name, "train_loss").items():
        total = bench.task.total_steps(size, bench.train_examples)
        for name, finder in FINDERS.items():
            started = time.perf_counter()
            with quiet():
                rate, updates = finder(bench, size, seed)
            seconds = time.perf_counter() - started
            yield outcome(name, trainer.name, size, "train_loss", seed, truth, rate, updates / total, seconds)


def race_outcomes(trainer: Trainer, metric: str, seed: int) -> Iterator[Outcome]:
    """The tuners that stop runs early; a run that was trained before counts the seconds that one usually takes."""
    table = read_truth(FOLDER / f"{trainer.name}.csv")
    for size, truth in read_truths(trainer.name, metric).items():
        usual = float(np.median(table["seconds"][table["batch_size"] == size]))
        for name, race in RACES.items():
            rate, paid = race(trainer, size, metric, seed)
            yield outcome(name, trainer.name, size, metric, seed, truth, rate, paid, paid * usual)


def free_outcomes(trainer: Trainer, metric: str, seed: int) -> Iterator[Outcome]:
    """The tuning-free optimizers: one full run each, no rate to compare."""
    for size, truth in read_truths(trainer.name, metric).items():
        for name in TUNING_FREE:
            started = time.perf_counter()
            loss = train_free(trainer.bench, size, seed, name, metric)
            best = truth.mean.min()
            loss = min(loss, truth.initial)
            yield Outcome(
                method=name, task=trainer.name, batch_size=size, metric=metric, seed=seed,
                regret=(loss - best) / (truth.initial - best), equivalents=1.0,
                seconds=time.perf_counter() - started, octaves_off=math.nan,
            )  # fmt: skip


ABLATIONS = {
    "lrscope study": None,
    "  without short runs": frozenset({"neighbours"}),
    "  without its neighbours": frozenset({"bracket"}),
    "  without either": frozenset[str](),
}


def measure(name: str, seeds: int, parts: Sequence[str]) -> list[Outcome]:
    """All methods on one task; what has been measured is kept beside the trials."""
    outcomes: list[Outcome] = []
    metric = metrics_of(name)[0]
    with open_trainer(name) as trainer:
        for seed in range(10, 10 * seeds + 1, 10):
            if "study" in parts:
                for label, savings in ABLATIONS.items():
                    outcomes += study_outcomes(trainer, metric, seed, savings, label)
            if "finders" in parts:
                outcomes += kept(name, f"finders-{seed}", lambda seed=seed: list(finder_outcomes(trainer, seed)))
            if "races" in parts:
                outcomes += kept(name, f"races-{seed}", lambda seed=seed: list(race_outcomes(trainer, metric, seed)))
            if "free" in parts:
                outcomes += kept(name, f"free-{seed}", lambda seed=seed: list(free_outcomes(trainer, metric, seed)))
    if "tuners" in parts:
        for sampler in SAMPLERS:
            truths = read_truths(name, metric)
            outcomes += kept(
                name,
                f"{sampler}-{3 * seeds}",
                lambda sampler=sampler, truths=truths: list(tuner_outcomes(sampler, truths, name, metric, 3 * seeds)),
            )
    return outcomes


def kept(task: str, part: str, make: Callable[[], list[Outcome]]) -> list[Outcome]:
    """Outcomes measured before, or measured now and kept."""
    path = CACHE / task / f"{part.replace(' ', '_')}.json"
    if path.exists():
        return [Outcome(**item) for item in json.loads(path.read_text())]
    made = make()
    path.write_text(json.dumps([asdict(item) for item in made]))
    return made


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method over all its optima."""

    method: str
    optima: int
    equivalents: float
    seconds: float
    median: float
    p95: float
    within_3: float
    half_lost: float


def summarise(outcomes: Sequence[Outcome]) -> list[Row]:
    """A row for each method, in the order of their first appearance."""
    rows = []
    for method in dict.fromkeys(item.method for item in outcomes):
        mine = [item for item in outcomes if item.method == method]
        regrets, off = np.array([item.regret for item in mine]), np.array([item.octaves_off for item in mine])
        rows.append(
            Row(
                method=method,
                optima=len(mine),
                equivalents=float(np.mean([item.equivalents for item in mine])),
                seconds=float(np.mean([item.seconds for item in mine])),
                median=float(np.median(regrets)),
                p95=float(np.quantile(regrets, 0.95)),
                within_3=math.nan if np.isnan(off).any() else float(np.mean(off <= math.log2(3))),
                half_lost=float(np.mean(regrets > 0.5)),
            )
        )
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    lines = [
        "| method | optima | full runs | seconds | regret: median | 95 % | within ×3 of the best rate | half lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        budget = row.method.partition(", ")[2].removesuffix(" runs")
        if budget.isdigit() and int(budget) not in SHOWN:
            continue
        within = "–" if math.isnan(row.within_3) else f"{row.within_3:.0%}"
        lines.append(
            f"| {row.method.replace('  ', '&nbsp;&nbsp;')} | {row.optima} | {row.equivalents:.2f} | "
            f"{row.seconds:.1f} | {row.median:.2%} | {row.p95:.2%} | {within} | {row.half_lost:.0%} |"
        )
    return "\n".join(lines)


FAMILIES = {
    "lrscope": ("lrscope study", "lrscope find"),
    "samplers": SAMPLERS,
    "early stopping": tuple(RACES),
    "finders": tuple(name for name in FINDERS if not name.startswith("lrscope")),
    "no tuning": tuple(TUNING_FREE),
}
TITLE = "regret, % of what training gains"
LETTER, TALL = 1.1, 1.45  # what a letter and a line take up in the picture, as factors of the cost and of the regret
COLOURS = ("#0b5fa5", "#8a8f98", "#2e8b57", "#d9772b", "#9467bd")


def points_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The points of the picture: two for each row of a method that is in it."""
    points: list[dict[str, Any]] = []
    for row in rows:
        name, _, budget = row.method.partition(", ") if row.method.endswith(" runs") else (row.method, "", "")
        family = next((family for family, names in FAMILIES.items() if name in names), None)
        if family is None:
            continue
        for what, value in (("median", row.median), ("95th percentile", row.p95)):
            points.append({
                "method": name, "family": family, "cost": row.equivalents, "regret": 100 * max(value, 1e-4),
                "what": what, "line": bool(budget), "end": not budget or row.equivalents == max(BUDGETS),
            })  # fmt: skip
    return points


def with_labels(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points, each with the height of its name: its own, or as far below as leaves the names above legible."""
    placed: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda point: -point["regret"]):
        near = [
            other["label"]
            for other in placed
            if point["end"] and other["end"] and other["what"] == point["what"] and _overlap(point, other)
        ]  # fmt: skip
        placed.append({**point, "label": min([point["regret"], *(height / TALL for height in near)])})
    return placed


def _overlap(point: dict[str, Any], other: dict[str, Any]) -> bool:
    left, right = sorted((point, other), key=lambda one: float(one["cost"]))
    return bool(right["cost"] < left["cost"] * LETTER ** (len(left["method"]) + 1))


def draw(rows: Sequence[Row]) -> None:
    """One picture: median and 95th percentile of the regret against the cost, both logarithmic."""
    import altair as alt

    heights = alt.Scale(type="log", domain=[0.02, 120])
    scale = alt.Scale(domain=list(FAMILIES), range=list(COLOURS))
    base = alt.Chart().encode(
        x=alt.X(
            "cost:Q",
            title="cost, full runs a batch size",
            scale=alt.Scale(type="log", domain=[0.2, 100]),
            axis=alt.Axis(values=[0.3, 1, 3, 10, 30], gridColor="#eee"),
        ),
        y=alt.Y(
            "regret:Q",
            title=TITLE,
            scale=heights,
            axis=alt.Axis(values=[0.03, 0.1, 0.3, 1, 3, 10, 30, 100], gridColor="#eee"),
        ),
        color=alt.Color("family:N", title=None, scale=scale),
        detail="method:N",
    )
    lines = base.transform_filter("datum.line").mark_line(strokeWidth=2, opacity=0.7)
    dots = base.transform_filter("!datum.line").mark_point(filled=True, size=90, opacity=1)
    names = base.transform_filter("datum.end").mark_text(align="left", dx=7, fontSize=10)
    names = names.encode(alt.Y("label:Q", title=TITLE, scale=heights), text="method:N")
    chart = (
        alt.layer(lines, dots, names, data=alt.Data(values=with_labels(points_of(rows))))
        .properties(width=400, height=320)
        .facet(column=alt.Column("what:N", title=None, sort=["median", "95th percentile"]))
        .properties(title="What the best learning rate costs: lower left is better")
        .configure_view(stroke="#ccc")
        .configure_legend(orient="bottom")
        .configure_title(anchor="start")
    )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    chart.save(f"{PICTURE}.svg")
    chart.save(f"{PICTURE}.png", scale_factor=1.5)


def main() -> None:
    """Measure, print, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="held-out", help="names with commas, all, tuning or held-out")
    parser.add_argument("--seeds", type=int, default=2, help="base seeds; tuners take three times as many")
    parser.add_argument("--parts", default="study,tuners,races,finders,free")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    for name in task_names(arguments.tasks):
        outcomes += measure(name, arguments.seeds, arguments.parts.split(","))
    rows = summarise(outcomes)
    text = markdown(rows)
    print(text)
    draw(rows)
    tasks = sorted({item.task for item in outcomes})
    note = NOTE.format(
        tasks=", ".join(tasks), seeds=arguments.seeds, tuners=3 * arguments.seeds, machine=platform.machine(),
        cores=os.cpu_count(), command=f"--tasks {arguments.tasks} --seeds {arguments.seeds}",
    )  # fmt: skip
    arguments.out.write_text(f"# What the optimum costs\n\n{text}\n\n{note}", encoding="utf-8")


if __name__ == "__main__":
    main()
