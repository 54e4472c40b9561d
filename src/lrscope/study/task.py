"""A task: what a person hands over to have its learning rate measured."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

from lrscope.errors import InvalidTask
from lrscope.study.data import Examples, open_examples

if TYPE_CHECKING:
    import torch
    from torch import nn

BatchLoss = Callable[[Any, Any], "torch.Tensor"]
Precision = Literal["float32", "bfloat16"]

OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A training job: model, loss, data, optimizer and the length of one full run.

    Arguments:
        name: what the task is called.
        model: () -> nn.Module, called under a seeded generator, so that a seed fixes the initial weights.
        train: (inputs, targets) tensors [N, …], a map-style `torch.utils.data.Dataset`, or an iterable of batches
            (read once; its examples are pooled and batched anew at every batch size).
        loss: (outputs, targets) -> scalar, the mean over the batch.
        batch_loss: (model, batch) -> scalar, in place of `loss`, for any other kind of batch.
        validation: the same kind of data as `train`, held out; without it the training loss is what is compared.
        metrics: name -> (outputs, targets) -> scalar, reported beside the loss; needs `loss`.
        optimizer: "sgd" (momentum 0.9), "adamw", or (parameters, lr) -> torch.optim.Optimizer.
        epochs, steps, examples: the length of one full run: exactly one of them. `steps` are made at every batch size;
            `examples` are divided by it; an epoch is max(1, ⌊N/B⌋) reshuffled updates, the short batch dropped.
        batch_sizes: what a study looks at unless told otherwise.
        clip_norm: the gradient's L2 norm is clipped to this before every update.
        precision: "float32", or "bfloat16" for autocast.
        device: "auto" takes an accelerator where there is one.

    Raises:
        InvalidTask: with one sentence that names the argument and what is accepted.
    """

    name: str
    model: Callable[[], nn.Module]
    train: Any
    loss: Callable[[Any, Any], torch.Tensor] | None = None
    batch_loss: BatchLoss | None = None
    validation: Any = None
    metrics: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    optimizer: str | Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer] = "sgd"
    epochs: float | None = None
    steps: int | None = None
    examples: int | None = None
    batch_sizes: tuple[int, ...] = (16, 64, 256)
    clip_norm: float | None = None
    precision: Precision = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidTask(f"A task's 'name' must be a text that is not empty. Got {self.name!r}.")
        if not callable(self.model):
            raise self._invalid("model", "a function () -> nn.Module", self.model)
        if (self.loss is None) == (self.batch_loss is None):
            raise InvalidTask(
                f"Task '{self.name}' must have either 'loss', (outputs, targets) -> scalar, or 'batch_loss', "
                "(model, batch) -> scalar."
            )
        for argument in ("loss", "batch_loss"):
            function = getattr(self, argument)
            if function is not None and not callable(function):
                raise self._invalid(argument, "a function that returns a scalar tensor", function)
        named = isinstance(self.metrics, Mapping) and all(isinstance(name, str) for name in self.metrics)
        if not named or not all(map(callable, self.metrics.values())):
            raise self._invalid("metrics", "a dict of name -> (outputs, targets) -> scalar", self.metrics)
        if self.metrics and self.loss is None:
            raise InvalidTask(f"Task '{self.name}' has 'metrics', which need 'loss' in place of 'batch_loss'.")
        if not callable(self.optimizer) and self.optimizer not in OPTIMIZERS:
            raise self._invalid("optimizer", '"sgd", "adamw" or (parameters, lr) -> Optimizer', self.optimizer)
        self._check_length()
        object.__setattr__(self, "batch_sizes", check_batch_sizes(self.batch_sizes, f"task '{self.name}'"))
        if self.clip_norm is not None and not (isinstance(self.clip_norm, (int, float)) and self.clip_norm > 0):
            raise self._invalid("clip_norm", "a number > 0 or None", self.clip_norm)
        if self.precision not in ("float32", "bfloat16"):
            raise self._invalid("precision", '"float32" or "bfloat16"', self.precision)
        if not isinstance(self.device, str):
            raise self._invalid("device", "'auto' or a PyTorch device's name", self.device)

    def _check_length(self) -> None:
        lengths = {"epochs": self.epochs, "steps": self.steps, "examples": self.examples}
        given = {name: value for name, value in lengths.items() if value is not None}
        if len(given) != 1:
            raise InvalidTask(
                f"Task '{self.name}' must have exactly one of 'epochs', 'steps' and 'examples', the length of one full "
                f"run. Got {' and '.join(given) or 'none'}."
            )
        ((name, value),) = given.items()
        whole = name != "epochs"
        kinds: tuple[type, ...] = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < math.inf:
            raise self._invalid(name, "a whole number > 0" if whole else "a number > 0", value)

    def _invalid(self, argument: str, accepted: str, got: object) -> InvalidTask:
        return InvalidTask(f"The '{argument}' of task '{self.name}' must be {accepted}. Got {got!r}.")

    def open_train(self) -> Examples:
        """The training data, ready to be indexed; checked on first use (lengths, NaN)."""
        return open_examples(self.train, f"the training data of task '{self.name}'")

    def open_validation(self) -> Examples | None:
        """The validation data, or None."""
        if self.validation is None:
            return None
        return open_examples(self.validation, f"the validation data of task '{self.name}'")

    def total_steps(self, batch_size: int, train_examples: int) -> int:
        """The updates of one full run at a batch size: the schedule's length."""
        if batch_size > train_examples:
            raise InvalidTask(
                f"Batch size {batch_size} is larger than the training data of task '{self.name}', "
                f"which has {train_examples} examples."
            )
        if self.steps is not None:
            return int(self.steps)
        if self.examples is not None:
            return max(1, int(self.examples) // batch_size)
        assert self.epochs is not None  # _check_length saw to it
        return max(1, int(self.epochs * (train_examples // batch_size)))

    @property
    def optimizer_name(self) -> str:
        """A name for the optimizer: "sgd", "adamw", or the callable's own."""
        if isinstance(self.optimizer, str):
            return self.optimizer
        return str(getattr(self.optimizer, "__name__", type(self.optimizer).__name__))


def check_batch_sizes(batch_sizes: Iterable[int], place: str) -> tuple[int, ...]:
    """The batch sizes sorted and without repeats, or InvalidTask."""
    if isinstance(batch_sizes, str) or not isinstance(batch_sizes, Iterable):
        raise InvalidTask(f"The batch sizes of {place} must be a tuple, like (16, 64, 256). Got {batch_sizes!r}.")
    sizes = list(batch_sizes)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, SupportsIndex) or operator.index(size) < 1:
            raise InvalidTask(f"A batch size of {place} must be a whole number >= 1. Got {size!r}.")
    if not sizes:
        raise InvalidTask(f"The batch sizes of {place} must be at least one.")
    return tuple(sorted({operator.index(size) for size in sizes}))
