"""The quick answer: one batch size's learning rate for a fraction of one run, judged by the training loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.study.belief import USUAL_BATCH, usual_octave
from lrscope.study.short_runs import SCHEDULE, SMALLEST_BATCH, Branch, FindStatus, Job, Reading, ShortRun, search

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lrscope.study.task import Task


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
        size, momentum = live.batch_size or 1, momentum_of(optimizer)
        wanted = Job(
            total_steps=total_steps,
            batch_size=size,
            smallest_batch=min(size, SMALLEST_BATCH) if live.can_cut else size,
            budget=budget,
            usual=usual_octave(momentum, live.batch_size or USUAL_BATCH),
            normalised=momentum is None,
        )
        branches, reading = search(wanted, live.run)
    return _found(type(job).__name__, live.batch_size, wanted, branches, reading, started)


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
    check_task(bench, size)
    momentum = momentum_of(bench.make_optimizer(bench.make_model(seed), 1e-3))
    wanted = Job(
        total_steps=bench.task.total_steps(size, bench.train_examples),
        batch_size=size,
        smallest_batch=min(size, SMALLEST_BATCH),
        budget=budget,
        usual=usual_octave(momentum, size),
        normalised=momentum is None,
    )
    engine = LoopEngine()

    def train(run: ShortRun) -> Branch:
        trial = Trial(
            batch_size=run.batch_size,
            peak_lr=2.0**run.octave,
            schedule=SCHEDULE,
            seed=seed,
            total_steps=run.steps,
            stop_at=run.steps,
        )
        (result,) = engine.train(bench, [trial])
        initial, loss = result.initial_train_loss, result.final_loss("train_loss")
        return Branch(run=run, loss=loss, initial_loss=initial, examples=result.examples)

    branches, reading = search(wanted, train)
    return _found(bench.task.name, size, wanted, branches, reading, started)


def momentum_of(optimizer: torch.optim.Optimizer) -> float | None:
    """The momentum of SGD; None for an optimizer whose steps do not grow with the gradient, as Adam's."""
    import torch

    return float(optimizer.param_groups[0]["momentum"]) if isinstance(optimizer, torch.optim.SGD) else None


def _found(
    task: str, batch_size: int | None, job: Job, branches: tuple[Branch, ...], reading: Reading, started: float
) -> FoundRate:
    return FoundRate(
        task=task,
        batch_size=batch_size,
        status=reading.status,
        suggested_lr=reading.suggestion,
        full_run_equivalents=sum(branch.examples for branch in branches) / job.full_examples,
        seconds=time.perf_counter() - started,
        advice=reading.advice,
        branches=branches,
    )
