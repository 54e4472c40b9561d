"""Sums over a model's tensors, wherever they lie: on several devices, or on one without float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def widened(tensor: Tensor) -> Tensor:
    """The tensor in float64, or in float32 on a device that has no float64 (Apple's).

    >>> widened(torch.ones(2, dtype=torch.bfloat16)).dtype
    torch.float64
    """
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def together(scalars: Sequence[Tensor]) -> Tensor:
    """Scalars as one tensor, on the device of the first.

    >>> together([torch.tensor(1.0), torch.tensor(2.0)])
    tensor([1., 2.])
    """
    return torch.stack([scalar.to(scalars[0].device) for scalar in scalars])


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """The inner product of two lists of tensors, as a scalar on the device of the first.

    >>> dot([torch.ones(2), torch.ones(3)], [torch.ones(2), 2 * torch.ones(3)])
    tensor(8.)
    """
    return together([(x.detach() * y.detach()).sum() for x, y in zip(a, b, strict=True)]).sum()


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of a list of tensors, as a scalar on the device of the first.

    >>> norm([torch.tensor([3.0]), torch.tensor([[4.0]])])
    tensor(5.)
    """
    size: Tensor = together(torch._foreach_norm(list(tensors))).norm()
    return size
