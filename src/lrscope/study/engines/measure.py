"""Seconds of real updates on this machine, of several ways to make them in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from itertools import cycle
from typing import TypeVar

import torch

from lrscope.study.bench import BatchOrder, Bench
from lrscope.study.engines.base import WIDEST, Stacking
from lrscope.study.engines.loop import Training
from lrscope.study.engines.program import Programs
from lrscope.study.engines.stack import Stack
from lrscope.study.engines.vmap import programs_of
from lrscope.study.trial import Trial

ROUND_SECONDS = 0.02
FEWEST_ROUNDS = 3

TRACING_CALLS, CERTIFYING_CALLS = 150, 6
"""A trace, in calls of what is traced (40 to 180 in models tried), and each part of a certificate in updates."""

_RATE, _STEPS = 1e-5, 64

Update = Callable[[], None]
Name = TypeVar("Name", bound=Hashable)


def measure(updates: Mapping[Name, Update], for_seconds: float) -> dict[Name, list[float]]:
    """Seconds of an update of each kind, in rounds that take turns: what else the machine does hits all alike."""
    repeats = {}
    for name, run in updates.items():
        run()
        repeats[name] = max(1, round(ROUND_SECONDS / _timed(run, 1)))
    seconds: dict[Name, list[float]] = {name: [] for name in updates}
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < for_seconds or rounds < FEWEST_ROUNDS:
        rounds += 1
        for name, run in updates.items():
            seconds[name].append(_timed(run, repeats[name]))
    return seconds


def _timed(run: Update, repeats: int) -> float:
    """Seconds of one of so many calls: of this process where it computes itself, so that no other's are among them."""
    accelerated = torch.accelerator.is_available()
    clock = time.perf_counter if accelerated else time.process_time
    if accelerated:
        torch.accelerator.synchronize()
    started = clock()
    for _ in range(repeats):
        run()
    if accelerated:  # it works behind the process's back
        torch.accelerator.synchronize()
    return max(clock() - started, 1e-9) / repeats


def loop_update(bench: Bench, batch_size: int) -> Update:
    """Makes one update of the plain loop at each call."""
    training = Training.begin(bench, _trial(batch_size, _RATE))
    order = BatchOrder(bench.train_examples, batch_size, 0, bench.device)
    losses, steps = torch.zeros(_STEPS, device=bench.device), cycle(range(_STEPS))

    def run() -> None:
        step = next(steps)
        losses[step] = training.update(bench.train.batch(order[step]))

    return run


def stack_update(
    bench: Bench, batch_size: int, stacking: Stacking, trials: int, programs: Programs | None = None
) -> Update:
    """Makes one update of a stack of so many trials at each call."""
    programs = programs or programs_of(bench, "compiled" if stacking.compiled else "traced")
    stack = Stack(programs, [_trial(batch_size, _RATE * (1 + member)) for member in range(trials)], stacking)
    losses, steps = torch.zeros(trials, _STEPS, device=bench.device), cycle(range(_STEPS))
    return lambda: stack.update(next(steps), losses, {})


def certifying_seconds(bench: Bench, batch_size: int, widths: int) -> float:
    """About what it takes to certify stacks of so many widths; 0 where there are none, which is soon found out.

    A trace takes as long as it takes to call the stack's operations many times over, whatever the size of the batch.
    """
    with suppress(Exception):  # whatever it is, who traces it will say it
        programs = Programs(bench, "called")
        smallest, whole = (_called_seconds(programs, size) for size in (min(2, bench.train_examples), batch_size))
        return TRACING_CALLS * smallest + CERTIFYING_CALLS * (3 + widths) * whole
    return 0.0


def _called_seconds(programs: Programs, batch_size: int) -> float:
    """Of an update of the widest stack, vectorised but not traced."""
    run = stack_update(programs.bench, batch_size, Stacking(widths=(WIDEST,)), WIDEST, programs)
    with programs.bench.training_rng(0):
        run()
        return min(_timed(run, 1) for _ in range(2))


def _trial(batch_size: int, lr: float) -> Trial:
    return Trial(batch_size=batch_size, peak_lr=lr, schedule="constant", seed=0, total_steps=_STEPS, stop_at=_STEPS)
