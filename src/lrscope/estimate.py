"""An estimated number and the interval that it comes with: lrscope never reports a bare optimum."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lrscope.errors import InvalidInput

COVERAGE = 0.80
"""The probability that every interval of lrscope is meant to hold the truth with: a central 80 % interval."""
QUANTILES = (0.1, 0.5, 0.9)
"""The quantiles that are such an interval's low end, its middle and its high end."""

HALF_WIDTH = 1.2815515655446004
"""Half the width of such an interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Estimate:
    """A value with its central 80 % interval; an end that the evidence leaves open is None.

    >>> Estimate(0.1, 0.05, None)
    Estimate(value=0.1, low=0.05, high=None)
    >>> 0.3 in Estimate(0.1, 0.05, None)
    True
    """

    value: float
    low: float | None
    high: float | None

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None:
                object.__setattr__(self, name, float(number))
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if math.isfinite(self.value) and not low <= self.value <= high:
            raise InvalidInput(f"An Estimate's value must lie within its interval. Got {self}.")

    def __contains__(self, number: float) -> bool:
        return (self.low is None or self.low <= number) and (self.high is None or number <= self.high)

    def to_json(self) -> dict[str, float | None]:
        """The estimate as JSON has it: value, low, high."""
        return {"value": self.value, "low": self.low, "high": self.high}
