"""Sharpness of the loss against what the optimizer can stand: the edge of stability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.gradients import adam_preconditioner
from lrscope.integrations.torch.rewind import parameters
from lrscope.integrations.torch.tensors import dot, norm


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """The largest (preconditioned) eigenvalue of the Hessian on a batch, and the largest that the rate allows.

    A `ratio` (value / limit) above 1 means that the optimizer cannot stay where it is: the rate is too high.
    """

    value: float
    limit: float
    ratio: float


def stability_limit(optimizer: Optimizer) -> float:
    """The sharpness that the optimizer can stand at its present rate η.

    Gradient descent 2/η; heavy ball (2+2β)/η; Nesterov (2+2β)/((1+2β)η); Adam, of the preconditioned sharpness,
    (2+2β₁)/((1−β₁)η) = 38/η at β₁ = 0.9; RMSprop, preconditioned, 2/η (Cohen 2021, arXiv 2103.00065; 2022, arXiv
    2207.14484).

    Raises:
        InvalidInput: an optimizer whose limit is not known.
    """
    group = optimizer.param_groups[0]
    lr = max(float(g["lr"]) for g in optimizer.param_groups)
    if lr <= 0:
        return float("inf")
    name = type(optimizer).__name__.lower()
    if name.startswith(("adam", "nadam")):
        beta = float(group["betas"][0])
        return (2 + 2 * beta) / ((1 - beta) * lr)
    if name in ("sgd", "rmsprop"):
        beta = float(group.get("momentum", 0.0))
        if group.get("nesterov"):
            return (2 + 2 * beta) / ((1 + 2 * beta) * lr)
        return (2 + 2 * beta) / lr
    raise InvalidInput(f"The stability limit is known for SGD, RMSprop and Adam. Got {type(optimizer).__name__}.")


def measure_sharpness(
    optimizer: Optimizer, again: Callable[[], Tensor], *, iterations: int = 20, seed: int = 0
) -> Sharpness:
    """λ_max of D^−½ H D^−½ by power iteration on Hessian-vector products; D is the optimizer's preconditioner, or 1.

    Arguments:
        again: computes the loss of one batch with the present weights.
        iterations: Hessian-vector products; each costs about two backward passes.
    """
    weights = parameters(optimizer)
    scale = _inverse_root(optimizer, weights)
    loss = again()
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(p.shape, generator=generator).to(p) for p in weights]
    value = 0.0
    for _ in range(iterations):
        length = norm(vector)
        vector = [v / length.to(v.device) for v in vector]
        scaled = [v * s for v, s in zip(vector, scale, strict=True)]
        product = torch.autograd.grad(gradients, weights, grad_outputs=scaled, retain_graph=True)
        product = tuple(h * s for h, s in zip(product, scale, strict=True))
        value = float(dot(vector, product))
        vector = list(product)
        if not abs(value) > 0:
            break
    limit = stability_limit(optimizer)
    return Sharpness(value=value, limit=limit, ratio=value / limit)


def _inverse_root(optimizer: Optimizer, weights: Sequence[Tensor]) -> list[Tensor]:
    """D^−½ per parameter: (√v̂ + ε)^−½ for Adam and RMSprop, 1 otherwise."""
    roots = []
    for weight in weights:
        state = optimizer.state.get(weight, {})
        preconditioner = adam_preconditioner(optimizer, weight) if "exp_avg_sq" in state else None
        if preconditioner is not None:
            roots.append(preconditioner.sqrt())
        elif "square_avg" in state:
            group = next(g for g in optimizer.param_groups if any(member is weight for member in g["params"]))
            roots.append((state["square_avg"].sqrt() + group["eps"]) ** -0.5)
        else:
            roots.append(torch.ones_like(weight))
    return roots
