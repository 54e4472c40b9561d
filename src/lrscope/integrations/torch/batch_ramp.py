"""Growing the batch in place of part of the decay: one plan for (rate, batch size) on a clock of examples or tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from lrscope.errors import InvalidInput
from lrscope.schedules.piecewise import Tabulated
from lrscope.schedules.schedule import Schedule, is_number


@dataclass(frozen=True, kw_only=True)
class BatchRamp:
    """Wherever the plain schedule has fallen by a further factor a, the batch grows by a and the rate falls by less.

    With s(e) the share of the peak after e examples, and k = ⌊log_a(max s so far / s)⌋, never falling: the batch is
    B_k = B₀·aᵏ, up to `max_batch_size`, and the rate is peak · s(e) · (B_k / B₀)^p. p = 1/2 is Seesaw (2025,
    arXiv 2510.14717: a decay by a becomes a decay by √a), p = 1 holds the rate while the batch grows, for SGD (Smith
    2018, arXiv 1711.00489), p = 0 ramps the batch beside the unchanged schedule. Beyond the critical batch size a
    ramp stops helping: make that `max_batch_size`.

    Arguments:
        schedule: the share of the peak over examples, not updates: its total is the run's number of examples. With a
            clock of tokens, give `batch_size` in tokens too.
        batch_size: the first batch size B₀.
        total_examples: the run's length on the same clock.
        factor: a > 1; the batch sizes are rounded down to whole examples.
        max_batch_size: where the ramp stops, and the plain decay takes over.
        rate_power: p, 0 … 1.

    Raises:
        InvalidInput: a size that is not positive, a factor not above 1, or a power outside [0, 1].
    """

    schedule: Schedule
    batch_size: int
    total_examples: int
    max_batch_size: int
    factor: float = 2.0
    rate_power: float = 0.5
    starts: NDArray[np.int64] = field(init=False, repr=False, compare=False)  # (updates,) examples seen before each
    batch_sizes: NDArray[np.int64] = field(init=False, repr=False, compare=False)  # (updates,)
    shares: NDArray[np.float64] = field(init=False, repr=False, compare=False)  # (updates,) of the peak rate

    def __post_init__(self) -> None:
        accepted = {
            "schedule": (isinstance(self.schedule, Schedule), "a Schedule"),
            "batch_size": (_is_size(self.batch_size, 1), "an int >= 1"),
            "total_examples": (_is_size(self.total_examples, self.batch_size), "an int >= batch_size"),
            "max_batch_size": (_is_size(self.max_batch_size, self.batch_size), "an int >= batch_size"),
            "factor": (is_number(self.factor) and self.factor > 1, "a finite number > 1"),
            "rate_power": (is_number(self.rate_power) and 0 <= self.rate_power <= 1, "a number from 0 to 1"),
        }
        for name, (fine, what) in accepted.items():
            if not fine:
                raise InvalidInput(f"The {name!r} parameter of BatchRamp must be {what}. Got {getattr(self, name)!r}.")
        starts, batch_sizes = self._planned()
        grown = batch_sizes / self.batch_size
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "batch_sizes", batch_sizes)
        object.__setattr__(self, "shares", self.schedule(starts) * grown**self.rate_power)

    @property
    def total_steps(self) -> int:
        """The number of updates; a last batch that the run's examples do not fill is dropped."""
        return len(self.starts)

    def per_update(self) -> Schedule:
        """The plan's rate as a schedule of the update, for `ScheduledLR`."""
        return Tabulated(tuple(self.shares.tolist()))

    def _planned(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        starts: list[NDArray[np.int64]] = []
        sizes: list[NDArray[np.int64]] = []
        examples, cuts, highest = 0, 0, 0.0
        batch_size = self.batch_size
        while examples + batch_size <= self.total_examples:
            clock = np.arange(examples, self.total_examples - batch_size + 1, batch_size)
            share = self.schedule(clock)
            so_far = np.maximum(np.maximum.accumulate(share), highest)
            further = self._cuts(so_far, share) > cuts
            kept = int(np.argmax(further)) if further.any() and batch_size < self.max_batch_size else len(clock)
            if kept:
                starts.append(clock[:kept])
                sizes.append(np.full(kept, batch_size))
                highest = float(so_far[kept - 1])
            if kept == len(clock):
                break
            examples, cuts = int(clock[kept]), int(self._cuts(so_far, share)[kept])
            batch_size = min(int(self.batch_size * self.factor**cuts), self.max_batch_size)
        return np.concatenate(starts), np.concatenate(sizes)

    def _cuts(self, highest: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
        most = math.ceil(math.log(self.max_batch_size / self.batch_size, self.factor) - 1e-9)
        with np.errstate(divide="ignore", over="ignore"):  # fallen to nothing is fallen as far as can be
            fallen = np.divide(highest, share, out=np.full_like(share, np.inf), where=share > 0)
            fallen[highest == 0] = 1.0  # a warm-up that begins at zero has not fallen
            cuts = np.floor(np.log(fallen) / math.log(self.factor) + 1e-9)
        return np.minimum(cuts, most)


def _is_size(value: Any, least: Any) -> bool:
    """Whether the value is a whole number, and not below another."""
    return is_number(value) and int(value) == value and (not is_number(least) or bool(value >= least))


class RampSampler(Sampler[list[int]]):
    """Batches of a `BatchRamp`'s sizes, for `DataLoader(batch_sampler=…)`: reshuffled passes over the data, seeded.

    Its state is the update, so a run goes on with the very batches it would have had.

    Arguments:
        ramp: the plan, on a clock of examples.
        examples: the number of examples in the data.
        seed: of the order; pass number p is shuffled by (seed, p).

    Raises:
        InvalidInput: no examples.
    """

    def __init__(self, ramp: BatchRamp, examples: int, *, seed: int = 0) -> None:
        if examples < 1:
            raise InvalidInput(f"The 'examples' parameter of RampSampler must be an int >= 1. Got {examples}.")
        self.ramp = ramp
        self.step = 0
        self._examples = examples
        self._seed = seed

    def __len__(self) -> int:
        return self.ramp.total_steps - self.step

    def __iter__(self) -> Iterator[list[int]]:
        order: dict[int, list[int]] = {}
        for step in range(self.step, self.ramp.total_steps):
            start, size = int(self.ramp.starts[step]), int(self.ramp.batch_sizes[step])
            passes = range(start // self._examples, (start + size - 1) // self._examples + 1)
            order = {number: order.get(number) or self._order(number) for number in passes}
            yield [order[at // self._examples][at % self._examples] for at in range(start, start + size)]

    def state_dict(self) -> dict[str, Any]:
        """The update to begin with; set `step` to the updates made before asking (loaders fetch ahead)."""
        return {"step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begins with the update of `state_dict`."""
        self.step = int(state_dict["step"])

    def _order(self, number: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        order: list[int] = torch.randperm(self._examples, generator=generator).tolist()
        return order
