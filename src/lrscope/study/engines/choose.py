"""Which engine trains each batch size: asked for by name, or the fastest by a few real updates on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from statistics import median
from typing import Any

import torch

from lrscope.errors import InvalidInput, InvalidTask, LrscopeError
from lrscope.study.bench import BatchOrder, Bench, one_thread
from lrscope.study.engines.base import ENGINES, WIDEST, EngineSpec, NotStackable, Stacking
from lrscope.study.engines.certify import certify, certify_compiled
from lrscope.study.engines.loop import Training
from lrscope.study.engines.stack import Stack
from lrscope.study.engines.vmap import VmapEngine, programs_of
from lrscope.study.load import describe_user_error
from lrscope.study.trial import Trial

MEASURED_SECONDS = 1.0
ROUND_SECONDS = 0.02
WORTH_SECONDS = 60.0
"""A batch size whose trials take less than this in all is trained by the loop: to measure would cost what it gains."""

COMPILING_SECONDS = 300.0
"""From here on it is worth the tens of seconds that a compiler takes to try it."""

SLOW_UPDATE_SECONDS = 0.2
"""An update that takes longer is bound by its arithmetic, which stacking does not reduce."""

CLEARLY_FASTER = 0.98

_RATE, _STEPS = 1e-5, 64


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """What was chosen, as a study stores it before its first trial.

    Arguments:
        asked: the name that was asked for. stackings: batch size → how its trials are stacked, None for the loop.
        notes: what there is to say, a sentence each.
    """

    asked: str
    stackings: Mapping[int, Stacking | None]
    notes: tuple[str, ...] = ()

    def to_fact(self) -> dict[str, Any]:
        """The choice as plain values."""
        stackings = {str(size): None if how is None else asdict(how) for size, how in self.stackings.items()}
        return {"asked": self.asked, "stackings": stackings, "notes": list(self.notes)}

    @staticmethod
    def from_fact(fact: Any) -> EngineChoice:
        """The choice of a stored study; older ones keep a name."""
        if isinstance(fact, str):
            return EngineChoice(asked=fact, stackings={})
        stackings = {
            int(size): None if how is None else Stacking.from_json(how) for size, how in fact["stackings"].items()
        }
        return EngineChoice(asked=fact["asked"], stackings=stackings, notes=tuple(fact["notes"]))

    @property
    def spec(self) -> EngineSpec:
        """What a worker makes its engine from."""
        return self.to_fact()["stackings"] if "vmap" in self.names.values() else "loop"

    def serves(self, name: str) -> bool:
        """Whether a study of this choice may go on where an engine is asked for by name."""
        names = set(self.names.values())
        return name in ("auto", self.asked) or names == {name}

    @property
    def names(self) -> dict[int, str]:
        """Batch size → the engine that trains it."""
        return {size: "loop" if how is None else "vmap" for size, how in self.stackings.items()}

    def __str__(self) -> str:
        """What ran, in words."""
        names = self.names
        if len(set(names.values())) <= 1:
            return next(iter(names.values()), self.asked)
        sizes = {name: [str(size) for size in names if names[size] == name] for name in ("vmap", "loop")}
        return ", ".join(f"{name} at batch size {' and '.join(those)}" for name, those in sizes.items())


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a study is about to train at a batch size.

    Arguments:
        batch_size. trials: side by side on one worker, as a round deals them out.
        updates: in all, on one worker.
    """

    batch_size: int
    trials: int
    updates: float


def choose_engine(bench: Bench, name: str, loads: Sequence[Load]) -> EngineChoice:
    """The engine of each batch size.

    Raises:
        InvalidInput: no such engine. InvalidTask: the task's own code failed.
    """
    if name != "auto" and name not in ENGINES:
        raise InvalidInput(f"--engine must be one of auto, {', '.join(ENGINES)}. Got {name!r}.")
    stackings: dict[int, Stacking | None] = {load.batch_size: None for load in loads}
    looped: dict[str, list[int]] = {}
    with one_thread():
        for load in loads if name != "loop" else ():
            try:
                if name == "vmap":
                    stackings[load.batch_size] = certify(programs_of(bench), load.batch_size)
                else:
                    stackings[load.batch_size] = fastest(bench, load)
            except NotStackable as reason:
                looped.setdefault(str(reason), []).append(load.batch_size)
            except LrscopeError:
                raise
            except Exception as error:  # the updates that are measured run the task's own code
                raise InvalidTask(f"Training failed: {describe_user_error(error)}") from None
    notes = (f"{_batch_sizes(sizes)} trained by the plain loop, as {reason}." for reason, sizes in looped.items())
    return EngineChoice(asked=name, stackings=stackings, notes=tuple(notes))


def _batch_sizes(sizes: Sequence[int]) -> str:
    *first, last = map(str, sizes)
    return f"Batch sizes {', '.join(first)} and {last} are" if first else f"Batch size {last} is"


def expected_loads(trials: Sequence[Trial], rounds: float, workers: int) -> list[Load]:
    """The loads of a study of so many rounds that look like this one."""
    widest: dict[int, int] = {}
    updates: dict[int, float] = {}
    for job in VmapEngine().jobs(trials, workers):
        size = job[0].batch_size
        widest[size] = max(widest.get(size, 0), len(job))
        updates[size] = updates.get(size, 0.0) + rounds * sum(trial.stop_at for trial in job) / workers
    return [Load(batch_size=size, trials=widest[size], updates=updates[size]) for size in sorted(widest)]


def fastest(bench: Bench, load: Load) -> Stacking | None:
    """The fastest way to train a load: a stacking, or None for the loop.

    Raises:
        NotStackable: there is only the loop, though stacks would be tried.
    """
    if load.trials < 2:
        return None
    loop = _loop(bench, load.batch_size)
    update_seconds = median(_measure({1: loop}, MEASURED_SECONDS / 10)[1])
    if update_seconds > SLOW_UPDATE_SECONDS or update_seconds * load.updates < WORTH_SECONDS:
        return None
    stacking, cost = _fastest_width(bench, load, loop)
    if update_seconds * load.updates > COMPILING_SECONDS:
        with suppress(NotStackable):
            compiled = certify_compiled(programs_of(bench, "compiled"), load.batch_size, load.trials)
            times = _measure({1: loop, load.trials: _stack(bench, load.batch_size, compiled, load.trials)})
            if _costs(times)[load.trials] < CLEARLY_FASTER * min(cost, 1.0):
                return compiled
    return stacking if cost < CLEARLY_FASTER else None


def _fastest_width(bench: Bench, load: Load, loop: Callable[[], None]) -> tuple[Stacking, float]:
    """The stacking up to the width that is fastest, and what a trial of the load costs in it: in trials of the loop."""
    stacking = certify(programs_of(bench), load.batch_size)
    together = sorted({math.ceil(load.trials / 2), load.trials, WIDEST} - {1})
    stacks = {trials: _stack(bench, load.batch_size, stacking, trials) for trials in together}
    costs = _costs(_measure({1: loop, **stacks}))
    rows = stacking.rows(min(reversed(together), key=lambda trials: costs[trials]))  # the widest of equals
    widths = tuple(width for width in stacking.widths if width <= rows)
    return replace(stacking, widths=widths), min(costs[trials] for trials in together if trials <= load.trials)


def _costs(times: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """What a trial costs beside so many, in trials of the loop: ratios within rounds, then their median."""
    return {
        trials: median(one / base for one, base in zip(seconds, times[1], strict=True)) / trials
        for trials, seconds in times.items()
    }


def _measure(
    candidates: Mapping[int, Callable[[], None]], for_seconds: float = MEASURED_SECONDS
) -> dict[int, list[float]]:
    """Seconds of an update of each candidate, in rounds that take turns: what else the machine does hits all alike."""
    repeats = {}
    for name, run in candidates.items():
        run()
        repeats[name] = max(1, round(ROUND_SECONDS / _timed(run, 1)))
    seconds: dict[int, list[float]] = {name: [] for name in candidates}
    began = time.perf_counter()
    while time.perf_counter() - began < for_seconds or len(seconds[1]) < 3:
        for name, run in candidates.items():
            seconds[name].append(_timed(run, repeats[name]))
    return seconds


def _timed(run: Callable[[], None], repeats: int) -> float:
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


def _loop(bench: Bench, batch_size: int) -> Callable[[], None]:
    """Makes one update of the plain loop at each call."""
    training = Training.begin(bench, _trial(batch_size, _RATE))
    order = BatchOrder(bench.train_examples, batch_size, 0, bench.device)
    losses, steps = torch.zeros(_STEPS, device=bench.device), cycle(range(_STEPS))

    def run() -> None:
        step = next(steps)
        losses[step] = training.update(bench.train.batch(order[step]))

    return run


def _stack(bench: Bench, batch_size: int, stacking: Stacking, trials: int) -> Callable[[], None]:
    """Makes one update of a stack at each call."""
    programs = programs_of(bench, "compiled" if stacking.compiled else "traced")
    stack = Stack(programs, [_trial(batch_size, _RATE * (1 + member)) for member in range(trials)], stacking)
    losses, steps = torch.zeros(trials, _STEPS, device=bench.device), cycle(range(_STEPS))
    return lambda: stack.update(next(steps), losses, {})


def _trial(batch_size: int, lr: float) -> Trial:
    return Trial(batch_size=batch_size, peak_lr=lr, schedule="constant", seed=0, total_steps=_STEPS, stop_at=_STEPS)
