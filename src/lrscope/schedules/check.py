"""What a schedule does that its owner may not mean: each finding names the update and the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lrscope.errors import InvalidInput
from lrscope.schedules.compose import Product, Sequence
from lrscope.schedules.elementwise import FloatArray
from lrscope.schedules.schedule import LIMIT, Schedule, is_number
from lrscope.schedules.wsd import WarmupStableDecay

FindingKind: TypeAlias = Literal["wasted_warmup", "end_not_reached", "jump", "rise_past_end", "total_differs"]

MOST_SAMPLES = 100_001
TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to look at: what kind, at which update, and a sentence about it."""

    kind: FindingKind
    step: int
    message: str


def check_schedule(schedule: Schedule, total_steps: int) -> tuple[Finding, ...]:
    """What is odd about a schedule in a run of `total_steps` updates; empty where nothing is.

    Looks for updates wasted at a rate of zero in the warm-up, an end value that the run does not reach, a jump between
    phases, a rate that rises past the end, and a schedule made for another total.

    >>> from lrscope.schedules import parse_schedule
    >>> check_schedule(parse_schedule("warmup(5%) -> cosine", total_steps=1000), 1000)
    ()
    >>> check_schedule(parse_schedule("warmup(50, offset=0) -> linear(950)"), 1000)[0].kind
    'wasted_warmup'
    """
    if not (is_number(total_steps) and 1 <= total_steps <= LIMIT and int(total_steps) == total_steps):
        raise InvalidInput(f"The total_steps of check_schedule must be an int >= 1. Got {total_steps!r}.")
    total = int(total_steps)
    found: list[Finding] = []
    last_step = total - 1 if _can(schedule, total - 1) else int(schedule.length or total) - 1
    steps = np.unique(np.linspace(0, max(last_step, 0), min(total, MOST_SAMPLES)).astype(np.int64))
    shares = schedule(steps)
    found += _wasted(schedule, steps, shares)
    found += _jumps(schedule, total)
    found += _past_end(schedule, total, float(shares[-1])) if last_step == total - 1 else []
    length = schedule.length
    if length is not None and length != total:
        more = "ends before the run does" if length < total else "is cut off by the end of the run"
        message = f"The schedule is made for {length:g} updates, the run has {total}: it {more}."
        found.append(Finding(kind="total_differs", step=int(min(length, total)), message=message))
    return tuple(found)


def _can(schedule: Schedule, step: int) -> bool:
    """Whether the schedule has a rate there, and is not made to refuse it."""
    try:
        schedule(step)
    except InvalidInput:
        return False
    return True


def _wasted(schedule: Schedule, steps: NDArray[np.int64], shares: FloatArray) -> list[Finding]:
    """Updates before the first with a rate above zero."""
    above = np.flatnonzero(shares > 0)
    if above.size and above[0] == 0:
        return []
    if not above.size:
        return [Finding(kind="wasted_warmup", step=0, message="The rate is zero at every update of the run.")]
    zero, first = int(steps[above[0] - 1]), int(steps[above[0]])
    while first - zero > 1:  # between two samples
        middle = (zero + first) // 2
        zero, first = (zero, middle) if schedule(middle) > 0 else (middle, first)
    many = (
        "Update 0 is made at a rate of zero and changes nothing"
        if first == 1
        else f"The first {first} updates are made at a rate of zero and change nothing"
    )
    message = f"{many}: count a warm-up from one (offset=1), or start above zero."
    return [Finding(kind="wasted_warmup", step=0, message=message)]


def _boundaries(schedule: Schedule, origin: float = 0.0) -> Iterator[float]:
    """The steps at which a phase begins, at every depth."""
    if isinstance(schedule, WarmupStableDecay):
        schedule = schedule.phases
    if isinstance(schedule, Product):
        for factor in schedule.factors:
            yield from _boundaries(factor, origin)
    if isinstance(schedule, Sequence):
        starts = (0, *schedule.boundaries)
        stops = (*schedule.boundaries, np.inf)
        for phase, start, stop, zero in zip(schedule.phases, starts, stops, schedule.origins, strict=True):
            if start > 0 and start < stop:
                yield origin + start
            if start < stop:
                yield from (b for b in _boundaries(phase, origin + zero) if origin + start < b < origin + stop)


def _jumps(schedule: Schedule, total: int) -> list[Finding]:
    """Boundaries where the rate changes far more than beside them."""
    found = []
    for boundary in sorted(set(_boundaries(schedule))):
        b = int(np.ceil(boundary))
        if not 1 <= b < total or not _can(schedule, b):
            continue
        around = schedule(np.array([max(b - 2, 0), b - 1, b, min(b + 1, total - 1)]))
        before, change, after = np.diff(around)
        beside = max(0.0, np.sign(change) * before, np.sign(change) * after)  # what goes the same way
        if abs(change) > 0.01 + 3 * beside:
            way = "up" if change > 0 else "down"
            message = (
                f"The rate jumps {way} from {around[1]:.4g} to {around[2]:.4g} of the peak between phases, "
                f"at update {b}."
            )
            found.append(Finding(kind="jump", step=b, message=message))
    return found


def _past_end(schedule: Schedule, total: int, last: float) -> list[Finding]:
    """What comes after the last update: a lower rate that is never reached, or a rise."""
    length = schedule.length
    horizon = int(min(max(total, length or 0) + total, LIMIT))
    steps = np.unique(np.concatenate([np.linspace(total, horizon, 2001).astype(np.int64), [total, total + 1]]))
    if length is not None:
        steps = np.unique(np.append(steps, [s for s in (int(length) - 1, int(length)) if s >= total]))
    try:
        later = schedule(steps)
    except InvalidInput:
        return []
    found = []
    lowest = int(np.argmin(later))
    ends = length is not None and schedule(max(total - 2, 0)) >= last
    if ends and later[lowest] < last - TOLERANCE:
        message = (
            f"The end is never reached: the last update, {total - 1}, has {last:.4g} of the peak, and only update "
            f"{int(steps[lowest])} would have {later[lowest]:.4g}."
        )
        found.append(Finding(kind="end_not_reached", step=total - 1, message=message))
    highest = int(np.argmax(later > last + TOLERANCE))
    if later[highest] > last + TOLERANCE:
        message = (
            f"Past the end the rate rises again, from {last:.4g} of the peak at update {total - 1} to "
            f"{later.max():.4g}: a longer run would not stay at the end."
        )
        found.append(Finding(kind="rise_past_end", step=int(steps[highest]), message=message))
    return found
