"""Which engine trains each batch size: asked for by name, or the fastest by a few real updates on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from operator import truediv
from statistics import median
from typing import Any

from lrscope.errors import InvalidInput, InvalidTask, LrscopeError
from lrscope.study.bench import Bench, one_thread
from lrscope.study.engines.base import ENGINES, WIDEST, EngineSpec, NotStackable, Stacking
from lrscope.study.engines.certify import certify, certify_compiled
from lrscope.study.engines.measure import ROUND_SECONDS, Update, certifying_seconds, loop_update, measure, stack_update
from lrscope.study.engines.vmap import VmapEngine, programs_of
from lrscope.study.load import describe_user_error
from lrscope.study.trial import Trial

WORTH_SECONDS = 60.0
"""A batch size whose trials take less than this in all is trained by the loop: to measure would cost what it gains."""

COMPILING_SECONDS = 150.0
"""From here on, by the best way without one, it is worth the tens of seconds that a compiler takes to try it."""

SLOW_UPDATE_SECONDS = 0.2
"""An update that takes longer is bound by its arithmetic, which stacking does not reduce."""

MEASURED_SECONDS = 1.0

CHOOSING_SHARE = 0.03
"""The share of a batch size's training that it may take to check its stacks, and to measure them."""

CLEARLY_FASTER, CLOSE = 0.97, 1.15
"""Another engine than the loop must be so much faster; costs nearer than this are measured longer."""

MOST_WIDTHS = 4

LOOP = 0
"""The loop's place among measured updates; a positive number is a stack of so many trials, a negative one compiled."""


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
    """What a worker is about to train at a batch size.

    Arguments:
        updates: trials that are dealt out to be trained side by side → the updates of all of them.
    """

    batch_size: int
    updates: Mapping[int, float]

    @property
    def total(self) -> float:
        """The updates in all."""
        return sum(self.updates.values())

    @property
    def widths(self) -> list[int]:
        """The numbers of trials that most updates are made in, ascending, the largest among them."""
        often = sorted(self.updates, key=lambda trials: -self.updates[trials])[: MOST_WIDTHS - 1]
        return sorted({min(trials, WIDEST) for trials in (*often, max(self.updates))})

    def cost(self, widest: int, seconds: Callable[[int], float]) -> float:
        """What an update of a trial costs in stacks up to a width, where that of a stack takes so many `seconds`."""
        costs = {trials: seconds(min(trials, widest)) / min(trials, widest) for trials in self.updates}
        return sum(updates * costs[trials] for trials, updates in self.updates.items()) / self.total


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


def expected_loads(rounds: Sequence[tuple[Sequence[Trial], float]], workers: int) -> list[Load]:
    """The loads of a study: its rounds, as many trials as are asked for at once, and how often each comes."""
    loads: dict[int, dict[int, float]] = {}
    for trials, times in rounds:
        for job in VmapEngine().jobs(trials, workers):
            updates = loads.setdefault(job[0].batch_size, {})
            updates[len(job)] = updates.get(len(job), 0.0) + times * sum(trial.stop_at for trial in job) / workers
    return [Load(batch_size=size, updates=loads[size]) for size in sorted(loads)]


def fastest(bench: Bench, load: Load) -> Stacking | None:
    """The fastest way to train a load: a stacking, or None for the loop.

    Raises:
        NotStackable: there is only the loop, though stacks would be tried.
    """
    if max(load.updates) < 2:
        return None
    size = load.batch_size
    updates = {LOOP: loop_update(bench, size)}
    update_seconds = median(measure(updates, 2 * ROUND_SECONDS)[LOOP])
    whole = update_seconds * load.total
    if update_seconds > SLOW_UPDATE_SECONDS or whole < WORTH_SECONDS:
        return None
    affordable = CHOOSING_SHARE * whole
    if certifying_seconds(bench, size, len(load.widths)) > affordable:
        raise NotStackable("a check whether its trials can be stacked would take too long for so short a study")
    stacking = certify(programs_of(bench), size, [width for width in load.widths if width < WIDEST])
    updates |= {trials: stack_update(bench, size, stacking, trials) for trials in load.widths}
    ratios = _ratios(load, updates, affordable)
    widest = min(reversed(load.widths), key=lambda width: _cost(load, ratios, width))  # of equals
    cost = _cost(load, ratios, widest)
    if whole * min(cost, 1.0) > COMPILING_SECONDS:
        with suppress(NotStackable):
            compiled = _compiled(bench, load, ratios, updates, whole)
            if compiled is not None:
                return compiled
    if cost > CLEARLY_FASTER:
        return None
    return replace(stacking, widths=tuple(width for width in stacking.widths if width <= stacking.rows(widest)))


def _compiled(
    bench: Bench, load: Load, ratios: Mapping[int, float], updates: Mapping[int, Update], whole: float
) -> Stacking | None:
    """The compiled stacking of a load, where it is clearly faster and saves more than it takes to compile."""
    width = min(load.widths, key=lambda width: load.cost(width, lambda _: ratios[width]))
    began = time.perf_counter()
    stacking = certify_compiled(programs_of(bench, "compiled"), load.batch_size, width)
    compiling = time.perf_counter() - began  # the workers will compile too, though most of it is kept on disk
    updates = {**updates, -width: stack_update(bench, load.batch_size, stacking, width)}
    ratios = _ratios(load, updates, CHOOSING_SHARE * whole)
    cost, best = _cost(load, ratios, -width), min(_cost(load, ratios, name) for name in updates if name >= LOOP)
    return stacking if cost < CLEARLY_FASTER * best and whole * (best - cost) > compiling else None


def _ratios(load: Load, updates: Mapping[int, Update], affordable: float) -> dict[int, float]:
    """Seconds of an update of each kind, in those of the loop: a longer look at costs that lie close together."""
    seconds = measure(updates, min(MEASURED_SECONDS, affordable))
    first, second = sorted(_cost(load, _medians(seconds), name) for name in updates)[:2]
    if second < CLOSE * first:
        more = measure(updates, min(3 * MEASURED_SECONDS, affordable))
        seconds = {name: [*own, *more[name]] for name, own in seconds.items()}
    return _medians(seconds)


def _medians(seconds: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """The medians of the ratios to the loop within rounds."""
    return {name: median(map(truediv, own, seconds[LOOP])) for name, own in seconds.items()}


def _cost(load: Load, ratios: Mapping[int, float], name: int) -> float:
    """What an update of a trial of the load costs one way, in updates of the loop."""
    if name == LOOP:
        return 1.0
    if name < 0:
        return load.cost(-name, lambda _: ratios[name])
    stacks = sorted(other for other in ratios if other > 0)
    return load.cost(name, lambda trials: ratios[next(width for width in stacks if width >= trials)])
