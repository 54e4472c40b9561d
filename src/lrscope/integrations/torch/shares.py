"""One schedule, asked step by step: 1,024 steps at a time in one array call, so that a step costs a list look-up."""

from __future__ import annotations

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.schedules.schedule import Schedule

CHUNK = 1024


class Shares:
    """A schedule with the shares of the steps around the present one at hand; `at(step)` equals `schedule(step)`."""

    __slots__ = ("_schedule", "_start", "_table")

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._start = 0
        self._table: list[float] = []

    def at(self, step: int) -> float:
        """The share of the peak at a step >= 0."""
        index = step - self._start
        if 0 <= index < len(self._table):
            return self._table[index]
        if index != len(self._table):  # a jump: on a token clock every call is one, and a table would be wasted
            self._start, self._table = step + 1, []
            return float(self._schedule(step))
        try:
            table = self._schedule(np.arange(step, step + CHUNK)).tolist()
        except InvalidInput:  # a schedule may end with an error, and only the steps past its end deserve it
            return float(self._schedule(step))
        self._start, self._table = step, table
        return float(table[0])
