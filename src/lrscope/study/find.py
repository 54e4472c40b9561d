"""The quick answer: one batch size's learning rate for a fraction of one run.

A short run is the whole schedule compressed into a few updates, so that it is annealed as the full run will be. Very
short ones, three octaves apart, find the region; longer ones an octave apart walk right until a tenth of what training
gains is lost again. That edge is sharper than the flat minimum left of it, and moves less with the length of a run: the
answer lies a known distance below it. Judged by the training loss, since short runs say nothing of overfitting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.scaling.edge import best_octave, find_edge

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lrscope.study.task import Task

FindStatus = Literal["found", "inconclusive", "all_diverged"]

SCHEDULE = "warmup(5%) -> cosine"
COARSE_LOOK = (-10.0, -7.0, -4.0, -1.0)  # log₂ η of the very short runs
ROOM_TO_LOOK = 60  # updates: a smaller budget leaves the lowest of them out
COARSE_STEP = 3.0  # octaves
LOWEST, HIGHEST = -22.0, 7.0  # log₂ η that is never left
FINE_RUNS = 5.4  # how many of the longer runs the budget would pay for alone
COARSE_PER_FINE = 5  # a very short run's share of a longer one
FEWEST_UPDATES = 4, 6  # of a very short and of a longer run
RELIABLE_UPDATES = 10  # of a longer run: fewer show too little of the training
BELOW_EDGE = 1.3  # octaves from the edge to the answer, and the half-width of its 80 % interval
HALF_WIDTH = 1.3
SLOW_START = 0.3  # a run that gained less than this share of the initial loss has hardly begun: its edge is too high
SLOW_FEW = 0.5  # the same for a run of few updates
SLOW_OCTAVES = 1.0
NOTHING = 0.01  # a gain below this share of the initial loss is no gain


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One short run: log₂ of its peak rate, its updates, its training loss at the end (inf = diverged), its cost."""

    octave: float
    steps: int
    loss: float
    initial_loss: float
    spent: int  # updates that were made


@dataclass(frozen=True, kw_only=True)
class FoundRate:
    """What a quick search found.

    `suggested_lr` carries its 80 % interval; an end that the runs leave open is None, and it is None where every run
    diverged. `advice` says what to do where the status is not found.
    """

    task: str
    batch_size: int | None
    status: FindStatus
    suggested_lr: Estimate | None
    full_run_equivalents: float
    seconds: float
    advice: str
    branches: tuple[Branch, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as `lrscope find --json` prints it (schema lrscope/find/1)."""
        return {
            "schema": "lrscope/find/1",
            "task": self.task,
            "batch_size": self.batch_size,
            "status": self.status,
            "suggested_lr": None if self.suggested_lr is None else self.suggested_lr.to_json(),
            "full_run_equivalents": self.full_run_equivalents,
            "seconds": self.seconds,
            "advice": self.advice,
        }


def next_branches(total_steps: int, budget: float, done: Sequence[Branch]) -> list[tuple[float, int]]:
    """The next short runs as (log₂ η, updates), a pure function of those so far; empty when the search is finished."""
    allowance = int(budget * total_steps)
    coarse, fine = branch_lengths(total_steps, budget)
    look = COARSE_LOOK if allowance >= ROOM_TO_LOOK else COARSE_LOOK[1:]
    wanted = _next_coarse([branch for branch in done if branch.steps == coarse], look)
    steps = coarse
    if not wanted:
        steps = fine
        wanted = _next_fine(done, coarse, fine)
    left = allowance - sum(branch.spent for branch in done)
    tried = {branch.octave for branch in done if branch.steps == steps}
    allowed = [min(max(octave, LOWEST), HIGHEST) for octave in wanted]
    new = [octave for octave in dict.fromkeys(allowed) if octave not in tried]
    return [(octave, steps) for octave in new[: max(left // steps, 0)]]


def branch_lengths(total_steps: int, budget: float) -> tuple[int, int]:
    """Updates of a very short and of a longer run; they differ, so that a run tells which it is."""
    fine = max(FEWEST_UPDATES[1], math.floor(budget * total_steps / FINE_RUNS))
    return min(max(FEWEST_UPDATES[0], fine // COARSE_PER_FINE), fine - 1), fine


def _next_coarse(done: Sequence[Branch], look: Sequence[float]) -> list[float]:
    if not done:
        return list(look)
    best, octaves = _best(done), [branch.octave for branch in done]
    if best is None:
        return [min(octaves) - COARSE_STEP]
    if best.octave == min(octaves):
        return [best.octave - COARSE_STEP]
    return [best.octave + COARSE_STEP] if best.octave == max(octaves) else []


def _next_fine(done: Sequence[Branch], coarse: int, fine: int) -> list[float]:
    """From the coarse best, left until the best is not the lowest, then right until the edge is passed."""
    runs = sorted((branch for branch in done if branch.steps == fine), key=lambda branch: branch.octave)
    looks = sorted((branch for branch in done if branch.steps == coarse), key=lambda branch: branch.octave)
    start, rough_edge = _best(looks), _edge(looks)
    if not runs:
        return [] if start is None else [start.octave, start.octave + 1.0]
    best = _best(runs)
    if best is None:
        return [runs[0].octave - 2.0]
    if _gain_share(best) < NOTHING:
        return [runs[0].octave - 2.0]
    if best is runs[0]:
        return [best.octave - 1.0]
    if _edge(runs) is None:
        return [runs[-1].octave + (2.0 if rough_edge is not None and rough_edge > runs[-1].octave + 2 else 1.0)]
    return []


def _best(branches: Sequence[Branch]) -> Branch | None:
    """The branch of least loss, the lower rate where two are alike; None where all diverged."""
    best = best_octave({branch.octave: branch.loss for branch in branches})
    return next((branch for branch in branches if branch.octave == best), None)


def _gain_share(branch: Branch) -> float:
    """What a run gained, as a share of the initial loss."""
    return (branch.initial_loss - branch.loss) / max(abs(branch.initial_loss), 1e-12)


def _edge(branches: Sequence[Branch]) -> float | None:
    """log₂ η of the edge above the best of runs of one length; None where none is so high."""
    if not branches:
        return None
    edge = find_edge({branch.octave: branch.loss for branch in branches}, branches[0].initial_loss)
    return None if edge is None else edge.octave


def read_branches(total_steps: int, budget: float, done: Sequence[Branch]) -> tuple[FindStatus, Estimate | None, str]:
    """Status, suggestion and advice from the short runs."""
    fine = branch_lengths(total_steps, budget)[1]
    runs = sorted((branch for branch in done if branch.steps == fine), key=lambda branch: branch.octave)
    best = _best(runs) or _best(done)
    if best is None:
        lowest = 2.0 ** min((branch.octave for branch in done), default=LOWEST)
        return "all_diverged", None, f"Every short run diverged, down to {lowest:.2g}: look at the loss and the data."
    share = _gain_share(best)
    edge = _edge(runs)
    known = edge is not None
    octave = (best.octave + 0.5 if edge is None else edge) - BELOW_EDGE
    if share < SLOW_START:
        octave -= SLOW_OCTAVES
    if share < SLOW_FEW and fine < RELIABLE_UPDATES:
        octave -= SLOW_OCTAVES
    low, high = 2.0 ** (octave - HALF_WIDTH), 2.0 ** (octave + HALF_WIDTH)
    estimate = Estimate(2.0**octave, low, high if known else None)
    study = "ask `lrscope study`, or allow more with --budget"
    if not known:
        return "inconclusive", estimate, f"The short runs did not reach rates that are too high: {study}."
    if fine < RELIABLE_UPDATES:
        few = f"{fine} updates of a full run's {total_steps} are too few to judge a rate by"
        return "inconclusive", Estimate(2.0**octave, None, None), f"{few}: {study}."
    if share < NOTHING:
        return "inconclusive", Estimate(2.0**octave, None, high), f"The short runs learned next to nothing: {study}."
    return "found", estimate, f"Train at {estimate.value:.2g}, for the least training loss."


def search_branches(
    total_steps: int, budget: float, run: Callable[[float, int], Branch]
) -> tuple[tuple[Branch, ...], FindStatus, Estimate | None, str]:
    """Ask for short runs and make them, until there is nothing left to ask."""
    if not 0 < budget <= 10:
        raise InvalidInput(f"--budget must lie between 0 and 10 full runs. Got {budget:g}.")
    done: list[Branch] = []
    while asked := next_branches(total_steps, budget, done):
        done += [run(octave, steps) for octave, steps in asked]
    return (tuple(done), *read_branches(total_steps, budget, done))


def find_lr(
    job: Task | str | nn.Module,
    *,
    batch_size: int | None = None,
    budget: float = 0.3,
    seed: int = 0,
    optimizer: torch.optim.Optimizer | None = None,
    batches: Any = None,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    batch_loss: Callable[[nn.Module, Any], torch.Tensor] | None = None,
    total_steps: int | None = None,
) -> FoundRate:
    """Suggest a peak learning rate for one batch size from short runs that cost a fraction of a full one.

    Arguments:
        job: a Task, `path/to/file.py:function`, or your own model as it stands. A model takes `optimizer`, `batches`,
            `total_steps` and one of `loss` and `batch_loss` with it; its weights and buffers, the optimizer's state,
            gradients, train or eval mode and all random numbers are afterwards exactly what they were.
        batch_size: of a Task; its middle one by default.
        budget: what may be spent, in full runs.
        seed: of a Task's weights and data order.
        optimizer: over the model's parameters; groups keep the ratios of their rates.
        batches: an iterable of batches, for instance a DataLoader, read for as many as one short run needs.
        loss: (outputs, targets) -> scalar, for batches (inputs, targets). batch_loss: (model, batch) -> scalar.
        total_steps: the updates of the full run that the rate is for.

    Returns:
        The suggestion with its 80 % interval, or the status inconclusive, with advice.

    Raises:
        InvalidInput: an argument is missing or cannot be used.
    """
    from lrscope.study.task import Task

    started = time.perf_counter()
    own = {"optimizer": optimizer, "batches": batches, "total_steps": total_steps}
    if isinstance(job, (str, Task)):
        given = [name for name, value in {**own, "loss": loss, "batch_loss": batch_loss}.items() if value is not None]
        if given:
            raise InvalidInput(f"'{given[0]}' goes with a model of your own; a task has it already.")
        return _find_for_task(job, batch_size, budget, seed, started)
    missing = [name for name, value in own.items() if value is None]
    if missing:
        raise InvalidInput(f"With a model of your own, find_lr needs '{missing[0]}' too.")
    from lrscope.study.live import LiveModel

    assert optimizer is not None  # not missing
    assert total_steps is not None
    if total_steps < 1:
        raise InvalidInput(f"The 'total_steps' of find_lr must be an int >= 1. Got {total_steps}.")
    with LiveModel(job, optimizer, batches, loss, batch_loss) as live:
        branches, status, suggestion, advice = search_branches(total_steps, budget, live.run)
    return FoundRate(
        task=type(job).__name__,
        batch_size=live.batch_size,
        status=status,
        suggested_lr=suggestion,
        full_run_equivalents=sum(branch.spent for branch in branches) / total_steps,
        seconds=time.perf_counter() - started,
        advice=advice,
        branches=branches,
    )


def _find_for_task(job: Task | str, batch_size: int | None, budget: float, seed: int, started: float) -> FoundRate:
    from lrscope.study.bench import Bench
    from lrscope.study.check import check_task
    from lrscope.study.engines.loop import LoopEngine
    from lrscope.study.load import TaskSource
    from lrscope.study.task import check_batch_sizes
    from lrscope.study.trial import Trial

    bench = Bench(TaskSource.of(job).load())
    sizes = bench.task.batch_sizes
    size = sizes[len(sizes) // 2] if batch_size is None else batch_size
    check_batch_sizes([size], "the option --batch-size")
    total_steps = bench.task.total_steps(size, bench.train_examples)
    check_task(bench, size)
    engine = LoopEngine()

    def run(octave: float, steps: int) -> Branch:
        trial = Trial(
            batch_size=size, peak_lr=2.0**octave, schedule=SCHEDULE, seed=seed, total_steps=steps, stop_at=steps
        )
        (result,) = engine.train(bench, [trial])
        spent = math.ceil(result.examples / size)
        loss = result.final_loss("train_loss")
        initial = result.initial_train_loss if np.isfinite(result.initial_train_loss) else math.inf
        return Branch(octave=octave, steps=steps, loss=loss, initial_loss=initial, spent=spent)

    branches, status, suggestion, advice = search_branches(total_steps, budget, run)
    return FoundRate(
        task=bench.task.name,
        batch_size=size,
        status=status,
        suggested_lr=suggestion,
        full_run_equivalents=sum(branch.spent for branch in branches) / total_steps,
        seconds=time.perf_counter() - started,
        advice=advice,
        branches=branches,
    )
