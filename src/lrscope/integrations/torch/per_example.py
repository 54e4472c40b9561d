"""The gradient of every single example, by `torch.func`, and the noise scale of a model as it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.tensors import widened
from lrscope.noise.noise_scale import NoiseScale
from lrscope.noise.one_place import MIN_GRADIENTS, noise_scale_from_products

BatchLoss = Callable[[nn.Module, Any], torch.Tensor]
GROUPS = 32
_CHUNK_NUMBERS = 2**24  # per-example gradients held at once, in numbers: 64 MB


@dataclass(frozen=True, kw_only=True)
class NoiseHere:
    """The noise scale at one place of a training: how it was measured, and what has to be said about it."""

    scale: NoiseScale
    per_example: bool
    note: str = ""


def per_example_gradients(model: nn.Module, batch_loss: BatchLoss, batch: Any) -> torch.Tensor:
    """The gradient of each example's own loss, (examples, parameters), in the model's present mode.

    Each example is a batch of one; dropout draws anew for each. Parameters come in the order of `model.parameters()`
    that require a gradient, flattened.

    Arguments:
        model: any module that `torch.func.vmap` can run; BatchNorm in training mode is none.
        batch_loss: (model, batch) -> scalar.
        batch: a tensor, or tuples, lists and dicts of tensors, one row an example.
    """
    wrapper = _Loss(model, batch_loss)
    trained = {name: value.detach() for name, value in wrapper.named_parameters() if value.requires_grad}

    def loss_of_one(parameters: dict[str, torch.Tensor], example: Any) -> torch.Tensor:
        alone = tree_map(lambda leaf: leaf.unsqueeze(0), example)
        return functional_call(wrapper, parameters, (alone,))  # type: ignore[no-any-return]

    gradients = vmap(grad(loss_of_one), in_dims=(None, 0), randomness="different")(trained, batch)
    return torch.cat([gradients[name].flatten(1) for name in trained], dim=1)


def measure_noise_here(
    model: nn.Module,
    batch_loss: BatchLoss,
    fetch: Callable[[torch.Tensor], Any],
    indices: torch.Tensor,
    *,
    batch_size: int,
    preconditioner: torch.Tensor | None = None,
) -> NoiseHere:
    """B_simple at the model's present weights, in its present mode; weights and buffers are left as they were.

    Per-example gradients where the model allows; else gradients of whole batches (BatchNorm in training mode ties the
    examples of a batch together, some operations have no vmap), and the note says so.

    Arguments:
        fetch: (indices) -> batch. indices: (examples,) in random order.
        batch_size: examples of a batch, for the second way.
        preconditioner: (parameters,) what the optimizer multiplies a gradient by.
    """
    if len(indices) < MIN_GRADIENTS:
        raise InvalidInput(f"The noise scale needs at least {MIN_GRADIENTS} examples. Got {len(indices)}.")
    buffers = [buffer.detach().clone() for buffer in model.buffers()]
    try:
        reason = _why_not_per_example(model, batch_loss, fetch(indices[:2]))
        if not reason:
            return NoiseHere(scale=_by_example(model, batch_loss, fetch, indices, preconditioner), per_example=True)
        scale, used = _by_batches(model, batch_loss, fetch, indices, batch_size, preconditioner)
        note = f"{reason}, so the noise scale comes from gradients of whole batches of {used} examples."
        return NoiseHere(scale=scale, per_example=False, note=note)
    finally:
        with torch.no_grad():
            for buffer, before in zip(model.buffers(), buffers, strict=True):
                buffer.copy_(before)


class _Loss(nn.Module):
    """The loss as a module, so that `functional_call` can put other parameters under any (model, batch) function."""

    def __init__(self, model: nn.Module, batch_loss: BatchLoss) -> None:
        super().__init__()
        self.model = model
        self._batch_loss = batch_loss
        self.training = model.training

    def forward(self, batch: Any) -> torch.Tensor:
        return self._batch_loss(self.model, batch)


def _why_not_per_example(model: nn.Module, batch_loss: BatchLoss, batch: Any) -> str:
    """Empty where per-example gradients work; else the start of a sentence."""
    if any(isinstance(module, _BatchNorm) and module.training for module in model.modules()):
        return "BatchNorm in training mode gives no example a gradient of its own"
    try:
        per_example_gradients(model, batch_loss, batch)
    except Exception as error:  # whatever vmap cannot do, it says in its own way
        return f"torch.func cannot take this model's per-example gradients ({type(error).__name__})"
    return ""


def _by_example(
    model: nn.Module,
    batch_loss: BatchLoss,
    fetch: Callable[[torch.Tensor], Any],
    indices: torch.Tensor,
    preconditioner: torch.Tensor | None,
) -> NoiseScale:
    """Groups of equal size: between them come the products, within them the norms of single examples."""
    groups = min(GROUPS, len(indices))
    size = len(indices) // groups
    parameters = sum(value.numel() for value in model.parameters() if value.requires_grad)
    chunk = max(1, _CHUNK_NUMBERS // max(parameters, 1))
    means, norms = [], []
    for group in indices[: groups * size].view(groups, size):
        total, square = torch.zeros(()), 0.0
        for part in group.split(chunk):
            gradients = per_example_gradients(model, batch_loss, fetch(part))
            if preconditioner is not None:
                gradients = gradients * preconditioner
            total = total.to(gradients.device) + gradients.sum(0)
            square += float(widened(gradients).square().sum())
        means.append(total / size)
        norms.append(square / size)
    stacked = widened(torch.stack(means))
    return noise_scale_from_products((stacked @ stacked.T).cpu().numpy(), norms, 1)


def _by_batches(
    model: nn.Module,
    batch_loss: BatchLoss,
    fetch: Callable[[torch.Tensor], Any],
    indices: torch.Tensor,
    batch_size: int,
    preconditioner: torch.Tensor | None,
) -> tuple[NoiseScale, int]:
    """Gradients of as many whole batches as there are examples for, at least four."""
    size = max(1, min(batch_size, len(indices) // MIN_GRADIENTS))
    trained = [value for value in model.parameters() if value.requires_grad]
    rows = []
    for part in indices[: len(indices) // size * size].view(-1, size)[: 2 * GROUPS]:
        loss = batch_loss(model, fetch(part))
        found = torch.autograd.grad(loss, trained, allow_unused=True)
        flat = [
            torch.zeros_like(value).flatten() if one is None else one.flatten()
            for value, one in zip(trained, found, strict=True)
        ]
        row = torch.cat(flat)
        rows.append(row if preconditioner is None else row * preconditioner)
    stacked = widened(torch.stack(rows))
    gram = (stacked @ stacked.T).cpu().numpy()
    return noise_scale_from_products(gram, gram.diagonal(), size), size
