"""What an engine is: it trains trials of a task, and knows nothing of searches or stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lrscope.errors import InvalidInput
from lrscope.study.bench import Bench
from lrscope.study.trial import Trial, TrialResult

ENGINES = ("loop", "vmap")


class Engine(ABC):
    """Trains trials on a bench. The same trial gives the same result on one engine, whatever it is trained beside."""

    name: str

    @abstractmethod
    def train(self, bench: Bench, trials: Sequence[Trial]) -> list[TrialResult]:
        """Train the trials, one job of a worker; results in their order."""

    @abstractmethod
    def jobs(self, trials: Sequence[Trial], workers: int) -> list[tuple[Trial, ...]]:
        """How to deal trials out to workers: each tuple is one call of `train`."""


def make_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        InvalidInput: no such engine.
    """
    if name == "loop":
        from lrscope.study.engines.loop import LoopEngine

        return LoopEngine()
    raise InvalidInput(f"The engine must be one of auto, {', '.join(ENGINES)}. Got '{name}'.")
