"""Checks of a schedule's arguments: each refusal is one sentence with the argument, the family and what is accepted."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, TypeAlias

from lrscope.errors import InvalidInput
from lrscope.schedules.reader import shortened
from lrscope.schedules.schedule import LIMIT, Schedule, is_number

EndAt: TypeAlias = Literal["last_update", "total", "never"]
PastEnd: TypeAlias = Literal["hold", "continue", "error"]
Side: TypeAlias = Literal["later", "earlier"]

CHOICES = {
    "end_at": ("last_update", "total", "never"),
    "past_end": ("hold", "continue", "error"),
    "boundary": ("later", "earlier"),
}


def refuse(schedule: Schedule, argument: str, accepted: str) -> InvalidInput:
    """The error for an argument that cannot be used."""
    value = shortened(repr(getattr(schedule, argument)))
    return InvalidInput(f"The '{argument}' parameter of {type(schedule).__name__} must be {accepted}. Got {value}.")


def store(schedule: Schedule, argument: str, value: Any) -> None:
    """Set an argument of a frozen schedule while it is made."""
    object.__setattr__(schedule, argument, value)


def plain(value: float) -> int | float:
    """A number as a plain int where it is whole, else a float: equality, repr and JSON do not depend on its type."""
    return int(value) if int(value) == value else float(value)


def _too_large(value: object) -> bool:
    return is_number(value) and value > LIMIT  # type: ignore[operator]


def check_length(schedule: Schedule, argument: str, *, optional: bool = False) -> None:
    """A whole number of updates."""
    value = getattr(schedule, argument)
    if optional and value is None:
        return
    if not is_number(value) or value < 0 or value > LIMIT or int(value) != value:
        accepted = "an int from 0 to 2^53" if _too_large(value) else "an int >= 0"
        raise refuse(schedule, argument, accepted + (" or None" if optional else ""))
    store(schedule, argument, int(value))


def check_steps(schedule: Schedule, argument: str, *, above_zero: bool = True) -> None:
    """A number of updates that need not be whole."""
    value = getattr(schedule, argument)
    if not is_number(value) or value < 0 or (above_zero and value == 0) or value > LIMIT:
        most = ", at most 2^53" if _too_large(value) else ""
        raise refuse(schedule, argument, f"a finite number of steps {'>' if above_zero else '>='} 0{most}")
    store(schedule, argument, plain(value))


def check_number(
    schedule: Schedule,
    argument: str,
    *,
    low: float = 0.0,
    high: float | None = None,
    open_low: bool = False,
    optional: bool = False,
) -> None:
    """A finite number within bounds."""
    value = getattr(schedule, argument)
    if optional and value is None:
        return
    if not is_number(value) or value < low or (open_low and value == low) or (high is not None and value > high):
        accepted = f"a finite number {'>' if open_low else '>='} {low:g}" + (
            "" if high is None else f" and <= {high:g}"
        )
        raise refuse(schedule, argument, accepted + (" or None" if optional else ""))
    store(schedule, argument, float(value))


def check_numbers(schedule: Schedule, argument: str, *, rising: bool = False, at_least: int = 0) -> None:
    """A tuple of finite numbers >= 0; steps in rising order (equal ones may follow each other) where asked."""
    value = getattr(schedule, argument)
    accepted = (
        "finite numbers >= 0" + (" in rising order" if rising else "") + (f", at least {at_least}" * (at_least > 0))
    )
    try:
        values = tuple(value)
    except TypeError:
        raise refuse(schedule, argument, accepted) from None
    if len(values) < at_least or not all(is_number(v) and v >= 0 for v in values):
        raise refuse(schedule, argument, accepted)
    if rising and any(a > b for a, b in pairwise(values)):
        raise refuse(schedule, argument, accepted)
    store(schedule, argument, tuple(plain(v) if rising else float(v) for v in values))


def check_choice(schedule: Schedule, argument: str, choices: tuple[str, ...] | None = None) -> None:
    """One of a few words."""
    choices = choices or CHOICES[argument]
    if getattr(schedule, argument) not in choices:
        raise refuse(schedule, argument, " or ".join(f"'{choice}'" for choice in choices))


def check_flag(schedule: Schedule, argument: str) -> None:
    """True or False."""
    if not isinstance(getattr(schedule, argument), bool):
        raise refuse(schedule, argument, "True or False")
