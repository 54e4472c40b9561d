"""A stack's forward and backward pass: the task's loss, vectorised over members and traced once into plain operations.

`torch.func` walks through several layers of dispatch at every operation, which costs a small model more than its
arithmetic. So the vectorised pass is traced, and its trace is what runs.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from lrscope.study.bench import Bench
from lrscope.study.engines.base import NotStackable

Tensors = list[torch.Tensor]
Pass = tuple[torch.Tensor, Tensors, Tensors]
"""(members,) losses; (members, …) gradients; (members, …) buffers after the pass."""


How = Literal["called", "traced", "compiled"]


class Programs:
    """The passes of a task, one for each width and shape of batch.

    `trainable`, `frozen` and `buffers` name what a member is made of; a parameter that the loss does not reach is
    frozen, as an optimizer leaves it alone.

    Arguments:
        how: "called" runs the vectorised functions as they are, "traced" their trace, "compiled" machine code of it.
    """

    def __init__(self, bench: Bench, how: How = "traced") -> None:
        self.bench = bench
        self.how = how
        self.template = bench.make_model(0).train()
        self._loss = _Loss(bench, self.template)
        reached = self._reached()
        names = [name for name, _ in self.template.named_parameters()]
        self.trainable = [name for name in names if name in reached]
        self.frozen = [name for name in names if name not in reached]
        self.buffers = [name for name, _ in self.template.named_buffers()]
        self.is_random = False
        self._passes: dict[Any, Callable[..., Pass]] = {}

    def run(self, trainable: Tensors, frozen: Tensors, buffers: Tensors, batch: Any, *, shared: bool) -> Pass:
        """The losses and gradients of a stack.

        Arguments:
            trainable, frozen, buffers: (members, …) each, in the order of their names.
            batch: one batch for all members, or, where not `shared`, tensors (members, B, …).

        Raises:
            NotStackable: the model or the loss does something that cannot be vectorised or traced.
        """
        leaves, structure = pytree.tree_flatten(batch)
        if not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
            raise NotStackable("its batches hold more than tensors")
        members = len(trainable[0])
        key = (members, shared, structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
        if key not in self._passes:
            whole = self._vectorize(structure, shared)
            self._passes[key] = self._prepare(whole, (trainable, frozen, buffers, leaves))
        with torch.no_grad():
            return self._passes[key](trainable, frozen, buffers, leaves)

    def _reached(self) -> set[str]:
        """The names of the parameters that the loss of a batch reaches."""
        few = torch.arange(min(2, self.bench.train_examples), device=self.bench.device)
        try:
            with self.bench.training_rng(0):
                loss, _ = self._loss(self.bench.train.batch(few))
                loss.backward()
        except Exception as error:
            raise NotStackable(f"a batch of two cannot be trained ({described(error)})") from None
        reached = {name for name, parameter in self.template.named_parameters() if parameter.grad is not None}
        self.template.zero_grad()
        return reached

    def _vectorize(self, structure: pytree.TreeSpec, shared: bool) -> Callable[..., Pass]:
        """The pass of a stack, from that of a member."""
        names = [*self.trainable, *self.frozen, *self.buffers]

        def member(trainable: Tensors, rest: Tensors, leaves: Tensors) -> tuple[torch.Tensor, Tensors]:
            values = {f"model.{name}": value for name, value in zip(names, [*trainable, *rest], strict=True)}
            loss, after = functional_call(self._loss, values, (pytree.tree_unflatten(leaves, structure),))
            return loss, [after[name] for name in self.buffers]

        stacked = vmap(grad_and_value(member, has_aux=True), (0, 0, None if shared else 0), randomness="same")

        def whole(trainable: Tensors, frozen: Tensors, buffers: Tensors, leaves: Tensors) -> Pass:
            with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():  # attention's other kernels do not vectorise
                warnings.filterwarnings("ignore", message="There is a performance drop")
                gradients, (losses, after) = stacked(trainable, [*frozen, *buffers], leaves)
            return losses, gradients, after

        return whole

    def _prepare(self, whole: Callable[..., Pass], stack: Any) -> Callable[..., Pass]:
        """What is run for the pass of a stack."""
        if self.how == "called":
            return whole
        graph = self._trace(whole, stack)
        return self._compile(graph, stack) if self.how == "compiled" else graph

    def _trace(self, whole: Callable[..., Pass], stack: Any) -> GraphModule:
        copies = pytree.tree_map(torch.clone, stack)  # a trace runs what it traces: batch norm would move its averages
        before = _python_state(self.template)
        try:
            with torch.no_grad(), self.bench.training_rng(0):
                drawn = _python_draws()
                graph = make_fx(whole)(*copies)
                drawn_since = _python_draws()
        except Exception as error:  # whatever a user's model does that torch.func cannot follow
            raise NotStackable(f"it cannot be vectorised ({described(error)})") from None
        if drawn_since != drawn or _python_state(self.template) != before:
            raise NotStackable("its model draws random numbers or keeps count outside of tensors")
        self.is_random |= _draws_random_numbers(graph)
        return graph

    def _compile(self, graph: GraphModule, stack: Any) -> Callable[..., Pass]:
        """Machine code: tens of seconds with a C++ compiler, a few where a process of this machine made it before."""
        try:
            with torch.no_grad(), self.bench.training_rng(0), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compiled: Callable[..., Pass] = torch.compile(
                    graph, dynamic=False, options={"fallback_random": True, "compile_threads": 1}
                )
                compiled(*pytree.tree_map(torch.clone, stack))
        except Exception as error:
            raise NotStackable(f"it cannot be compiled ({described(error)})") from None
        return compiled


class _Loss(nn.Module):
    """The task's loss as a module, so that one call runs any loss on any member's weights."""

    def __init__(self, bench: Bench, model: nn.Module) -> None:
        super().__init__()
        self.bench = bench
        self.model = model

    def forward(self, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss, and the buffers as they are after it."""
        loss = self.bench.batch_loss(self.model, batch)
        return loss, dict(self.model.named_buffers())


def _draws_random_numbers(graph: GraphModule) -> bool:
    return any(torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) for node in graph.graph.nodes)


def _python_draws() -> str:
    """The state of the random numbers that a trace does not see."""
    return repr((random.getstate(), np.random.get_state(legacy=False)["state"]))  # noqa: NPY002 (users' code draws)


def _python_state(model: nn.Module) -> list[tuple[str, Any]]:
    """Every plain value that a module of the model holds: a trace would keep it as it stands."""
    return [
        (name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, (bool, int, float, str))
    ]


def described(error: Exception) -> str:
    """Type and first line of an error."""
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first[:120]}"
