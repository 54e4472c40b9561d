"""A longer run than was planned: carry a schedule on without changing what has been done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from lrscope.errors import InvalidInput
from lrscope.schedules.arguments import check_length, refuse
from lrscope.schedules.compose import Sequence
from lrscope.schedules.decay import LinearDecay
from lrscope.schedules.elementwise import Steps, choose, minimum
from lrscope.schedules.endless import Constant
from lrscope.schedules.schedule import LIMIT, Schedule, is_number

Policy: TypeAlias = Literal["hold", "cool_down", "stretch"]


@dataclass(frozen=True)
class Stretch(Schedule):
    """A schedule whose updates from `start` on are spread over a longer (or shorter) rest of the run.

    s(t) before start, then s(start + (t − start)·(L − 1 − start)/(N − 1 − start)), with L the schedule's own length
    and N the new `total_steps`: the last update keeps its rate.

    >>> from lrscope.schedules import LinearDecay
    >>> Stretch(LinearDecay(5), start=2, total_steps=7)([0, 1, 2, 3, 4, 5, 6]).tolist()
    [1.0, 0.75, 0.5, 0.375, 0.25, 0.125, 0.0]
    """

    name = "stretch"
    length_field = "total_steps"

    schedule: Schedule
    start: int
    total_steps: int

    def __post_init__(self) -> None:
        check_length(self, "start")
        check_length(self, "total_steps")
        if not isinstance(self.schedule, Schedule) or self.schedule.length is None:
            raise refuse(self, "schedule", "a schedule with a length")
        if self.start > min(self.schedule.length, self.total_steps):
            raise refuse(self, "start", "within the schedule's length and the total")

    def at(self, t: Steps) -> Steps:
        own, new = (self.schedule.length or 0) - 1 - self.start, self.total_steps - 1 - self.start
        if own <= 0 or new <= 0:
            last = max((self.schedule.length or 1) - 1.0, 0.0)
            return self.schedule.at(minimum(t, last))
        later = self.start + minimum(t - self.start, float(new)) * own / new
        return self.schedule.at(choose(t < self.start, t, later))


def extend(schedule: Schedule, total_steps: int, policy: Policy = "hold", *, at: int | None = None) -> Schedule:
    """The schedule carried on to `total_steps`; the updates before `at` keep their rates to the bit.

    total_steps: the new length. at: updates already made; the schedule's own length where not given. policy: from there
    on "hold" the last rate, "cool_down" in a straight line from the last rate to zero at the last update, or "stretch"
    what is left of the schedule over the updates that are left.

    >>> from lrscope.schedules import WarmupStableDecay
    >>> run = WarmupStableDecay(1, 2, total_steps=5)
    >>> run.extend(7, "cool_down", at=3)([0, 1, 2, 3, 4, 5, 6]).round(3).tolist()
    [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    length = schedule.length
    if at is None and length is None:
        raise InvalidInput(f"'{schedule}' has no end: say which update has been reached, as extend(…, at=step).")
    done = (length if length is not None else 0) if at is None else at
    for name, value, low in (("at", done, 0), ("total_steps", total_steps, done)):
        if not is_number(value) or not low <= value <= LIMIT or int(value) != value:
            raise InvalidInput(f"The '{name}' of extend must be an int from {low:g} to 2^53. Got {value!r}.")
    done, total = int(done), int(total_steps)
    level = schedule(max(done - 1, 0))
    if policy == "stretch" and length is not None and done >= length:
        policy = "hold"  # nothing is left to stretch
    match policy:
        case "hold":
            rest: Schedule = Constant(total - done, level)
        case "cool_down":
            # One update more, its first left out: the rate falls from the first update on.
            cooling = LinearDecay(total - done + 1, start_factor=level)
            rest = cooling if done == 0 else Sequence((Constant(factor=level), cooling), (done - 1,))
        case "stretch":
            return Stretch(schedule, min(done, int(length or done)), total)
        case _:
            raise InvalidInput(f"The policy of extend must be 'hold', 'cool_down' or 'stretch'. Got {policy!r}.")
    if done == 0:
        return replace(cooling, decay_steps=total) if policy == "cool_down" else rest
    return Sequence((schedule, rest), (done,), ("local", "global" if policy == "cool_down" else "local"))
