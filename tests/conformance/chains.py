"""torch's schedulers that are made of schedulers: one after another (SequentialLR), or all at every step (Chained…).

Most of torch's schedulers multiply the optimizer's rate of the moment; a few set it, and two pull it towards a rate of
their own. What a chain does depends on that.
"""

from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from expressions import function_of, read_call, table_of

from lrscope.schedules import Constant, Schedule
from lrscope.schedules import Sequence as Phases

SETTERS = {"LambdaLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "CyclicLR"}
"""Those that set the rate, whatever it is."""
PULLERS = {"CosineAnnealingLR": "eta_min", "SWALR": "swa_lr"}
"""Those that multiply the rate's distance from a rate of their own, with the argument that names it."""
SHARED = {"OneCycleLR": ("max_lr", "div_factor", "final_div_factor"), "SWALR": ("swa_lr",)}
"""What a scheduler keeps in the optimizer's group, where the next of its kind overwrites it."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One scheduler of a chain: its rates for the base that it saw when it was made, and how it moves the rate."""

    name: str
    make: Callable[..., Schedule]
    """Its schedule, for other arguments than its own where they are given."""
    arguments: dict[str, Any]
    base_lr: float

    @cached_property
    def rates(self) -> Schedule:
        """Its rates when it is alone."""
        return self.make() if self.name == "CyclicLR" else self.make(base_lr=self.base_lr)

    @cached_property
    def way(self) -> Schedule:
        """What it leaves of a rate of one, or of a distance of one from the rate that it pulls towards."""
        return self.make(base_lr=1.0, **({PULLERS[self.name]: 0.0} if self.name in PULLERS else {}))

    @property
    def target(self) -> float:
        """The rate that it pulls towards; zero for one that multiplies."""
        return float(self.arguments.get(PULLERS.get(self.name, ""), 0.0))

    def made(self, rate: float) -> float:
        """The optimizer's rate once it is made."""
        return self.base_lr if self.name == "CyclicLR" else self.begun(rate)  # a cycle does not know its own base yet

    def begun(self, rate: float) -> float:
        """The optimizer's rate where its step 0 is the first of all."""
        return self.rates(0) if self.name in SETTERS else self._pulled(rate, self.way(0))

    def begun_later(self, rate: float) -> float:
        """The optimizer's rate where its step 0 comes after another scheduler's steps."""
        match self.name:
            case "MultiplicativeLR":
                return rate * function_of(self.arguments["lr_lambda"])(0)
            case "SWALR":
                return self.begun(rate)
            case "ConstantLR" if self.arguments.get("total_iters", 5) <= 0:
                return self.base_lr
        return self.rates(0)

    def moved(self, rate: float, step: int) -> float:
        """The optimizer's rate after its own step 1, 2, …"""
        if self.name in SETTERS:
            return self.rates(step)
        before, now = self.way(step - 1), self.way(step)
        if before != 0.0:
            return self._pulled(rate, now / before)
        if self.name == "CosineAnnealingLR":
            return rate + (self.base_lr - self.target) * now
        return self.target if self.name == "SWALR" else rate

    def _pulled(self, rate: float, share: float) -> float:
        return self.target + (rate - self.target) * share

    def goes_its_own_way(self, initial: float) -> bool:
        """Whether its phase of a sequence has the rates of the scheduler alone, whatever came before."""
        from_nothing = self.name == "ConstantLR" and self.arguments.get("total_iters", 5) <= 0
        carries_on = self.name in ("MultiplicativeLR", "SWALR")
        return self.name in SETTERS or (self.base_lr == initial and not from_nothing and not carries_on)


def members_of(
    schedules: dict[str, Callable[..., Any]], base_lr: float, schedulers: Sequence[Any], last_step: int
) -> tuple[list[Member], float]:
    """The members in order, and the initial rate that the optimizer's group is left with."""
    members: list[Member] = []
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
        arguments = dict(settings.arguments)

        def make(family: Any = family, arguments: dict[str, Any] = arguments, **others: Any) -> Schedule:
            made: Schedule = family(**arguments | others)
            return made

        if name == "OneCycleLR":
            initial = arguments["max_lr"] / arguments.get("div_factor", 25.0)
        elif initial is None:
            initial = arguments["base_lr"]
        for earlier in members:
            if earlier.name == name:  # `make` reads the same arguments
                for key in SHARED.get(name, ()):
                    earlier.arguments.pop(key, None)
                    earlier.arguments.update({key: arguments[key]} if key in arguments else {})
        members.append(Member(name=name, make=make, arguments=arguments, base_lr=initial))
    return members, base_lr if initial is None else initial


def chained(schedules: dict[str, Callable[..., Any]], base_lr: float, written: Sequence[Any], last_step: int) -> Any:
    """All at every step: a product, or, where a member sets or pulls the rate, step by step."""
    members, _ = members_of(schedules, base_lr, written, last_step)
    if not any(member.name in SETTERS or member.name in PULLERS for member in members):
        return reduce(lambda a, b: a * b, (member.way for member in members), Constant(factor=base_lr))
    rate = base_lr
    for member in members:
        rate = member.made(rate)
    rates = [rate]
    for step in range(1, last_step + 1):
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
    """One after another, each from its own step 0; step by step where one goes on from the rate that it finds."""
    members, initial = members_of(schedules, base_lr, written, last_step)
    if all(member.goes_its_own_way(initial) for member in members):
        return Phases(tuple(member.rates for member in members), tuple(milestones))
    starts = (0, *milestones)
    rate = members[bisect_right(milestones, 0)].begun(initial)
    rates = [rate]
    for step in range(1, last_step + 1):
        index = bisect_right(milestones, step)
        member, own = members[index], step - starts[index]
        rate = member.moved(rate, own) if own else member.begun_later(rate)
        rates.append(rate)
    return table_of(lambda step: rates[step], last_step)
