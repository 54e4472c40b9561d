"""The live display of a study: per batch size what is done, the curve so far, the optimum, what it cost, time left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from lrscope.report.sparkline import sparkline
from lrscope.scaling.u_curve import UCurve
from lrscope.study.assemble import equivalents, observe
from lrscope.study.cell_fit import choose_lr, fit_cells
from lrscope.study.plan import StudyPlan
from lrscope.study.space import Cell
from lrscope.study.trial import Trial, TrialResult


class StudyProgress:
    """Shows a study while it runs. Where the output is no terminal, one line a round."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.plan: StudyPlan | None = None
        self.finished: dict[Trial, TrialResult] = {}
        self.stage = "search"
        self._fits: dict[Cell, UCurve] = {}  # as of the last round
        self._pending = 0.0
        self._spent = (0.0, 0.0)  # examples, seconds of this round
        self._round_started = time.perf_counter()
        self._bar = RichProgress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"), console=console,
        )  # fmt: skip
        self._round = self._bar.add_task("starting", total=None, left="")
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> StudyProgress:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:
            self._live.update(self._view())
            self._live.stop()

    def begin(self, plan: StudyPlan, finished: dict[Trial, TrialResult], notes: Sequence[str]) -> None:
        """The study starts, or goes on."""
        for note in notes:
            self.console.print(note, markup=False, highlight=False)
        self.plan = plan
        self.finished = dict(finished)
        if finished:
            self.console.print(f"Going on: {len(finished)} finished trials are kept.", markup=False)

    def asked(self, trials: Sequence[Trial], stage: str) -> None:
        """A round begins."""
        self.stage = stage
        self._fits = self._fit()
        self._pending = float(sum(trial.examples for trial in trials))
        self._spent = (0.0, 0.0)
        self._round_started = time.perf_counter()
        self._bar.reset(self._round, total=len(trials), description=f"{stage}: {len(trials)} trials", left="")
        self._show()
        if trials and not self.console.is_terminal:
            sizes = sorted({trial.batch_size for trial in trials})
            self.console.print(f"{stage}: {len(trials)} trials at batch sizes {sizes}", markup=False, highlight=False)

    def trained(self, result: TrialResult) -> None:
        """A trial ended."""
        self.finished[result.trial] = result
        self._pending -= result.trial.examples
        done = self._spent[0] + result.trial.examples
        elapsed = time.perf_counter() - self._round_started
        self._spent = (done, elapsed)
        left = f"about {elapsed / done * max(self._pending, 0):.0f} s left of this round"
        self._bar.update(self._round, advance=1, left=left)
        self._show()

    def _fit(self) -> dict[Cell, UCurve]:
        """The curves fitted to what the search has seen so far."""
        if self.plan is None:
            return {}
        space = self.plan.space
        last = space.base_seed + space.seeds
        searched = {trial: result for trial, result in self.finished.items() if trial.seed < last}
        return fit_cells(space, observe(searched, self.plan.metric))

    def _show(self) -> None:
        if self._live.is_started:
            self._live.update(self._view())

    def _view(self) -> Group:
        table = Table("batch size", "schedule", "trials", "loss against rate", "optimal lr", "full runs", box=None)
        if self.plan is not None:
            for cell in self.plan.space.cells:
                table.add_row(*self._row(self.plan, cell))
        return Group(table, self._bar)

    def _row(self, plan: StudyPlan, cell: Cell) -> tuple[str, ...]:
        mine = {
            trial: result
            for trial, result in self.finished.items()
            if trial.batch_size == cell.batch_size and trial.schedule == cell.schedule
        }
        searched = {
            trial: result for trial, result in mine.items() if trial.seed < plan.space.base_seed + plan.space.seeds
        }
        observations = observe(searched, plan.metric)
        fitted = self._fits.get(cell)
        optimum = "…"
        if fitted is not None and fitted.optimal_lr is not None:
            best = fitted.optimal_lr
            ends = " … ".join("?" if end is None else f"{end:.2g}" for end in (best.low, best.high))
            optimum = f"{choose_lr(fitted) or best.value:.3g} ({ends})"
        full = {ran.trial.peak_lr: ran.loss for ran in observations if ran.trial.total_steps == _full(plan, cell)}
        short = {ran.trial.peak_lr: ran.train_loss for ran in observations}
        seen = full if len(full) > 2 else short
        cost = sum(equivalents(plan, result) for result in mine.values())
        return (
            str(cell.batch_size), cell.schedule, str(len(mine)), sparkline(list(seen), list(seen.values())), optimum,
            f"{cost:.1f}",
        )  # fmt: skip


def _full(plan: StudyPlan, cell: Cell) -> int:
    return plan.space.total_steps[cell.batch_size]
