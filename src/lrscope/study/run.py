"""The study: ask the search, train what it asks for, keep every result, until there is nothing left to ask."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.study.assemble import assemble, observe
from lrscope.study.bench import Bench
from lrscope.study.check import check_task
from lrscope.study.compare import (
    comparison_trials,
    contest_from_fact,
    contest_to_fact,
    open_contest,
    settle_contest,
)
from lrscope.study.engines.base import make_engine
from lrscope.study.engines.choose import EngineChoice, choose_engine, expected_loads
from lrscope.study.executors.base import Executor, check_workers, default_workers, make_executor
from lrscope.study.illustrate import illustration_trials
from lrscope.study.load import TaskSource
from lrscope.study.noise_course import initial_noise
from lrscope.study.plan import DEFAULT_SCHEDULE, StudyPlan, check_same, make_plan
from lrscope.study.recommend import default_lrs, verification_trials
from lrscope.study.result import Contest, Optimum, StudyResult
from lrscope.study.search import next_trials
from lrscope.study.space import full_trial
from lrscope.study.store import Store, open_store, read_store
from lrscope.study.task import Task
from lrscope.study.trial import Trial, TrialResult

Results = dict[Trial, TrialResult]

PAIRS, SINGLES = 2.0, 3.0
"""About as many rounds as an adaptive search asks for of a cell alone, after a pair of trials of all cells at once."""


class Progress(Protocol):
    """What wants to be told how a study goes."""

    def begin(self, plan: StudyPlan, finished: Results, notes: Sequence[str]) -> None:
        """The study starts, or goes on with what was finished before; `notes` are worth a line each."""

    def asked(self, trials: Sequence[Trial], stage: str) -> None:
        """A round begins. `stage` is "search", "comparison" (of schedules), "verification" or "illustration"."""

    def trained(self, result: TrialResult) -> None:
        """A trial ended and is stored."""


def run_study(
    task: Task | str,
    *,
    batch_sizes: Sequence[int] | None = None,
    schedules: Sequence[str] = (DEFAULT_SCHEDULE,),
    lr: tuple[float, float] | None = None,
    metric: str | None = None,
    seeds: int = 3,
    seed: int = 0,
    search: str = "adaptive",
    tolerance: float = 0.01,
    max_runs: int | None = None,
    workers: int | None = None,
    executor: str = "local",
    engine: str = "auto",
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> StudyResult:
    """Find the best learning rate for each batch size and schedule of a training job, and verify the best of them.

    Arguments:
        task: a Task, or `path/to/file.py:function`.
        batch_sizes, schedules: what to look at; the task's batch sizes by default.
        lr: (low, high), the range not to leave. metric: "val_loss" or "train_loss".
        seeds: at most this many seeds a point, from `seed` on. search: "adaptive" or "grid".
        tolerance: the expected regret at which a search stops.
        max_runs: stop asking after this many trials; a later call with more goes on.
        workers, executor, engine: how the work is done; they do not change the result.
        out: the folder of the study; run again, it goes on where it was. None keeps nothing.
        progress: is told as trials end.

    Returns:
        The optima, the law across batch sizes, the verified recommendation and the cost.

    Raises:
        InvalidInput: a task or option that cannot be used. WorkFailed: training could not be done.
    """
    source = TaskSource.of(task)
    bench = Bench(source.load())
    defaults = default_lrs(bench.make_optimizer(bench.make_model(0), 1e-3))
    plan = make_plan(
        bench, source, defaults, batch_sizes=batch_sizes, schedules=schedules, lr=lr, metric=metric, seeds=seeds,
        seed=seed, search=search, tolerance=tolerance,
    )  # fmt: skip
    for size in {min(plan.space.total_steps), max(plan.space.total_steps)}:
        check_task(bench, size)
    if max_runs is not None and max_runs < 1:
        raise InvalidInput(f"--max-runs must be >= 1. Got {max_runs}.")
    if workers is not None:
        check_workers(executor, workers)
    with _folder(out) as folder, open_store(folder) as store:
        facts = store.facts()
        check_same(facts, plan.to_facts(), folder)
        workers = 1 if executor == "serial" else workers or default_workers(bench.device)
        choice = _engine(facts, folder, engine) or choose_engine(
            bench, engine, expected_loads(_rounds_to_come(plan), workers)
        )
        for name, value in {**plan.to_facts(), "engine": choice.to_fact()}.items():
            store.put_fact(name, value)
        on_gpu = bench.device.type == "cuda"
        with make_executor(executor, source, choice.spec, workers, on_gpu=on_gpu) as pool:
            driver = _Driver(plan, store, pool, choice, max_runs, progress)
            driver.run()
        if "gradient_noise" not in facts and len(plan.space.total_steps) > 1:
            noise = initial_noise(bench, seed)
            store.put_fact("gradient_noise", None if noise is None else noise.to_json())
        return _result(plan, store)


def _engine(facts: dict[str, Any], folder: Path, asked: str) -> EngineChoice | None:
    """The engine that the study began with, which it keeps; None for a new one."""
    if "engine" not in facts:
        return None
    choice = EngineChoice.from_fact(facts["engine"])
    if not choice.serves(asked):
        check_same({"engine": str(choice)}, {"engine": asked}, folder)
    return choice


def load_study(folder: str | Path) -> StudyResult:
    """The result of the study in a folder as it stands, finished or not.

    Raises:
        InvalidInput: there is no study in the folder.
    """
    with read_store(Path(folder)) as store:
        facts = store.facts()
        if "metric" not in facts:
            raise InvalidInput(f"The study in '{folder}' has not begun: run it first.")
        try:
            plan = StudyPlan.from_facts(facts)
        except KeyError as missing:
            raise InvalidInput(
                f"The study in '{folder}' does not say its {missing.args[0]}: run it again, which adds that."
            ) from None
        return _result(plan, store)


def _result(plan: StudyPlan, store: Store) -> StudyResult:
    facts = store.facts()
    choice = EngineChoice.from_fact(facts["engine"])
    kept = facts.get("contest")
    contest = None if kept is None else contest_from_fact(kept)
    result = assemble(plan, store.trials(), str(choice), float(facts.get("seconds", 0.0)), contest)
    noise = facts.get("gradient_noise")
    return replace(
        result,
        notes=(*result.notes, *choice.notes),
        gradient_noise=None if noise is None else Estimate(**noise),
    )


def _rounds_to_come(plan: StudyPlan) -> list[tuple[list[Trial], float]]:
    """Rounds as the study will ask for them, and how often each: a whole grid, or what adaptive searches ask for."""
    space = plan.space
    if space.method == "grid":
        return [(next_trials(space, []), 1.0)]
    pairs = [
        list(dict.fromkeys(full_trial(space, cell, lr, space.base_seed) for lr in (space.lr_low, space.lr_high)))
        for cell in space.cells
    ]
    at_once = [trial for pair in pairs for trial in pair]
    return [(at_once, 1.0), *((pair, PAIRS) for pair in pairs), *((pair[:1], SINGLES) for pair in pairs)]


class _Driver:
    """Carries trials from the search to the executor and their results to the store: the one writer."""

    def __init__(
        self,
        plan: StudyPlan,
        store: Store,
        executor: Executor,
        choice: EngineChoice,
        max_runs: int | None,
        progress: Progress | None,
    ) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.choice = choice
        self.engine = make_engine(choice.spec)
        self.progress = progress
        self.finished = store.trials()
        self.left = None if max_runs is None else max_runs
        self.seconds = float(store.facts().get("seconds", 0.0))

    def run(self) -> None:
        """Search, compare, verify, illustrate; an interrupted study walks through its finished rounds at once."""
        if self.progress is not None:
            self.progress.begin(self.plan, self.finished, self.choice.notes)
        plan = self.plan
        searched = self._rounds("search", lambda seen: next_trials(plan.space, observe(seen, plan.metric)))
        if searched is None:
            return
        optima = assemble(plan, searched, str(self.choice), self.seconds).optima
        contest = self._contest(optima)
        if contest is None:
            return
        compared = self._rounds("comparison", lambda seen: [] if seen else comparison_trials(plan.space, contest))
        if compared is None:
            return
        settled = settle_contest(plan.space, contest, plan.metric, compared)
        verified = self._rounds(
            "verification",
            lambda seen: verification_trials(plan.space, settled, plan.defaults, plan.metric, list(seen.values())),
        )
        if verified is not None:
            before = [*searched.values(), *compared.values(), *verified.values()]
            self._rounds(
                "illustration",
                lambda seen: illustration_trials(plan.space, optima, settled.schedule, [*before, *seen.values()]),
            )

    def _contest(self, optima: Sequence[Optimum]) -> Contest | None:
        """What is compared and verified: as it was chosen before, so that a fit that changes does not train anew."""
        kept = self.store.facts().get("contest")
        if kept is not None:
            return contest_from_fact(kept)
        contest = open_contest(optima, self.plan.space.tolerance)
        if contest is not None:
            self.store.put_fact("contest", contest_to_fact(contest))
        return contest

    def _rounds(self, stage: str, ask: Callable[[Results], list[Trial]]) -> Results | None:
        """Ask and train by rounds; None where `max_runs` cut it short."""
        seen: Results = {}
        while asked := ask(seen):
            allowed = asked if self.left is None else asked[: self.left]
            missing = [trial for trial in allowed if trial not in self.finished]
            if self.progress is not None:
                self.progress.asked(missing, stage)
            self._train(missing)
            if self.left is not None:
                self.left -= len(allowed)
            if len(allowed) < len(asked):
                return None
            seen |= {trial: self.finished[trial] for trial in sorted(asked)}
        return seen

    def _train(self, trials: Sequence[Trial]) -> None:
        before = time.perf_counter()
        for results in self.executor.run(self.engine.jobs(trials, self.executor.workers)):
            for result in results:
                self.store.add(result)
                self.finished[result.trial] = result
                if self.progress is not None:
                    self.progress.trained(result)
            now = time.perf_counter()
            self.seconds += now - before
            before = now
            self.store.put_fact("seconds", self.seconds)


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory(prefix="lrscope-") as folder:
        yield Path(folder)
