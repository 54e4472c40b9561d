"""What every schedule is: a frozen, pure function of the step, with a text form, a JSON form, equality and a pickle.

A schedule gives the share of the peak learning rate at update `step` = 0, 1, 2, …; the rate is
`peak_lr * schedule(step)`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, Field, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.schedules.elementwise import FloatArray, Steps, minimum

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lrscope.schedules.arguments import Side
    from lrscope.schedules.compose import Clock, Product, Sequence
    from lrscope.schedules.extend import Policy

FAMILIES: dict[str, type[Schedule]] = {}
"""Every family by its name in text and JSON, filled as the families are defined."""

LIMIT = 2.0**53
"""Steps beyond this one are not exact in float64: 9e15, nine thousand trillion."""


@dataclass(frozen=True)
class Schedule(ABC):
    """A learning-rate schedule: `schedule(step)` is the share of the peak learning rate at the 0-based update `step`.

    A number gives a float, an array a float64 array of its shape, and the two agree to the last bit.

    >>> from lrscope.schedules import CosineDecay, LinearWarmup
    >>> schedule = LinearWarmup(2).then(CosineDecay(3))
    >>> schedule(0), schedule(1)
    (0.5, 1.0)
    >>> schedule([2, 3, 4]).tolist()
    [1.0, 0.5, 0.0]
    >>> print(schedule)
    warmup(2) -> cosine(3)
    """

    name: ClassVar[str] = ""
    length_field: ClassVar[str] = "steps"
    """The argument that holds the family's length, where it has one."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.name:
            FAMILIES[cls.name] = cls

    @abstractmethod
    def at(self, t: Steps) -> Steps:
        """The share at steps already checked: a float, or a contiguous 1-D float64 array. Calls come through here."""

    @property
    def length(self) -> float | None:
        """The number of updates the schedule is made for; None where it has no end."""
        value: float | None = getattr(self, self.length_field, None)
        return value

    @overload
    def __call__(self, step: float) -> float: ...
    @overload
    def __call__(self, step: ArrayLike) -> FloatArray: ...
    def __call__(self, step: Any) -> Any:
        """The share of the peak learning rate at one step, or at each of an array of steps."""
        if type(step) is int or type(step) is float:
            if not 0 <= step <= LIMIT:
                raise _bad_step(self, step)
            return self.at(float(step))
        steps = np.asarray(step)
        if steps.dtype.kind not in "iuf":
            raise InvalidInput(
                f"A step of {type(self).__name__} must be a number or an array of numbers. Got {step!r}."
            )
        if steps.size and not (steps.min() >= 0 and steps.max() <= LIMIT):
            raise _bad_step(self, float(steps[~((steps >= 0) & (steps <= LIMIT))].flat[0]))
        if isinstance(step, np.generic):
            return self.at(float(step))
        # One contiguous row, whatever came: NumPy's loops may treat strided data differently.
        return self.at(np.ascontiguousarray(steps, dtype=np.float64).reshape(-1)).reshape(steps.shape)

    def then(
        self, other: Schedule, *, at: float | None = None, clock: Clock = "local", boundary: Side = "later"
    ) -> Sequence:
        """This schedule up to step `at` (by default its own length), the other from there on.

        `clock="local"` starts the other at its own step 0, "global" leaves it the run's step. The step on the boundary
        belongs to the `boundary` phase: the "later" or the "earlier".
        """
        from lrscope.schedules.compose import follow

        return follow(self, other, at=at, clock=clock, boundary=boundary)

    def __mul__(self, other: Schedule | float) -> Product:
        from lrscope.schedules.compose import multiply

        return multiply(self, other)

    def __rmul__(self, other: float) -> Product:
        from lrscope.schedules.compose import multiply

        return multiply(other, self)

    def extend(self, total_steps: int, policy: Policy = "hold", *, at: int | None = None) -> Schedule:
        """This schedule carried on to `total_steps`, the updates before `at` unchanged: `lrscope.schedules.extend`."""
        from lrscope.schedules.extend import extend

        return extend(self, total_steps, policy, at=at)

    def with_length(self, steps: float) -> Self:
        """This schedule with another length."""
        return replace(self, **{self.length_field: steps})

    @classmethod
    def lacks_length(cls, given: set[str]) -> bool:
        """Whether the family has to have a length, and these arguments do not tell it."""
        return cls.length_field not in given and any(
            f.name == cls.length_field and f.default is MISSING for f in arguments_of(cls)
        )

    def __str__(self) -> str:
        from lrscope.schedules.text import format_schedule

        return format_schedule(self)

    def to_json(self) -> dict[str, Any]:
        """`{"name": …, argument: value, …}`: every argument that is not at its default; phases are nested."""
        return {"name": self.name} | {f.name: _to_json(getattr(self, f.name)) for f in arguments_given(self)}


def arguments_given(schedule: Schedule) -> list[Field[Any]]:
    """The arguments of a schedule that must be told, or that differ from their defaults."""
    return [f for f in arguments_of(type(schedule)) if f.default is MISSING or getattr(schedule, f.name) != f.default]


def arguments_of(family: type[Schedule]) -> list[Field[Any]]:
    """The arguments of a family, in order; what it computes from them is left out."""
    return [f for f in fields(family) if f.init]


def _to_json(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.to_json()
    return [_to_json(v) for v in value] if isinstance(value, tuple) else value


def schedule_from_json(document: dict[str, Any]) -> Schedule:
    """The schedule of a `to_json` document.

    >>> schedule_from_json({"name": "step", "step_size": 30})
    StepDecay(step_size=30, gamma=0.1, steps=None, boundary='later', past_end='hold')
    """
    import lrscope.schedules  # noqa: F401  (defines the families)

    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise InvalidInput(f"A schedule in JSON must be an object with a 'name'. Got {document!r}.")
    arguments = {key: _from_json(value) for key, value in document.items() if key != "name"}
    return build(document["name"], (), arguments)


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return schedule_from_json(value)
    return tuple(_from_json(v) for v in value) if isinstance(value, list) else value


def build(name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Schedule:
    """The family called `name` with these arguments; an unknown name or argument is named in the error."""
    family = FAMILIES.get(name)
    if family is None:
        raise InvalidInput(f"There is no schedule called '{name}'. Known: {', '.join(sorted(FAMILIES))}.")
    known = [f.name for f in arguments_of(family)]
    if len(positional) > len(known):
        raise InvalidInput(f"The schedule '{name}' takes at most {len(known)} arguments. Got {len(positional)}.")
    given = dict(zip(known, positional, strict=False))
    for key, value in named.items():
        if key not in known:
            raise InvalidInput(f"The schedule '{name}' has no argument '{key}'. It takes: {', '.join(known)}.")
        if key in given:
            raise InvalidInput(f"The argument '{key}' of the schedule '{name}' is given twice.")
        given[key] = value
    missing = [f.name for f in arguments_of(family) if f.default is MISSING and f.name not in given]
    if missing:
        raise InvalidInput(f"The schedule '{name}' needs its argument '{missing[0]}'.")
    return family(**given)


def _bad_step(schedule: Schedule, step: float) -> InvalidInput:
    return InvalidInput(f"A step of {type(schedule).__name__} must be between 0 and 2^53. Got {step}.")


def past_end_error(schedule: Schedule, t: Steps, length: float) -> InvalidInput:
    """The error of `past_end="error"`: which step was asked, of how many."""
    step = t if isinstance(t, float) else float(np.max(t))
    return InvalidInput(f"Step {step:g} is past the end of '{schedule}', which has {length:g} updates.")


def held(schedule: Schedule, t: Steps, length: float | None, past_end: str, last: float) -> Steps:
    """Steps as a family sees them past its end: held at `last`, left alone ("continue"), or refused ("error")."""
    if length is None or past_end == "continue":
        return t
    if past_end == "error" and not _all_below(t, max(length, 1.0)):
        raise past_end_error(schedule, t, length)
    return minimum(t, last)


def _all_below(t: Steps, end: float) -> bool:
    if isinstance(t, float):
        return t < end
    return t.size == 0 or bool(np.max(t) < end)


def is_number(value: object) -> bool:
    """Whether the value is a finite number (and no truth value)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the largest float
        return False
