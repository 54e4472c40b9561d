"""The noise scale inside a training loop: from the microbatches of gradient accumulation, or from data-parallel ranks.

    noise = AccumulationNoise(model, batch_size=8)                 # examples of one microbatch
    for update in …:
        for microbatch in …:
            (loss(model, microbatch) / accumulation_steps).backward()
        noise.update()                                             # before clipping and optimizer.step()
        optimizer.step()
    noise.result().estimate

Both take norms of gradients that the loop computes anyhow: no further forward or backward pass, no copy of a gradient.
A model with BatchNorm mixes the examples of a microbatch; what is measured then is the noise of microbatch gradients as
they are, normalised by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.tensors import together, widened
from lrscope.noise.noise_scale import NoiseScale
from lrscope.noise.pairs import RunningNoiseScale


class AccumulationNoise:
    """The running noise scale under gradient accumulation, from hooks that see each microbatch's gradient arrive.

    The small batch is one microbatch, the big one their mean, as it stands in `.grad` at `update()`.

    Arguments:
        parameters: a module, or the parameters to watch.
        batch_size: examples in one microbatch.
        decay: of `RunningNoiseScale`.
        loss_is_divided: whether each microbatch's loss is divided by their number, as for a mean (the usual way), or
            summed.
        optimizer: where given, norms are taken in Adam's metric: each gradient times 1/(√v̂ + ε) of this optimizer's
            state, from its first step on (Qiao 2021, arXiv 2008.12260).

    Raises:
        InvalidInput: no trainable parameters, or a batch size below 1.
    """

    def __init__(
        self,
        parameters: nn.Module | Iterable[torch.Tensor],
        *,
        batch_size: int,
        decay: float = 0.99,
        loss_is_divided: bool = True,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        given = parameters.parameters() if isinstance(parameters, nn.Module) else parameters
        self._parameters = [parameter for parameter in given if parameter.requires_grad]
        if not self._parameters:
            raise InvalidInput("The noise scale needs at least one parameter that requires a gradient. Got none.")
        if batch_size < 1:
            raise InvalidInput(f"The 'batch_size' of AccumulationNoise must be an int >= 1. Got {batch_size}.")
        self.batch_size = batch_size
        self._running = RunningNoiseScale(decay)
        self._loss_is_divided = loss_is_divided
        self._optimizer = optimizer
        self._small: torch.Tensor | None = None  # Σ over microbatches of the squared norm, on the device
        self._arrivals = [0] * len(self._parameters)
        self._handles = [
            parameter.register_hook(self._hook(index))  # type: ignore[no-untyped-call]
            for index, parameter in enumerate(self._parameters)
        ]

    def _hook(self, index: int) -> Any:
        def take_in(gradient: torch.Tensor) -> None:
            self._arrivals[index] += 1
            size = self._sq_norm(self._parameters[index], gradient)
            if size is not None:
                self._small = size if self._small is None else self._small + size.to(self._small.device)

        return take_in

    @torch.no_grad()
    def _sq_norm(self, parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor | None:
        if self._optimizer is not None:
            weight = adam_preconditioner(self._optimizer, parameter)
            if weight is None:
                return None
            gradient = gradient * weight
        return _squared_norm(gradient)

    def update(self, loss_scale: float = 1.0) -> None:
        """Take in the pair of this update. Call it after the last backward pass, before clipping and the step.

        Arguments:
            loss_scale: what the loss was multiplied by for mixed precision (`GradScaler.get_scale()`).

        Raises:
            InvalidInput: fewer than two microbatches arrived since the last update: there is no pair.
        """
        count, small = max(self._arrivals), self._small
        self._arrivals = [0] * len(self._parameters)
        self._small = None
        if count < 2:
            raise InvalidInput(
                "The noise scale needs at least 2 microbatches (backward passes) an update, with a gradient each. "
                f"Got {count}. Without accumulation use data-parallel ranks or per-example gradients."
            )
        if small is None:
            return  # Adam's state does not stand yet
        sizes = [
            self._sq_norm(parameter, parameter.grad) for parameter in self._parameters if parameter.grad is not None
        ]
        big = together([size for size in sizes if size is not None]).sum()
        small_sq, big_sq = together([small, big]).div(loss_scale**2).tolist()  # the one transfer of the update
        if self._loss_is_divided:  # what arrived is g/K each, and the mean stands in .grad
            small_sq *= count
        else:
            small_sq, big_sq = small_sq / count, big_sq / count**2
        self._running.add(small_sq, big_sq, small_batch=self.batch_size, big_batch=self.batch_size * count)

    def result(self) -> NoiseScale:
        """The noise scale as of now."""
        return self._running.result()

    def close(self) -> None:
        """Take the hooks off the parameters."""
        for handle in self._handles:
            handle.remove()


class DataParallelNoise:
    """The running noise scale of a DistributedDataParallel training: per-rank norms before the all-reduce.

    The small batch is one rank's, the big one all ranks'. A communication hook measures each bucket before and after
    the mean over ranks that it does in DDP's place; `update()` adds one scalar to what travels.

        noise = DataParallelNoise(ddp_model, batch_size=32)    # examples of one rank an update, accumulation included
        …backward…
        noise.update()                                         # on every rank
        optimizer.step()

    Raises:
        InvalidInput: fewer than two ranks, or a batch size below 1.
    """

    def __init__(self, model: nn.parallel.DistributedDataParallel, *, batch_size: int, decay: float = 0.99) -> None:
        self._group = model.process_group
        self.ranks = dist.get_world_size(self._group)
        if self.ranks < 2:
            raise InvalidInput(f"DataParallelNoise needs at least 2 data-parallel ranks. Got {self.ranks}.")
        if batch_size < 1:
            raise InvalidInput(f"The 'batch_size' of DataParallelNoise must be an int >= 1. Got {batch_size}.")
        self.batch_size = batch_size
        self._running = RunningNoiseScale(decay)
        self._local: list[torch.Tensor] = []
        self._reduced: list[torch.Tensor] = []
        # DDP compares a hook's annotations with its own classes, not with their names; a lambda has none
        model.register_comm_hook(state=self, hook=lambda noise, bucket: _measure_and_reduce(noise, bucket))

    def update(self, loss_scale: float = 1.0) -> None:
        """Take in the pair of this update, after the backward pass; a collective call, on every rank."""
        if not self._local:
            raise InvalidInput("No gradient was reduced since the last update: call it after a synchronised backward.")
        small, big = torch.stack(self._local).sum(), torch.stack(self._reduced).sum()
        self._local, self._reduced = [], []
        dist.all_reduce(small, group=self._group)
        small_sq, big_sq = torch.stack([small / self.ranks, big]).div(loss_scale**2).tolist()
        self._running.add(small_sq, big_sq, small_batch=self.batch_size, big_batch=self.batch_size * self.ranks)

    def result(self) -> NoiseScale:
        """The noise scale as of now; the same on every rank."""
        return self._running.result()


def _measure_and_reduce(state: DataParallelNoise, bucket: Any) -> torch.futures.Future[torch.Tensor]:
    """DDP's mean over ranks, with the squared norms before and after it."""
    buffer: torch.Tensor = bucket.buffer()
    state._local.append(_squared_norm(buffer))
    buffer.div_(state.ranks)
    future = dist.all_reduce(buffer, group=state._group, async_op=True).get_future()

    def finish(done: torch.futures.Future[Any]) -> torch.Tensor:
        reduced: torch.Tensor = done.value()[0]
        state._reduced.append(_squared_norm(reduced))
        return reduced

    return future.then(finish)  # type: ignore[no-any-return]


def _squared_norm(gradient: torch.Tensor) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(gradient.detach(), dtype=torch.float32)
    return widened(norm).square()


def adam_preconditioner(optimizer: torch.optim.Optimizer, parameter: torch.Tensor) -> torch.Tensor | None:
    """What Adam multiplies a gradient of this parameter by, 1/(√v̂ + ε); None before its first step.

    Raises:
        InvalidInput: the optimizer keeps no second moment.
    """
    state = optimizer.state.get(parameter)
    if not state:
        return None
    if "exp_avg_sq" not in state:
        raise InvalidInput(
            "Adam's noise scale needs an optimizer with a second moment, such as AdamW. "
            f"Got {type(optimizer).__name__}."
        )
    group = next(g for g in optimizer.param_groups if any(member is parameter for member in g["params"]))
    corrected = state["exp_avg_sq"] / (1.0 - group["betas"][1] ** float(state["step"]))
    return torch.reciprocal(corrected.sqrt() + group["eps"])
