"""torch's schedulers that are made of schedulers: one after another (SequentialLR), or all at every step (Chained…).

Most of torch's schedulers multiply the optimizer's rate of the moment; a few set it. What a chain does depends on that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from expressions import function_of, read_call, table_of

from lrscope.schedules import Constant, Schedule
from lrscope.schedules import Sequence as Phases

SETTERS = {"LambdaLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "CyclicLR"}
"""Those that set the rate, whatever it is; the others multiply it."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One scheduler of a chain: its rates for the base that it saw when it was made, and how it moves the rate."""

    name: str
    make: Callable[[float], Schedule]
    base_lr: float
    floor: float = 0.0

    @property
    def rates(self) -> Schedule:
        """Its rates when it is alone."""
        return self.make(self.base_lr)

    @property
    def sets(self) -> bool:
        """Whether it sets the rate."""
        return self.name in SETTERS

    def moved(self, rate: float, step: int) -> float:
        """The optimizer's rate after this scheduler's step."""
        if self.name == "CyclicLR" and step == 0:  # while it is made, it does not know its own base yet
            return self.base_lr
        now = self.rates(step)
        if self.sets:
            return now
        before = self.rates(step - 1) if step else self.base_lr
        if before == self.floor:
            return rate + now - self.floor
        return (now - self.floor) / (before - self.floor) * (rate - self.floor) + self.floor


def members_of(
    schedules: dict[str, Callable[..., Any]], base_lr: float, schedulers: Sequence[Any], last_step: int
) -> tuple[list[Member], float]:
    """The members in order, and the initial rate that the optimizer's group is left with."""
    members = []
    initial: float | None = None
    for written in schedulers:
        name, positional, named = read_call(written)
        family = schedules[name]
        if "last_step" in inspect.signature(family).parameters:
            named["last_step"] = last_step
        settings = inspect.signature(family).bind(
            *(positional if name == "CyclicLR" else (base_lr, *positional)),
            **{key: value for key, value in named.items() if key != "base_lr" or name == "CyclicLR"},
        )

        def make(base: float, family: Any = family, settings: Any = settings, name: str = name) -> Schedule:
            arguments = settings.arguments if name == "CyclicLR" else settings.arguments | {"base_lr": base}
            made: Schedule = family(**arguments)
            return made

        if name == "OneCycleLR":
            initial = settings.arguments["max_lr"] / settings.arguments.get("div_factor", 25.0)
        elif initial is None:
            initial = settings.arguments["base_lr"]
        floor = settings.arguments.get("eta_min", 0.0) if name == "CosineAnnealingLR" else 0.0
        members.append(Member(name=name, make=make, base_lr=initial, floor=floor))
    return members, base_lr if initial is None else initial


def chained(schedules: dict[str, Callable[..., Any]], base_lr: float, written: Sequence[Any], last_step: int) -> Any:
    """All at every step: a product, or, where a member sets the rate or adds to it (a cosine does), step by step."""
    members, _ = members_of(schedules, base_lr, written, last_step)
    if not any(member.sets or member.name == "CosineAnnealingLR" for member in members):
        return reduce(lambda a, b: a * b, (member.make(1.0) for member in members), Constant(factor=base_lr))
    rates, rate = [], base_lr
    for step in range(last_step + 1):
        for member in members:
            rate = member.moved(rate, step)
        rates.append(rate)
    return table_of(lambda step: rates[step], last_step)


def sequential(
    schedules: dict[str, Callable[..., Any]],
    base_lr: float,
    written: Sequence[Any],
    milestones: Sequence[int],
    last_step: int,
) -> Any:
    """One after another, each from its own step 0."""
    members, initial = members_of(schedules, base_lr, written, last_step)
    starts = (0, *milestones)
    phases: list[Schedule] = []
    for index, (member, start) in enumerate(zip(members, starts, strict=True)):
        at_work_first = start == 0 and not any(later == 0 for later in starts[index + 1 :])
        if member.name == "MultiplicativeLR" and not at_work_first:
            before = Phases(tuple(phases), tuple(milestones[: index - 1]))(max(start - 1, 0))
            phases.append(_going_on(written[index], before, last_step))
        else:
            phases.append(member.make(initial) if at_work_first and not member.sets else member.rates)
    return Phases(tuple(phases), tuple(milestones))


def _going_on(written: Any, rate: float, last_step: int) -> Schedule:
    """MultiplicativeLR goes on from the rate that it finds, multiplied at its own step 0 already."""
    _, positional, named = read_call(written)
    factor = function_of((*positional, *named.values())[0])
    rates = [rate * factor(0)]
    while len(rates) <= last_step:
        rates.append(rates[-1] * factor(len(rates)))
    return table_of(lambda step: rates[step], last_step)
