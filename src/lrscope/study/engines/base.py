"""What an engine is: it trains trials of a task, and knows nothing of searches or stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrscope.errors import InvalidInput
from lrscope.study.bench import Bench
from lrscope.study.trial import Trial, TrialResult

ENGINES = ("loop", "vmap")
WIDEST = 8

EngineSpec = str | Mapping[str, Any]
"""What makes an engine: its name, or for each batch size how trials are stacked (None: the plain loop)."""


class NotStackable(Exception):
    """Why trials cannot be trained as one program: "…, as {message}". Never reaches a user as an error."""


@dataclass(frozen=True, kw_only=True)
class Stacking:
    """How trials of one batch size are stacked.

    Widths decide the speed of a study, never its results: a trial comes out the same at each of them.

    Arguments:
        widths: the rows that a stack may have, ascending; fewer trials than rows leave some standing in several.
        mixes_seeds: whether trials of several seeds share a stack.
        compiled: whether machine code is made for it, at one width; its results are rounded in other places.
    """

    widths: tuple[int, ...] = tuple(range(1, WIDEST + 1))
    mixes_seeds: bool = False
    compiled: bool = False

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Stacking:
        """From plain values, as a study stores them."""
        return Stacking(**{**plain, "widths": tuple(plain["widths"])})

    def rows(self, trials: int) -> int:
        """The rows for a number of trials."""
        return next(width for width in self.widths if width >= trials)


class Engine(ABC):
    """Trains trials on a bench. The same trial gives the same result on one engine, whatever it is trained beside."""

    name: str

    @abstractmethod
    def train(self, bench: Bench, trials: Sequence[Trial]) -> list[TrialResult]:
        """Train the trials, one job of a worker; results in their order."""

    @abstractmethod
    def jobs(self, trials: Sequence[Trial], workers: int) -> list[tuple[Trial, ...]]:
        """How to deal trials out to workers: each tuple is one call of `train`."""


def make_engine(spec: EngineSpec) -> Engine:
    """The engine of a name or of a choice for each batch size.

    Raises:
        InvalidInput: no such engine.
    """
    if spec == "loop":
        from lrscope.study.engines.loop import LoopEngine

        return LoopEngine()
    if isinstance(spec, str) and spec != "vmap":
        raise InvalidInput(f"The engine must be one of auto, {', '.join(ENGINES)}. Got '{spec}'.")
    from lrscope.study.engines.vmap import VmapEngine

    if isinstance(spec, str):
        return VmapEngine()
    return VmapEngine({int(size): None if how is None else Stacking.from_json(how) for size, how in spec.items()})
