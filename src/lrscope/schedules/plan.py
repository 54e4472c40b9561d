"""How long a run is, in its own units: epochs and tokens turned into updates."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from lrscope.errors import InvalidInput
from lrscope.schedules.schedule import is_number


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The facts of a run that turn epochs, examples and tokens into updates.

    examples: training examples in an epoch. batch_size: examples of one (micro)batch. accumulation_steps: batches whose
    gradients are added before an update. sequence_length: tokens of an example. drop_last: whether the short batch at
    the end of an epoch is left out, and the batches that do not fill an update with it; else both are made up to one.
    total_steps, or epochs, or tokens: how long the run is.

    >>> plan = Plan(examples=50_000, batch_size=128, accumulation_steps=2, epochs=90)
    >>> plan.steps_per_epoch, plan.run_steps
    (195, 17550)
    """

    examples: int | None = None
    batch_size: int | None = None
    accumulation_steps: int = 1
    sequence_length: int | None = None
    drop_last: bool = True
    total_steps: int | None = None
    epochs: float | None = None
    tokens: float | None = None

    def __post_init__(self) -> None:
        for argument in ("examples", "batch_size", "accumulation_steps", "sequence_length"):
            value = getattr(self, argument)
            if value is not None and not (is_number(value) and value >= 1 and int(value) == value):
                raise InvalidInput(f"The '{argument}' of a run must be an int >= 1. Got {value!r}.")
        lengths = [name for name in ("total_steps", "epochs", "tokens") if getattr(self, name) is not None]
        for argument in lengths:
            value = getattr(self, argument)
            if not is_number(value) or value < 0 or (argument == "total_steps" and int(value) != value):
                kind = "an int" if argument == "total_steps" else "a finite number"
                raise InvalidInput(f"The '{argument}' of a run must be {kind} >= 0. Got {value!r}.")
        if len(lengths) > 1:
            raise InvalidInput(f"A run's length is one of total_steps, epochs and tokens. Got {' and '.join(lengths)}.")

    def _need(self, argument: str, unit: str) -> int:
        value: int | None = getattr(self, argument)
        if value is None:
            raise InvalidInput(f"A length in {unit} needs {argument}, too.")
        return value

    @property
    def steps_per_epoch(self) -> int:
        """Updates in an epoch, at least one."""
        examples, batch = self._need("examples", "epochs"), self._need("batch_size", "epochs")
        batches = examples // batch if self.drop_last else -(-examples // batch)
        return max(1, batches // self.accumulation_steps if self.drop_last else -(-batches // self.accumulation_steps))

    @property
    def examples_per_step(self) -> int:
        """Examples of one update."""
        return self._need("batch_size", "examples") * self.accumulation_steps

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one update."""
        return self._need("batch_size", "tokens") * self.accumulation_steps * self._need("sequence_length", "tokens")

    @property
    def run_steps(self) -> int | None:
        """Updates of the whole run, rounded down; None where the plan does not say."""
        if self.epochs is not None:
            return self.steps(self.epochs, "epochs")
        if self.tokens is not None:
            return self.steps(self.tokens, "tokens")
        return None if self.total_steps is None else int(self.total_steps)

    def steps(self, amount: float | Fraction, unit: str) -> int:
        """Updates in so many epochs, examples or tokens, rounded down."""
        exact = Fraction(str(amount)) if isinstance(amount, float) else Fraction(amount)
        if unit == "epochs":
            return int(exact * self.steps_per_epoch)
        per_step = self.tokens_per_step if unit == "tokens" else self.examples_per_step
        return int(exact // per_step)
