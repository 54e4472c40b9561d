"""Weight decay, momentum and betas on schedules of their own, beside the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.shares import Shares
from lrscope.schedules.schedule import Schedule

Form = Schedule | str | None


class Rider:
    """One hyper-parameter of every param group, set to its own initial value times a schedule.

    The initial value is noted in the group as `initial_<key>`, as the learning rate's peak is, so that it survives a
    checkpoint of the optimizer. `place` is the position in a tuple (betas), or None for a plain number.
    """

    def __init__(self, key: str, place: int | None, schedule: Schedule) -> None:
        self._key = key
        self._place = place
        self._shares = Shares(schedule)
        self._initial: list[Any] = []

    def adopt(self, groups: list[dict[str, Any]]) -> None:
        """Takes the initial values of groups not seen before."""
        for group in groups[len(self._initial) :]:
            value = group.setdefault(f"initial_{self._key}", group[self._key])
            self._initial.append(value if self._place is None else value[self._place])

    def apply(self, groups: list[dict[str, Any]], step: int) -> None:
        """Sets the value of every group at a step."""
        share = self._shares.at(step)
        for group, initial in zip(groups, self._initial, strict=True):
            if self._place is None:
                group[self._key] = initial * share
            else:
                values = list(group[self._key])
                values[self._place] = initial * share
                group[self._key] = tuple(values)


def make_riders(
    optimizer: Any, forms: Mapping[str, Form | tuple[Form, Form]], resolved: Callable[[Schedule | str], Schedule]
) -> list[Rider]:
    """One rider for each of weight_decay, momentum and betas that is given; momentum is β₁ where there are betas."""
    riders = []
    for key, form in forms.items():
        if form is None:
            continue
        if key == "momentum" and "betas" in optimizer.param_groups[0]:
            key, form = "betas", (form if not isinstance(form, tuple) else form[0], None)
        if any(key not in group for group in optimizer.param_groups):
            raise InvalidInput(
                f"{type(optimizer).__name__} has no {key!r} to schedule; its param groups have "
                f"{', '.join(sorted(set(optimizer.param_groups[0]) - {'params'}))}."
            )
        if isinstance(form, tuple):
            riders += [Rider(key, place, resolved(one)) for place, one in enumerate(form) if one is not None]
        else:
            riders.append(Rider(key, None, resolved(form)))
    return riders
