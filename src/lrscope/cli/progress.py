"""The live display of a study: per batch size what is done, the curve so far, the optimum, what it cost, time left."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from lrscope.numbers import format_estimate, format_seconds
from lrscope.report.sparkline import sparkline
from lrscope.scaling.u_curve import UCurve
from lrscope.study.assemble import equivalents, observe
from lrscope.study.cell_fit import fit_cells, judge
from lrscope.study.plan import StudyPlan
from lrscope.study.recommend import FRESH_FROM, FRESH_SEEDS
from lrscope.study.space import Cell
from lrscope.study.trial import Trial, TrialResult

TYPICAL_SEARCH = 4.0
"""The full-run equivalents that a cell's search is expected to take before it is known."""

REDRAW_SECONDS = 0.5


class StudyProgress:
    """Shows a study while it runs. Where the output is no terminal, one line a round."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.plan: StudyPlan | None = None
        self.finished: dict[Trial, TrialResult] = {}
        self.stage = "search"
        self._asked: tuple[Trial, ...] = ()
        self._fits: dict[Cell, UCurve] = {}
        self._seconds = 0.0  # spent on trials by this process
        self._equivalents = 0.0  # trained in that time
        self._last = time.perf_counter()
        self._shown = -math.inf
        self._bar = RichProgress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"), console=console,
        )  # fmt: skip
        self._round = self._bar.add_task("opening the task", total=None, left="")
        self._live = Live(self._bar, console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> StudyProgress:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:
            self._live.update("" if self.plan is None else self._view())
            self._live.stop()

    def begin(self, plan: StudyPlan, finished: dict[Trial, TrialResult], notes: Sequence[str]) -> None:
        """The study starts, or goes on."""
        for note in notes:
            self.console.print(note, markup=False, highlight=False, soft_wrap=True)
        self.plan = plan
        self.finished = dict(finished)
        if finished:
            self.console.print(f"Going on: {len(finished)} finished trials are kept.", markup=False, highlight=False)

    def asked(self, trials: Sequence[Trial], stage: str) -> None:
        """A round begins."""
        self.stage, self._asked = stage, tuple(trials)
        self._fits = self._fit()
        self._last = time.perf_counter()
        count = "1 trial" if len(trials) == 1 else f"{len(trials)} trials"
        self._bar.reset(self._round, total=len(trials), description=f"{stage}: {count}", left=self._left())
        self._show()
        if trials and not self.console.is_terminal:
            sizes = ", ".join(map(str, sorted({trial.batch_size for trial in trials})))
            line = f"{stage}: {count} at batch size {sizes}. {self._left()}"
            self.console.print(line.strip(), markup=False, highlight=False, soft_wrap=True)

    def trained(self, result: TrialResult) -> None:
        """A trial ended."""
        self.finished[result.trial] = result
        now = time.perf_counter()
        self._seconds += now - self._last
        self._last = now
        if self.plan is not None:
            self._equivalents += equivalents(self.plan, result)
        self._bar.update(self._round, advance=1)
        self._show()

    def _left(self) -> str:
        """How long the study is expected to take from here, from what its trials took so far."""
        if self.plan is None or self._equivalents < 0.5:
            return ""
        return f"about {format_seconds(self._seconds / self._equivalents * self._expected(self.plan))} left"

    def _expected(self, plan: StudyPlan) -> float:
        """The full-run equivalents that are expected still: of this round at least, and of what usually follows."""
        full = plan.space.total_steps
        pending = sum(one.stop_at / full[one.batch_size] for one in self._asked if one not in self.finished)
        if self.stage == "illustration":
            return pending
        if self.stage == "comparison":
            return pending + FRESH_SEEDS + len(plan.defaults)
        fresh = plan.space.base_seed + FRESH_FROM
        verified = sum(equivalents(plan, run) for trial, run in self.finished.items() if trial.seed >= fresh)
        compared = len({cell.schedule for cell in plan.space.cells})  # on the fresh seeds, if several
        left = max(0.0, (compared + 1.0) * FRESH_SEEDS + len(plan.defaults) - verified)
        if self.stage == "verification":
            return max(pending, left)
        for cell in plan.space.cells:
            spent = sum(equivalents(plan, run) for trial, run in self.finished.items() if cell.has(trial))
            left += max(0.0 if cell in self._fits else 1.0, TYPICAL_SEARCH - spent)
        return max(pending, left)

    def _fit(self) -> dict[Cell, UCurve]:
        """The curves fitted to what the search has seen so far."""
        return {} if self.plan is None else fit_cells(self.plan.space, observe(self._searched(), self.plan.metric))

    def _searched(self) -> dict[Trial, TrialResult]:
        last = 0 if self.plan is None else self.plan.space.base_seed + FRESH_FROM
        return {trial: result for trial, result in self.finished.items() if trial.seed < last}

    def _show(self) -> None:
        """Draw anew, but not so often that the drawing slows a study of short trials."""
        now = time.perf_counter()
        if self._live.is_started and now - self._shown >= REDRAW_SECONDS:
            self._bar.update(self._round, left=self._left())
            self._live.update(self._view())
            self._shown = time.perf_counter()

    def _view(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        several = self.plan is not None and len({cell.schedule for cell in self.plan.space.cells}) > 1
        names = ["batch size", *(["schedule"] if several else []), "trials", "loss against rate", "best lr", "cost"]
        for name in names:
            number = name in ("batch size", "trials", "cost")
            table.add_column(name, no_wrap=True, justify="right" if number else "left")
        if self.plan is not None:
            for cell in self.plan.space.cells:
                size, schedule, *rest = self._row(self.plan, cell)
                table.add_row(size, *([schedule] if several else []), *rest)
        note = Text("cost: in full runs; best lr: with its 80 % interval", style="dim")
        return Group(table, note, self._bar)

    def _row(self, plan: StudyPlan, cell: Cell) -> tuple[str, ...]:
        cost = sum(equivalents(plan, result) for trial, result in self.finished.items() if cell.has(trial))
        count = sum(cell.has(trial) for trial in self.finished)
        fitted = self._fits.get(cell)
        optimum = "…" if fitted is None else format_estimate(judge(fitted, plan.space).optimal_lr, lr=True)
        return str(cell.batch_size), cell.schedule, str(count), self._curve(plan, cell), optimum, f"{cost:.1f}"

    def _curve(self, plan: StudyPlan, cell: Cell) -> str:
        """The losses by rate so far: of the full runs, or of the short ones while there are no two full ones."""
        seen = [run for run in observe(self._searched(), plan.metric) if cell.has(run.trial)]
        full = {run.trial.peak_lr: run.loss for run in seen if plan.space.is_full(run.trial)}
        short = {run.trial.peak_lr: run.train_loss for run in seen if not plan.space.is_full(run.trial)}
        shown = full if len(full) > 1 or not short else short
        return sparkline(list(shown), list(shown.values()))
