"""A task set up on a device: data opened once, weights by seed, batches in order, losses in full passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from lrscope.errors import InvalidTask
from lrscope.study.data import Examples
from lrscope.study.load import run_user_code
from lrscope.study.seeding import DATA, EPOCHS, EVALUATION, SUBSET, TRAINING, WEIGHTS, isolated_rng, stream_seed
from lrscope.study.task import Task

EVALUATION_BATCH = 512

REMEMBERED_ORDERS = 4_000_000
"""Places of examples in epochs, 8 bytes each, that are kept from trial to trial."""


class Bench:
    """Everything that the trials of a task share in one process.

    Arguments:
        task: the task; its data are opened, checked and, where they are tensors, put on the device.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.device = choose_device(task.device)
        with isolated_rng(stream_seed(0, DATA)):  # a shuffling loader is read in one order, in every process
            self.train = task.open_train().to(self.device)
            validation = task.open_validation()
        self.validation = None if validation is None else validation.to(self.device)
        self._initial: dict[tuple[int, int | None], tuple[float, float | None]] = {}

    @cached_property
    def train_examples(self) -> int:
        """N, the examples of the training data."""
        return len(self.train)

    def make_model(self, seed: int) -> nn.Module:
        """The model with the initial weights of a seed, on the device."""
        with isolated_rng(stream_seed(seed, WEIGHTS)):
            model = run_user_code("The task's 'model'", self.task.model)
            if not isinstance(model, nn.Module):
                raise InvalidTask(
                    f"The 'model' of task '{self.task.name}' must return an nn.Module. Got {type(model).__name__}."
                )
            model.to(self.device)
            if any(map(is_lazy, model.parameters())):  # its weights are made by the first batch that it sees
                first = self.train.batch(torch.arange(min(2, len(self.train)), device=self.device))
                with torch.no_grad():
                    run_user_code("The task's loss", self.batch_loss, model.eval(), first)
        return model.train()

    def training_rng(self, seed: int) -> AbstractContextManager[None]:
        """The random numbers of a training run: dropout, augmentation. Alike for every batch size and rate."""
        return isolated_rng(stream_seed(seed, TRAINING))

    def make_optimizer(self, model: nn.Module, lr: float) -> torch.optim.Optimizer:
        """The task's optimizer over the model's parameters at a learning rate."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not parameters:
            raise InvalidTask(f"The model of task '{self.task.name}' must have parameters to train. Got none.")
        kind = self.task.optimizer
        fused = self.device.type in ("cpu", "cuda") and _can_be_fused(model)
        if kind == "sgd":
            return torch.optim.SGD(parameters, lr=lr, momentum=0.9, fused=fused)
        if kind == "adamw":
            return torch.optim.AdamW(parameters, lr=lr, fused=fused)
        optimizer = run_user_code("The task's 'optimizer'", kind, parameters, lr)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise InvalidTask(
                f"The 'optimizer' of task '{self.task.name}' must return a torch.optim.Optimizer. "
                f"Got {type(optimizer).__name__}."
            )
        return optimizer

    def batch_loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """The mean loss of a batch, a scalar tensor, under the task's precision."""
        if self.task.precision == "float32":  # as below, without the time to enter and leave nothing
            return self._plain_loss(model, batch)
        with self._precision():
            return self._plain_loss(model, batch)

    def _plain_loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        if self.task.batch_loss is not None:
            return self.task.batch_loss(model, batch)
        inputs, targets = batch
        assert self.task.loss is not None  # Task has one or the other
        return self.task.loss(model(inputs), targets)

    def evaluate(
        self, model: nn.Module, examples: Examples, *, limit: int | None = None, metrics: bool = False
    ) -> tuple[float, dict[str, float]]:
        """Mean loss, and the metrics if asked, of a pass in eval mode over all examples (or a fixed subset of `limit`).

        The model is left as it was: also what it keeps count of in buffers, in eval mode too.

        Returns:
            The loss weighted by the examples of each batch, and name -> value.
        """
        was_training, kept = model.training, {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.eval()
        totals: dict[str, float] = {}
        seen = 0
        with torch.no_grad(), isolated_rng(stream_seed(0, EVALUATION)):
            try:
                for indices in self._passes(len(examples), limit):
                    values = self.losses_and_metrics(model, examples.batch(indices), metrics)
                    for name, value in values.items():
                        totals[name] = totals.get(name, 0.0) + value * len(indices)
                    seen += len(indices)
            finally:
                model.train(was_training)
                for name, buffer in model.named_buffers():
                    if name in kept and kept[name].shape == buffer.shape:
                        buffer.copy_(kept[name])
        means = {name: total / seen for name, total in totals.items()}
        return means.pop("loss"), means

    def losses_and_metrics(self, model: nn.Module, batch: Any, metrics: bool) -> dict[str, float]:
        """The loss, and the metrics if asked, of one batch, by name."""
        if not metrics or not self.task.metrics:
            return {"loss": float(self.batch_loss(model, batch))}
        inputs, targets = batch
        assert self.task.loss is not None  # metrics need it
        with self._precision():
            outputs = model(inputs)
            values = {"loss": float(self.task.loss(outputs, targets))}
            for name, metric in self.task.metrics.items():
                value = run_user_code(f"The metric '{name}'", metric, outputs, targets)
                if torch.is_tensor(value) and value.numel() != 1:
                    raise InvalidTask(f"The metric '{name}' must be a scalar. Got shape {tuple(value.shape)}.")
                values[name] = run_user_code(f"The metric '{name}'", float, value)
        return values

    def initial_losses(self, seed: int, limit: int | None) -> tuple[float, float | None]:
        """Training and validation loss of a seed's untrained model, computed once a process.

        Raises:
            InvalidTask: one of them is not finite, which no learning rate can mend; names the first such example.
        """
        key = (seed, limit)
        if key not in self._initial:
            model = self.make_model(seed)
            train = self._initial_loss(model, self.train, "training", limit)
            val = None if self.validation is None else self._initial_loss(model, self.validation, "validation", limit)
            self._initial[key] = (train, val)
        return self._initial[key]

    def _initial_loss(self, model: nn.Module, examples: Examples, kind: str, limit: int | None) -> float:
        loss, _ = self.evaluate(model, examples, limit=limit)
        if not math.isfinite(loss):
            example = self._first_not_finite(model, examples, limit)
            where = "" if example is None else f", first for example {example}: look for NaN in the data"
            raise InvalidTask(
                f"The loss of task '{self.task.name}' over its {kind} data must be finite before the first update. "
                f"Got {loss}{where}."
            )
        return loss

    def _first_not_finite(self, model: nn.Module, examples: Examples, limit: int | None) -> int | None:
        model.eval()
        with torch.no_grad(), isolated_rng(stream_seed(0, EVALUATION)):
            for indices in self._passes(len(examples), limit):
                if math.isfinite(float(self.batch_loss(model, examples.batch(indices)))):
                    continue
                for index in indices:
                    if not math.isfinite(float(self.batch_loss(model, examples.batch(index[None])))):
                        return int(index)
        return None

    def _precision(self) -> AbstractContextManager[Any]:
        if self.task.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _passes(self, length: int, limit: int | None) -> Iterator[torch.Tensor]:
        indices = torch.arange(length)
        if limit is not None and limit < length:
            generator = torch.Generator().manual_seed(stream_seed(length, SUBSET))
            indices = torch.randperm(length, generator=generator)[:limit]
        yield from torch.split(indices.to(self.device), EVALUATION_BATCH)


class BatchOrder:
    """Which examples each update sees: every epoch a new permutation, cut into batches, the short one dropped.

    The permutation of an epoch depends on seed and epoch alone: every batch size walks the same order.
    """

    def __init__(self, examples: int, batch_size: int, seed: int, device: torch.device) -> None:
        self.examples = examples
        self.batch_size = batch_size
        self.batches_per_epoch = max(1, examples // batch_size)
        self._seed = seed
        self._permutations = _permutations(examples, device)
        self._epoch = -1
        self._permutation = torch.empty(0)

    def __getitem__(self, step: int) -> torch.Tensor:
        """Indices (B,) of the examples of update `step`."""
        epoch, index = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self._permutations(self._seed, epoch)
        start = index * self.batch_size
        return self._permutation[start : start + self.batch_size]


@lru_cache(maxsize=2)
def _permutations(examples: int, device: torch.device) -> Callable[[int, int], torch.Tensor]:
    """(seed, epoch) → the order of the examples, kept for the trials to come as far as REMEMBERED_ORDERS goes."""

    @lru_cache(maxsize=REMEMBERED_ORDERS // examples)
    def permutation(seed: int, epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(stream_seed(seed, EPOCHS + epoch))
        return torch.randperm(examples, generator=generator).to(device)

    return permutation


def _can_be_fused(model: nn.Module) -> bool:
    """Whether PyTorch's fused optimizers take a model's parameters: real ones with dense gradients."""
    sparse = any(module.sparse for module in model.modules() if isinstance(module, (nn.Embedding, nn.EmbeddingBag)))
    return not sparse and all(map(torch.is_floating_point, model.parameters()))


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for PyTorch: sums come out bit for bit the same on every machine and under every load."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose_device(device: str) -> torch.device:
    """The device meant: "auto" is the accelerator where there is one, else the CPU."""
    if device == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError):  # unknown; not built in; not of this machine
        raise InvalidTask(
            f"The 'device' of a task must be 'auto' or a device that PyTorch has here. Got {device!r}."
        ) from None
