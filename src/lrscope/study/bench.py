"""A task set up on a device: data opened once, weights by seed, batches in order, losses in full passes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn

from lrscope.errors import InvalidTask
from lrscope.study.data import Examples
from lrscope.study.load import run_user_code
from lrscope.study.seeding import DATA, EPOCHS, EVALUATION, SUBSET, TRAINING, WEIGHTS, isolated_rng, stream_seed
from lrscope.study.task import Task

EVALUATION_BATCH = 512


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
        return model.to(self.device)

    def training_rng(self, seed: int) -> AbstractContextManager[None]:
        """The random numbers of a training run: dropout, augmentation. Alike for every batch size and rate."""
        return isolated_rng(stream_seed(seed, TRAINING))

    def make_optimizer(self, model: nn.Module, lr: float) -> torch.optim.Optimizer:
        """The task's optimizer over the model's parameters at a learning rate."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not parameters:
            raise InvalidTask(f"The model of task '{self.task.name}' must have parameters to train. Got none.")
        kind = self.task.optimizer
        fused = self.device.type in ("cpu", "cuda")
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
        with self._precision():
            if self.task.batch_loss is not None:
                return self.task.batch_loss(model, batch)
            inputs, targets = batch
            assert self.task.loss is not None  # Task has one or the other
            return self.task.loss(model(inputs), targets)

    def evaluate(
        self, model: nn.Module, examples: Examples, *, limit: int | None = None, metrics: bool = False
    ) -> tuple[float, dict[str, float]]:
        """Mean loss, and the metrics if asked, of a pass in eval mode over all examples (or a fixed subset of `limit`).

        Returns:
            The loss weighted by the examples of each batch, and name -> value.
        """
        was_training = model.training
        model.eval()
        totals: dict[str, float] = {}
        seen = 0
        with torch.no_grad(), isolated_rng(stream_seed(0, EVALUATION)):
            for indices in self._passes(len(examples), limit):
                values = self._losses_and_metrics(model, examples.batch(indices), metrics)
                for name, value in values.items():
                    totals[name] = totals.get(name, 0.0) + value * len(indices)
                seen += len(indices)
        model.train(was_training)
        means = {name: total / seen for name, total in totals.items()}
        return means.pop("loss"), means

    def _losses_and_metrics(self, model: nn.Module, batch: Any, metrics: bool) -> dict[str, float]:
        if not metrics or not self.task.metrics:
            return {"loss": float(self.batch_loss(model, batch))}
        inputs, targets = batch
        assert self.task.loss is not None  # metrics need it
        with self._precision():
            outputs = model(inputs)
            values = {"loss": float(self.task.loss(outputs, targets))}
            for name, metric in self.task.metrics.items():
                values[name] = float(run_user_code(f"The metric '{name}'", metric, outputs, targets))
        return values

    def initial_losses(self, model: nn.Module, seed: int, limit: int | None) -> tuple[float, float | None]:
        """Training and validation loss of a seed's untrained model, computed once a process."""
        key = (seed, limit)
        if key not in self._initial:
            train, _ = self.evaluate(model, self.train, limit=limit)
            val = None if self.validation is None else self.evaluate(model, self.validation, limit=limit)[0]
            self._initial[key] = (train, val)
        return self._initial[key]

    def check(self, batch_size: int) -> None:
        """One update and one evaluation, so that a task that cannot train says so before a study begins.

        Raises:
            InvalidTask: with one sentence, the user's own error in it where there is one.
        """
        self.task.total_steps(batch_size, self.train_examples)
        model = self.make_model(0)
        if any(one is other for one, other in zip(model.parameters(), self.make_model(0).parameters(), strict=False)):
            raise InvalidTask(
                f"The 'model' of task '{self.task.name}' must make a new model at each call: runs would go on from "
                "each other's weights."
            )
        optimizer = self.make_optimizer(model, 1e-3)
        self._check_rate_is_used(optimizer, model)
        loss = self._check_loss(model, batch_size)
        run_user_code("The task's backward pass", loss.backward)
        run_user_code("The update of the task's optimizer", optimizer.step)
        if self.validation is not None:
            few = torch.arange(min(2, len(self.validation)))
            first = run_user_code("The task's validation data", self.validation.batch, few)
            self._check_pair(first)
            model.eval()
            with torch.no_grad():
                run_user_code("The task's loss on the validation data", self._losses_and_metrics, model, first, True)

    def _check_loss(self, model: nn.Module, batch_size: int) -> torch.Tensor:
        """The loss of the first batch in training mode: a finite scalar that depends on the parameters."""
        rows = torch.arange(min(batch_size, self.train_examples), device=self.device)
        batch = run_user_code("The task's training data", self.train.batch, rows)
        self._check_pair(batch)
        with self.training_rng(0):
            model.train()
            loss = run_user_code("The task's loss", self.batch_loss, model, batch)
        name = self.task.name
        if not torch.is_tensor(loss) or loss.numel() != 1:
            got = f"a tensor of shape {tuple(loss.shape)}" if torch.is_tensor(loss) else type(loss).__name__
            raise InvalidTask(f"The loss of task '{name}' must be a scalar tensor. Got {got}.")
        if not loss.requires_grad:
            raise InvalidTask(f"The loss of task '{name}' must depend on the model's parameters.")
        if not math.isfinite(loss.item()):
            raise InvalidTask(
                f"The loss of task '{name}' must be finite before the first update. Got {loss.item()} on the first "
                f"{len(rows)} training examples at the initial weights: look at the model and the loss."
            )
        return loss

    def _check_pair(self, batch: Any) -> None:
        if self.task.loss is not None and not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            raise InvalidTask(
                f"With 'loss', a batch of task '{self.task.name}' must be (inputs, targets). "
                f"Got {type(batch).__name__}: give 'batch_loss' for any other kind."
            )

    def _check_rate_is_used(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        other = self.make_optimizer(model, 2e-3)
        rates = [[group.get("lr") for group in one.param_groups] for one in (optimizer, other)]
        if rates[0] == rates[1]:
            raise InvalidTask(
                f"The 'optimizer' of task '{self.task.name}' must use the learning rate that it is given. "
                f"Asked for 0.001 and for 0.002, its parameter groups have {rates[0]} both times."
            )

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
        self._permutation = lru_cache(maxsize=2)(
            lambda epoch: torch.randperm(
                examples, generator=torch.Generator().manual_seed(stream_seed(seed, EPOCHS + epoch))
            ).to(device)
        )

    def __getitem__(self, step: int) -> torch.Tensor:
        """Indices (B,) of the examples of update `step`."""
        epoch, index = divmod(step, self.batches_per_epoch)
        start = index * self.batch_size
        return self._permutation(epoch)[start : start + self.batch_size]


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
        return torch.device(device)
    except RuntimeError:
        raise InvalidTask(f"The 'device' of a task must be 'auto' or a PyTorch device. Got {device!r}.") from None
