"""Warm-up, stable, decay as one family: two of its three lengths are enough where the total is known."""

from __future__ import annotations

from dataclasses import dataclass, field

from lrscope.errors import InvalidInput
from lrscope.schedules.arguments import EndAt, PastEnd, check_choice, check_length, check_number, refuse, store
from lrscope.schedules.compose import Sequence
from lrscope.schedules.decay import SHAPES, Cooldown, Shape
from lrscope.schedules.elementwise import Steps
from lrscope.schedules.endless import Constant
from lrscope.schedules.schedule import Schedule
from lrscope.schedules.warmup import LinearWarmup

LENGTHS = ("warmup_steps", "decay_steps", "stable_steps")


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """Warm-up–stable–decay: up over w, flat, and a cool-down over the last d updates (Hu 2024, arXiv 2404.06395).

    warmup_steps, decay_steps, stable_steps, total_steps: any three, and the fourth follows; without a warm-up's length
    there is none. shape: of the cool-down, "linear", "cosine", "sqrt" (1 − √p), "square" (1 − p²), "exponential" or
    "mirror_cosine"; see `Cooldown`. start_factor, offset: of the warm-up, see `Warmup`. end_factor, end_at, past_end:
    of the cool-down, see `Decay`.

    >>> WarmupStableDecay(2, 3, total_steps=7)([0, 1, 2, 3, 4, 5, 6]).tolist()
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]
    >>> WarmupStableDecay(2, 3, total_steps=7).stable_steps
    2
    """

    name = "wsd"
    length_field = "total_steps"

    warmup_steps: int | None = None
    decay_steps: int | None = None
    stable_steps: int | None = None
    total_steps: int | None = None
    shape: Shape = "linear"
    start_factor: float = 0.0
    end_factor: float = 0.0
    offset: float = 1.0
    end_at: EndAt = "last_update"
    past_end: PastEnd = "hold"
    phases: Sequence = field(init=False, repr=False, compare=False)
    """The three phases as a sequence."""

    def __post_init__(self) -> None:
        for argument in (*LENGTHS, "total_steps"):
            check_length(self, argument, optional=True)
        check_choice(self, "shape", SHAPES)
        check_choice(self, "past_end")
        for argument in ("start_factor", "end_factor"):
            check_number(self, argument)
        check_number(self, "offset", high=1.0)
        check_choice(self, "end_at")
        self._fill_lengths()
        check_length(self, "total_steps")
        warmup, decay, stable = (getattr(self, argument) or 0 for argument in LENGTHS)
        phases = (
            LinearWarmup(warmup, self.start_factor, offset=self.offset),
            Constant(stable),
            Cooldown(decay, 1.0, self.end_factor, self.end_at, self.past_end, shape_name=self.shape),
        )
        store(self, "phases", Sequence(phases, (warmup, warmup + stable)))

    def _fill_lengths(self) -> None:
        """The one length that is not given, from the others."""
        unknown = [argument for argument in LENGTHS if getattr(self, argument) is None]
        if len(unknown) + (self.total_steps is None) > 1 and "warmup_steps" in unknown:
            store(self, "warmup_steps", 0)
            unknown.remove("warmup_steps")
        if len(unknown) + (self.total_steps is None) > 1:
            raise InvalidInput(
                f"WarmupStableDecay needs all but one of {', '.join(LENGTHS)} and total_steps. Missing: "
                f"{', '.join(unknown + ['total_steps'] * (self.total_steps is None))}. As text: wsd(decay=20%)."
            )
        known = sum(getattr(self, argument) or 0 for argument in LENGTHS)
        if self.total_steps is None:
            store(self, "total_steps", known)
        elif unknown and known <= self.total_steps:
            store(self, unknown[0], self.total_steps - known)
        elif known != self.total_steps:
            raise refuse(
                self, "total_steps", f"the sum of the phases' lengths, {known}, or more where one is not given"
            )

    @classmethod
    def lacks_length(cls, given: set[str]) -> bool:
        """In text, a missing length follows from what is left of the run."""
        return "total_steps" not in given and not given >= set(LENGTHS)

    def at(self, t: Steps) -> Steps:
        return self.phases.at(t)
