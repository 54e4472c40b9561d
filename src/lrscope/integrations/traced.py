"""A schedule as piecewise cubics: what a compiler can trace, in float32, for every family alike.

The formulas of the schedules are float64 and NumPy. Under `jit` there is often float32 only, where 1 + cos(πp) loses
its digits near the end and a step beyond 2²⁴ is not exact. So the schedule is evaluated once, in float64, and cut at
whole steps into pieces on each of which one cubic, evaluated in float32 from the piece's own first step, is right to
8e-7 of the value, however the compiler rounds its sums. A jump falls between two pieces, a smooth part takes few of
them, and a single step is always a right piece.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrscope.errors import InvalidInput
from lrscope.schedules.schedule import Schedule

LAST_STEP = 2**31 - 1  # int32 counters, as Optax's and Keras's are
TOLERANCE = 8e-7
MOST_PIECES = 16_384
SAMPLES = 257
MOST_CHECKED = 1 << 20  # pieces up to this many steps are checked at every step, longer ones at so many random ones


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Cubics c₀ + c₁u + c₂u² + c₃u³ with u = (step − start) · scale, each from its `start` to the next one's.

    Arguments:
        starts: first steps, int32, ascending from 0, (pieces,).
        scales: float32, (pieces,).
        coefficients: float32, (4, pieces).
    """

    starts: NDArray[np.int32]
    scales: NDArray[np.float32]
    coefficients: NDArray[np.float32]

    def evaluate(self, step: Any, namespace: Any, to_array: Callable[..., Any]) -> Any:
        """The share at `step`, an integer array of a framework.

        Arguments:
            step: steps >= 0, in the framework's own array, traced or not.
            namespace: where the framework has `searchsorted` and `take`: `numpy`, `jax.numpy`, `keras.ops`.
            to_array: (value, dtype) -> the framework's array.
        """
        index = namespace.searchsorted(to_array(self.starts, "int32"), step, side="right") - 1

        def taken(column: NDArray[np.generic], dtype: str) -> Any:
            return namespace.take(to_array(column, dtype), index)

        u = to_array(step - taken(self.starts, "int32"), "float32") * taken(self.scales, "float32")
        c0, c1, c2, c3 = (taken(column, "float32") for column in self.coefficients)
        return c0 + u * (c1 + u * (c2 + u * c3))


def last_step_asked(schedule: Schedule, total_steps: int | None) -> int:
    """The last step to compile: the first past the run, or the schedule's last where it has an error past its end."""
    last_step = LAST_STEP if total_steps is None else total_steps
    try:
        schedule(last_step)
    except InvalidInput:
        if schedule.length is None or schedule.length < 1:
            raise
        return int(schedule.length) - 1  # a compiled step cannot raise: it holds
    return last_step


def fit_pieces(schedule: Schedule, *, last_step: int = LAST_STEP) -> Pieces:
    """Cuts a schedule into pieces over the steps 0 … last_step.

    Arguments:
        schedule: the schedule, evaluated in float64.
        last_step: the last step that will be asked for.

    Raises:
        InvalidInput: more than 16,384 pieces would be needed, as for a cycle that goes on for ever.
    """
    random = np.random.default_rng(0)
    end = last_step + 1
    cuts = sorted({0, end, *(2**power for power in range(12, 32) if 2**power < end)})
    waiting = list(pairwise(cuts))[::-1]
    found: list[tuple[int, np.float32, NDArray[np.float32]]] = []
    while waiting:
        start, stop = waiting.pop()
        piece = _fit_piece(schedule, start, stop, random)
        if piece is not None:
            found.append((start, *piece))
        else:
            middle = start + (stop - start) // 2
            waiting += [(middle, stop), (start, middle)]
        if len(found) + len(waiting) > MOST_PIECES:
            raise InvalidInput(
                f"The schedule {schedule} changes too often to be compiled for {last_step + 1:,} steps; "
                f"give 'total_steps', the number of updates of the run."
            )
    starts, scales, coefficients = zip(*found, strict=True)
    return Pieces(
        starts=np.array(starts, np.int32),
        scales=np.array(scales, np.float32),
        coefficients=np.ascontiguousarray(np.array(coefficients, np.float32).T),
    )


def _fit_piece(
    schedule: Schedule, start: int, stop: int, random: np.random.Generator
) -> tuple[np.float32, NDArray[np.float32]] | None:
    """The cubic of the steps [start, stop), or None where no cubic is right."""
    length = stop - start
    if length == 1:
        value = _shares(schedule, np.array([start]))[0]
        return np.float32(1), np.array([value, 0, 0, 0], np.float32)
    inner = random.integers(start, stop, SAMPLES - 2) if length > SAMPLES else np.arange(start + 1, stop - 1)
    steps = np.unique(np.concatenate(([start], inner, [stop - 1])))
    shares = _shares(schedule, steps)
    scale = np.float32(1 / length)
    if np.all(shares == shares[0]):
        coefficients = np.array([shares[0], 0, 0, 0], np.float32)
    else:
        coefficients = _least_relative_error((steps - start) * np.float64(scale), shares)
    if not _is_right(coefficients, scale, steps - start, shares):
        return None
    if length > SAMPLES:
        every = length <= MOST_CHECKED
        steps = np.arange(start, stop) if every else random.integers(start, stop, MOST_CHECKED)
        if not _is_right(coefficients, scale, steps - start, _shares(schedule, steps)):
            return None
    return scale, coefficients


def _shares(schedule: Schedule, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """The shares at steps, (steps,); zero where float32 has no such small number."""
    shares = schedule(steps)
    shares[np.abs(shares) < np.finfo(np.float32).tiny] = 0.0
    return shares


def _least_relative_error(u: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float32]:
    weight = 1 / np.maximum(np.abs(shares), np.abs(shares).max() * 1e-3)
    matrix = np.stack([np.ones_like(u), u, u * u, u**3], axis=1)
    solved: NDArray[np.float64] = np.linalg.lstsq(matrix * weight[:, None], shares * weight, rcond=None)[0]
    return solved.astype(np.float32)


def _is_right(
    coefficients: NDArray[np.float32], scale: np.float32, offsets: NDArray[np.int64], shares: NDArray[np.float64]
) -> bool:
    """Whether the cubic is close enough everywhere, the last bits that a compiler may round otherwise included."""
    u = offsets.astype(np.float32) * scale
    c0, c1, c2, c3 = coefficients
    got = c0 + u * (c1 + u * (c2 + u * c3))
    b0, b1, b2, b3 = np.abs(coefficients)
    rounding = np.finfo(np.float32).eps * (b0 + u * (b1 + u * (b2 + u * b3)))
    return bool(np.all(np.abs(got - shares) + rounding <= TOLERANCE * np.abs(shares)))
