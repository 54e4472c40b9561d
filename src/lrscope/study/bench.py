"""A task set up on a device: data opened once, weights by seed, batches in order, losses in full passes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from lrscope.errors import InvalidTask
from lrscope.study.data import Examples
from lrscope.study.load import run_user_code
from lrscope.study.task import Task

EVALUATION_BATCH = 512
_WEIGHTS, _TRAINING, _SUBSET = 0, 1, 2  # separate streams of random numbers of one seed


class Bench:
    """Everything that the trials of a task share in one process.

    Arguments:
        task: the task; its data are opened, checked and, where they are tensors, put on the device.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.device = choose_device(task.device)
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
        with isolated_rng(stream_seed(seed, _WEIGHTS)):
            model = run_user_code("The task's 'model'", self.task.model)
        if not isinstance(model, nn.Module):
            raise InvalidTask(
                f"The 'model' of task '{self.task.name}' must return an nn.Module. Got {type(model).__name__}."
            )
        return model.to(self.device)

    def training_rng(self, seed: int) -> AbstractContextManager[None]:
        """The random numbers of a training run: dropout, augmentation. Alike for every batch size and rate."""
        return isolated_rng(stream_seed(seed, _TRAINING))

    def make_optimizer(self, model: nn.Module, lr: float) -> torch.optim.Optimizer:
        """The task's optimizer over the model's parameters at a learning rate."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
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
        with torch.no_grad():
            for indices in self._passes(len(examples), limit):
                batch = examples.batch(indices)
                count = len(indices)
                values = self._losses_and_metrics(model, batch, metrics)
                for name, value in values.items():
                    totals[name] = totals.get(name, 0.0) + value * count
                seen += count
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
        """One forward and backward pass, so that a task that cannot train says so before a study begins."""
        self.task.total_steps(batch_size, self.train_examples)
        model = self.make_model(0)
        batch = run_user_code(
            "The task's training data", self.train.batch, torch.arange(min(batch_size, self.train_examples))
        )
        if self.task.loss is not None and not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            raise InvalidTask(
                f"With 'loss', a batch of task '{self.task.name}' must be (inputs, targets). "
                f"Got {type(batch).__name__}: give 'batch_loss' for any other kind."
            )
        with self.training_rng(0):
            model.train()
            loss = run_user_code("The task's loss", self.batch_loss, model, batch)
        if not torch.is_tensor(loss) or loss.numel() != 1:
            got = f"a tensor of shape {tuple(loss.shape)}" if torch.is_tensor(loss) else type(loss).__name__
            raise InvalidTask(f"The loss of task '{self.task.name}' must be a scalar tensor. Got {got}.")
        if not loss.requires_grad:
            raise InvalidTask(f"The loss of task '{self.task.name}' must depend on the model's parameters.")
        run_user_code("The task's backward pass", loss.backward)
        self.make_optimizer(model, 1e-3)
        if self.validation is not None:
            first = self.validation.batch(torch.arange(min(2, len(self.validation))))
            model.eval()
            run_user_code("The task's loss on the validation data", self._losses_and_metrics, model, first, True)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.task.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _passes(self, length: int, limit: int | None) -> Iterator[torch.Tensor]:
        indices = torch.arange(length)
        if limit is not None and limit < length:
            generator = torch.Generator().manual_seed(stream_seed(length, _SUBSET))
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
                examples, generator=torch.Generator().manual_seed(stream_seed(seed, 1000 + epoch))
            ).to(device)
        )

    def __getitem__(self, step: int) -> torch.Tensor:
        """Indices (B,) of the examples of update `step`."""
        epoch, index = divmod(step, self.batches_per_epoch)
        start = index * self.batch_size
        return self._permutation(epoch)[start : start + self.batch_size]


def stream_seed(seed: int, stream: int) -> int:
    """A seed for one stream of random numbers, well apart from those of other seeds and streams."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Run under seeded generators (torch, NumPy, random) and leave the caller's as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (users' code draws from it)
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


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
