"""Schedules that rise and fall again: warm restarts, triangular cycles and one cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from lrscope.schedules.arguments import (
    EndAt,
    PastEnd,
    check_choice,
    check_flag,
    check_length,
    check_number,
    check_steps,
    plain,
    refuse,
    store,
)
from lrscope.schedules.decay import CosineDecay, Decay
from lrscope.schedules.elementwise import (
    FloatArray,
    Steps,
    choose,
    count_edges,
    exponential,
    look_up,
    power,
    quotient,
    remainder,
)
from lrscope.schedules.piecewise import interpolate
from lrscope.schedules.schedule import LIMIT, Schedule, held

MOST_CYCLES = 100_000


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """SGDR: a decay that starts again and again, each cycle `cycle_mult` times as long (Loshchilov & Hutter 2016).

    In cycle i, of length n·mⁱ, with p the share of it done: f + (s·dⁱ − f)·½(1 + cos πp); arXiv 1608.03983. Which cycle
    a step is in comes from a table of exact starts, or from integer division: never from a logarithm.

    first_cycle_steps: n; or give `cycles` and `steps`, and they are of equal length. cycle_mult: m. cycles: how many;
    None goes on for ever. cycle_decay: d, what each restart multiplies by: the "peak" s, or the whole "range" s − f
    (`decays`).
    start_factor, end_factor: s and f. end_at: as of `Decay`; SGDR's own is "total", where a restart takes the place of
    the end value. past_end: after the last cycle "hold" f, "continue" with more of them, or "error". decay: another
    decay whose shape takes the place of the cosine's.

    >>> CosineRestarts(2, cycle_mult=2, end_at="total")([0, 1, 2, 4, 6]).round(3).tolist()
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    name = "restarts"

    first_cycle_steps: float | None = None
    cycle_mult: float = 1.0
    cycles: float | None = None
    steps: int | None = None
    cycle_decay: float = 1.0
    decays: Literal["peak", "range"] = "peak"
    start_factor: float = 1.0
    end_factor: float = 0.0
    end_at: EndAt = "last_update"
    past_end: PastEnd = "hold"
    decay: Decay | None = None
    _starts: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _starts_array: FloatArray = field(init=False, repr=False, compare=False)
    _shape: Decay = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_length(self, "steps", optional=True)
        check_number(self, "cycle_mult", open_low=True)
        check_number(self, "cycles", optional=True)
        for argument in ("cycle_decay", "start_factor", "end_factor"):
            check_number(self, argument)
        check_choice(self, "decays", ("peak", "range"))
        check_choice(self, "end_at")
        check_choice(self, "past_end")
        if self.decay is not None and not isinstance(self.decay, Decay):
            raise refuse(self, "decay", "a decay with an end, as polynomial(1, power=2), or None")
        if self.cycles is not None:
            store(self, "cycles", plain(self.cycles))
            if self.cycle_mult != 1.0 and not isinstance(self.cycles, int):
                raise refuse(self, "cycles", "a whole number where the cycles grow")
        if self.first_cycle_steps is not None:
            check_steps(self, "first_cycle_steps")
        elif not self.cycles or self.steps is None or self.cycle_mult != 1.0:
            raise refuse(self, "first_cycle_steps", "a number of steps > 0, or cycles and steps must be given")
        starts = self._cycle_starts()
        store(self, "_starts", starts)
        store(self, "_starts_array", np.array(starts))
        store(self, "_shape", self.decay or CosineDecay(1))

    def _cycle_starts(self) -> tuple[float, ...]:
        """Where each cycle begins, exactly rounded; empty where all have one length."""
        if self.cycle_mult == 1.0 or self.first_cycle_steps is None:
            return ()
        start, length = Fraction(0), Fraction(self.first_cycle_steps)
        starts: list[float] = [0.0]
        multiplier = Fraction(str(self.cycle_mult))
        wanted = MOST_CYCLES if self.cycles is None or self.past_end == "continue" else int(self.cycles)
        while len(starts) <= min(max(wanted, 1), MOST_CYCLES) and start < LIMIT:
            start += length
            length *= multiplier
            if length.denominator > 2**64:
                length = Fraction(float(length))
            starts.append(float(start))
        if self.cycle_mult < 1 and start < LIMIT and wanted == MOST_CYCLES:
            raise refuse(self, "cycle_mult", ">= 1 where the number of cycles is not given")
        return tuple(starts)

    @property
    def length(self) -> float | None:
        if self.steps is not None:
            return self.steps
        if self.cycles is None or self.first_cycle_steps is None:
            return None
        return self._starts[int(self.cycles)] if self._starts else self.first_cycle_steps * self.cycles

    @classmethod
    def lacks_length(cls, given: set[str]) -> bool:
        """In text, cycles without a length share what is left of the run."""
        return "first_cycle_steps" not in given and "steps" not in given

    def at(self, t: Steps) -> Steps:
        end = self.length
        held(self, t, end, self.past_end, 0.0)
        last = end - 1 if end is not None and end >= 1 and self.end_at == "never" else None
        inner = t if last is None else held(self, t, end, self.past_end, last)
        cycle, p = self._place(inner)
        peak = self.start_factor if self.cycle_decay == 1.0 else self._scaled(cycle)
        amplitude = peak if self.decays == "range" and self.cycle_decay != 1.0 else peak - self.end_factor
        value = self.end_factor + amplitude * self._shape.shape(power(p, self._shape.k_decay))
        if end is None or self.past_end == "continue" or last is not None:
            return value
        return choose(t >= end, value * 0.0 + self.end_factor, value)

    def _scaled(self, cycle: Steps) -> Steps:
        """The peak of each cycle, or its range."""
        decayed = exponential(self.cycle_decay, cycle)
        if self.decays == "range":
            return (self.start_factor - self.end_factor) * decayed
        return self.start_factor * decayed

    def _place(self, t: Steps) -> tuple[Steps, Steps]:
        """The number of the cycle each step is in, and the share of that cycle done."""
        short = 1.0 if self.end_at == "last_update" else 0.0
        if self.first_cycle_steps is None and self.cycles is not None and self.steps is not None:
            turns, total = t * self.cycles, float(max(self.steps, 1))  # whole numbers, so the cycle is exact
            done = remainder(turns, total)
            return quotient(turns, total), done / max(total - short * self.cycles, min(total, 1.0))
        if not self._starts:
            n = float(self.first_cycle_steps or 1)
            if n <= short:
                return quotient(t, n), t * 0.0 + 1.0
            return quotient(t, n), remainder(t, n) / (n - short)
        index = count_edges(t, self._starts, self._starts_array, side="right") - 1
        most = len(self._starts) - 2
        index = np.minimum(index, most) if isinstance(index, np.ndarray) else min(index, most)
        start = look_up(index, self._starts, self._starts_array)
        length = look_up(index + 1, self._starts, self._starts_array) - start
        cycle: Any = index.astype(np.float64) if isinstance(index, np.ndarray) else float(index)
        divisor = choose(length > short, length - short, length * 0.0 + 1.0)
        return cycle, choose(length > short, (t - start) / divisor, divisor)


@dataclass(frozen=True)
class Cyclic(Schedule):
    """Triangles between a low and a high share: b + (h − b)·x·scale (Smith 2015, arXiv 1506.01186).

    x rises from 0 to 1 over `step_size_up` updates and falls back over `step_size_down` (None: as many). scale: 1
    ("triangular"), ½ to the number of the cycle ("triangular2"), or γᵗ ("exp_range"). base_factor, peak_factor: b, h.
    scale, scale_by: in place of the mode, a schedule of the cycle's number from 0 ("cycle") or of the step ("step").

    >>> Cyclic(2)([0, 1, 2, 3, 4, 5]).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    name = "cyclic"

    step_size_up: float
    step_size_down: float | None = None
    base_factor: float = 0.0
    peak_factor: float = 1.0
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: float = 1.0
    scale: Schedule | None = None
    scale_by: Literal["cycle", "step"] = "cycle"
    steps: int | None = None
    past_end: PastEnd = "hold"

    def __post_init__(self) -> None:
        check_steps(self, "step_size_up")
        if self.step_size_down is not None:
            check_steps(self, "step_size_down", above_zero=False)
        for argument in ("base_factor", "peak_factor", "gamma"):
            check_number(self, argument)
        check_choice(self, "mode", ("triangular", "triangular2", "exp_range"))
        check_choice(self, "scale_by", ("cycle", "step"))
        if self.scale is not None and not isinstance(self.scale, Schedule):
            raise refuse(self, "scale", "a schedule or None")
        check_length(self, "steps", optional=True)
        check_choice(self, "past_end")

    def at(self, t: Steps) -> Steps:
        t = held(self, t, self.steps, self.past_end, max(0, self.steps - 1) if self.steps is not None else 0.0)
        up = self.step_size_up
        down = up if self.step_size_down is None else self.step_size_down
        inside = remainder(t, float(up + down))
        height = choose(inside <= up, inside / up, (up + down - inside) / (down or 1.0))
        if self.scale is not None:
            height = height * self.scale.at(t if self.scale_by == "step" else quotient(t, float(up + down)))
        elif self.mode == "triangular2":
            height = height * exponential(0.5, quotient(t, float(up + down)))
        elif self.mode == "exp_range":
            height = height * exponential(self.gamma, t)
        return self.base_factor + (self.peak_factor - self.base_factor) * height


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up, down, and further down: 1/div → 1 → 1/(div·final_div) over `total_steps` (Smith 2017, arXiv 1708.07120).

    pct_start: the share of the run that rises. anneal: "cos" or "linear" pieces. div_factor, final_div_factor: as in
    the formula. three_phase: the fall is symmetric to the rise, then a third phase goes to the end. The peak is reached
    at pct_start·N − 1, the end at the last update, as in PyTorch. past_end: "hold", "continue" the last piece, or
    "error".

    >>> OneCycle(12, pct_start=0.5, anneal="linear", div_factor=2, final_div_factor=5)([0, 5, 11]).round(3).tolist()
    [0.5, 1.0, 0.1]
    """

    name = "one_cycle"
    length_field = "total_steps"

    total_steps: int
    pct_start: float = 0.3
    anneal: Literal["cos", "linear"] = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False
    past_end: PastEnd = "hold"
    _knots: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _factors: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _edges: FloatArray = field(init=False, repr=False, compare=False)
    _values: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_length(self, "total_steps")
        check_number(self, "pct_start", high=1.0)
        check_choice(self, "anneal", ("cos", "linear"))
        check_number(self, "div_factor", open_low=True)
        check_number(self, "final_div_factor", open_low=True)
        check_flag(self, "three_phase")
        check_choice(self, "past_end")
        last = self.total_steps - 1.0
        start = 1.0 / self.div_factor
        end = start / self.final_div_factor
        peak_at = self.pct_start * self.total_steps - 1.0
        points = [(0.0 if peak_at >= 0 else peak_at, start), (peak_at, 1.0), (last, end)]
        if self.three_phase:
            back = 2.0 * self.pct_start * self.total_steps - 2.0
            # A rise that ends before update 0 is not seen: the way down begins where the second phase would end.
            points = [*(points[:2] if peak_at >= 0 else []), (back, start), *([(last, end)] if back <= last else [])]
        knots = tuple(knot for knot, _ in points)
        if list(knots) != sorted(knots):  # a run too short for its phases keeps the order of their ends
            knots = tuple(max(knots[: i + 1]) for i in range(len(knots)))
        store(self, "_knots", knots)
        store(self, "_factors", tuple(factor for _, factor in points))
        store(self, "_edges", np.array(self._knots))
        store(self, "_values", np.array(self._factors))

    def at(self, t: Steps) -> Steps:
        last = max(0, self.total_steps - 1)
        t = held(self, t, self.total_steps, self.past_end, last)
        interpolation = "cosine" if self.anneal == "cos" else "linear"
        on = self.past_end == "continue"
        return interpolate(t, self._knots, self._factors, self._edges, self._values, interpolation, on=on)
