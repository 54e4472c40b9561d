"""Models of many kinds, stacked and looped: each trains alike on both, or is refused in one line."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.study.bench import Bench
from lrscope.study.engines.base import NotStackable
from lrscope.study.engines.certify import certify
from lrscope.study.engines.loop import LoopEngine
from lrscope.study.engines.program import Programs
from lrscope.study.engines.vmap import VmapEngine
from lrscope.study.task import Task
from lrscope.study.trial import Trial

CLASSES = 4
_generator = torch.Generator().manual_seed(0)
VECTORS = torch.randn(200, 16, generator=_generator)
IMAGES = torch.randn(200, 3, 6, 6, generator=_generator)
WORDS = torch.randint(0, 20, (200, 6), generator=_generator)
LABELS = torch.randint(0, CLASSES, (200,), generator=_generator)


def task(model: Callable[[], nn.Module], inputs: torch.Tensor = VECTORS, **options: Any) -> Task:
    """A task of four classes."""
    values = {"loss": F.cross_entropy, "optimizer": "sgd"} | options
    if "batch_loss" in options:
        values["loss"] = None
    data = (inputs, LABELS)
    return Task(name="one of many", model=model, train=data, validation=data, epochs=2, batch_sizes=(16,), **values)


def trials(rates: tuple[float, ...] = (0.001, 0.004, 0.015)) -> list[Trial]:
    """Thirty updates at each rate."""
    key = {"batch_size": 16, "schedule": "warmup(5%) -> cosine", "seed": 0, "total_steps": 30, "stop_at": 30}
    return [Trial(peak_lr=lr, **key) for lr in rates]  # type: ignore[arg-type]


def mlp(*between: Callable[[], nn.Module]) -> nn.Module:
    """An MLP of 12 units with modules in the middle."""
    return nn.Sequential(nn.Linear(16, 12), *(make() for make in between), nn.Linear(12, CLASSES))


def cnn(*between: Callable[[], nn.Module]) -> nn.Module:
    """A CNN of 6 channels with modules in the middle."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), *(make() for make in between), nn.ReLU(), nn.Flatten(), nn.Linear(96, CLASSES)
    )


class Two(nn.Module):
    """Two layers, and whatever `between` them makes of the hidden units."""

    def __init__(self, between: Callable[[Two, torch.Tensor], Any], **parts: torch.Tensor | nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.between = nn.Linear(16, 12), nn.Linear(12, CLASSES), between
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.second(self.between(self, self.first(inputs)))


class Words(nn.Module):
    """Words through an embedding and a body."""

    def __init__(self, body: Callable[[torch.Tensor], Any], embedding: nn.Module, width: int = 8) -> None:
        super().__init__()
        self.embedding, self.body, self.head = embedding, body, nn.Linear(width, CLASSES)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        hidden = self.body(self.embedding(words))
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        outputs: torch.Tensor = self.head(hidden.mean(1) if hidden.ndim == 3 else hidden)
        return outputs


class Attention(nn.Module):
    """Multi-head attention of a sequence to itself."""

    def __init__(self, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)
        self.mask = torch.triu(torch.full((6, 6), -math.inf), 1) if causal else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.heads(inputs, inputs, inputs, attn_mask=self.mask)[0]
        return outputs


def scaled_dot_product(hidden: torch.Tensor) -> torch.Tensor:
    """Attention without weights of its own."""
    return F.scaled_dot_product_attention(hidden, hidden, hidden, is_causal=True)


def tied() -> nn.Module:
    """One weight in two places."""
    model = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, CLASSES))
    model[2].weight = model[0].weight
    return model


def frozen() -> nn.Module:
    """A first layer that is not trained."""
    model = mlp(nn.ReLU)
    model[0].requires_grad_(False)
    return model


def in_place(_: Two, hidden: torch.Tensor) -> torch.Tensor:
    """Operations that overwrite what they are given."""
    hidden = hidden.relu_().clone()
    hidden[:, 0] = 0.5
    return hidden.mul_(2)


def moving_average(model: Two, hidden: torch.Tensor) -> torch.Tensor:
    """A buffer that follows the hidden units in training."""
    if model.training:
        model.mean = 0.9 * model.mean + 0.1 * hidden.detach().mean(0)
    return F.relu(hidden - model.mean)


def counting(model: Two, hidden: torch.Tensor) -> torch.Tensor:
    """An integer buffer that counts every pass, in evaluation too."""
    model.count += 1
    return F.relu(hidden) / model.count.sqrt()


class Cube(torch.autograd.Function):
    """A function with a gradient of its own, which is not that of its formula."""

    generate_vmap_rule = True

    @staticmethod
    def forward(inputs: torch.Tensor) -> torch.Tensor:
        return inputs**3

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        (inputs,) = ctx.saved_tensors
        return gradient * inputs**2


class OldCube(torch.autograd.Function):
    """The same, in the form that cannot be vectorised."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return inputs**3

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return gradient


def complex_model() -> nn.Module:
    """A layer of complex weights."""
    return Two(
        lambda model, hidden: torch.view_as_real(hidden.to(torch.complex64) @ model.weight).flatten(1),
        weight=nn.Parameter(0.3 * torch.randn(12, 6, dtype=torch.complex64)),
    )


def auxiliary(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The loss of a model that returns a dict."""
    outputs = model(batch[0])
    return F.cross_entropy(outputs["logits"], batch[1]) + 0.01 * outputs["logits"].square().mean()


class Named(nn.Linear):
    """A model that returns a dict."""

    def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {"logits": super().forward(inputs)}


def groups(parameters: Any, lr: float) -> torch.optim.Optimizer:
    """Two parameter groups, one decayed, one faster."""
    one, *others = parameters
    return torch.optim.AdamW([{"params": [one], "weight_decay": 0.1}, {"params": others, "lr": 3 * lr}], lr)


STACKED: dict[str, Callable[[], Task]] = {
    "BatchNorm1d without weights": lambda: task(partial(mlp, partial(nn.BatchNorm1d, 12, affine=False), nn.ReLU)),
    "BatchNorm2d": lambda: task(partial(cnn, partial(nn.BatchNorm2d, 6)), IMAGES, clip_norm=0.1),
    "InstanceNorm with averages": lambda: task(
        partial(cnn, partial(nn.InstanceNorm2d, 6, track_running_stats=True)), IMAGES
    ),
    "GroupNorm": lambda: task(partial(cnn, partial(nn.GroupNorm, 2, 6)), IMAGES),
    "dropout of nothing": lambda: task(partial(mlp, partial(nn.Dropout, 0.0), nn.ReLU)),
    "dropout of half": lambda: task(partial(mlp, partial(nn.Dropout, 0.5), nn.ReLU)),
    "dropout of channels": lambda: task(partial(cnn, partial(nn.Dropout2d, 0.3)), IMAGES),
    "a GRU": lambda: task(lambda: Words(nn.GRU(8, 8, batch_first=True), nn.Embedding(20, 8)), WORDS),
    "an embedding with padding": lambda: task(
        lambda: Words(nn.Identity(), nn.Embedding(20, 8, padding_idx=0)), WORDS, optimizer="adamw"
    ),
    "a bag of embeddings": lambda: task(lambda: Words(nn.Identity(), nn.EmbeddingBag(20, 8)), WORDS),
    "attention, masked": lambda: task(lambda: Words(Attention(causal=True), nn.Embedding(20, 8)), WORDS),
    "attention with dropout": lambda: task(lambda: Words(Attention(dropout=0.2), nn.Embedding(20, 8)), WORDS),
    "attention as a function": lambda: task(lambda: Words(scaled_dot_product, nn.Embedding(20, 8)), WORDS),
    "tied weights": lambda: task(tied),
    "a frozen layer": lambda: task(frozen, clip_norm=0.1),
    "a layer that is not used": lambda: task(
        lambda: Two(lambda _, hidden: hidden.relu(), spare=nn.Linear(3, 3)), optimizer="adamw"
    ),
    "in place": lambda: task(lambda: Two(in_place)),
    "a buffer of its own": lambda: task(lambda: Two(moving_average, mean=torch.zeros(12))),
    "a count of passes": lambda: task(lambda: Two(counting, count=torch.zeros((), dtype=torch.int64))),
    "a gradient of its own": lambda: task(lambda: Two(lambda _, hidden: Cube.apply(hidden))),
    "noise": lambda: task(lambda: Two(lambda _, hidden: hidden + torch.randn_like(hidden))),
    "weight norm": lambda: task(
        lambda: Two(lambda m, hidden: m.part(hidden), part=nn.utils.parametrizations.weight_norm(nn.Linear(12, 12)))
    ),
    "complex weights": lambda: task(complex_model, clip_norm=0.1),
    "float64": lambda: task(lambda: mlp(nn.Tanh).double(), VECTORS.double(), optimizer="adamw"),
    "two kinds of floats": lambda: task(
        lambda: Two(lambda m, hidden: m.part(hidden.double()).float(), part=nn.Linear(12, 12, dtype=torch.float64))
    ),
    "a loss in float64": lambda: task(partial(mlp, nn.ReLU), loss=lambda o, t: F.cross_entropy(o.double(), t)),
    "bfloat16": lambda: task(partial(mlp, nn.ReLU), precision="bfloat16"),
    "a dict": lambda: task(lambda: Named(16, CLASSES), batch_loss=auxiliary),
    "two groups": lambda: task(partial(mlp, nn.ReLU), optimizer=groups),
    "an optimizer of half the model": lambda: task(
        partial(mlp, nn.ReLU), optimizer=lambda p, lr: torch.optim.SGD(list(p)[2:], lr, momentum=0.9), clip_norm=0.1
    ),
}  # fmt: skip


def centred_ascent(parameters: Any, lr: float) -> torch.optim.Optimizer:
    """Every option of RMSprop, upwards."""
    return torch.optim.RMSprop(parameters, lr, centered=True, momentum=0.5, weight_decay=0.01, maximize=True)


STACKED["up the hill"] = lambda: task(
    partial(mlp, nn.ReLU), loss=lambda outputs, targets: -F.cross_entropy(outputs, targets), optimizer=centred_ascent
)

LOOSE = {"bfloat16": 5e-2}


@pytest.mark.parametrize("name", STACKED)
def test_a_model_trains_alike_stacked_and_looped_also_beside_one_that_diverges(name: str) -> None:
    bench = Bench(STACKED[name]())
    engine = VmapEngine({16: certify(Programs(bench), 16, widths=(3,))})
    asked = trials()
    stacked = engine.train(bench, asked)
    for fast, plain in zip(stacked, LoopEngine().train(bench, asked), strict=True):
        assert (fast.engine, plain.engine) == ("vmap", "loop")
        for series in ("loss", "grad_norm", "update_ratio", "eval_loss"):
            expected = pytest.approx(getattr(plain, series), rel=LOOSE.get(name, 1e-3), abs=1e-5)
            assert getattr(fast, series) == expected, series
        assert fast.val_loss == pytest.approx(plain.val_loss, rel=1e-3)
    *_, wild = beside = engine.train(bench, [*asked, *trials((1e38,))])
    assert (wild.status, wild.train_loss) == ("diverged", math.inf)
    for alone, one in zip(stacked, beside, strict=False):
        assert np.array_equal(alone.loss, one.loss)
        assert alone.val_loss == one.val_loss


def looking(_: Two, hidden: torch.Tensor) -> torch.Tensor:
    """Two ways through, by the numbers."""
    return hidden.relu() if float(hidden.detach().mean()) > 0 else hidden.tanh()


def hooked() -> nn.Module:
    """A weight whose gradient is changed on its way."""
    model = mlp(nn.ReLU)
    model[0].weight.register_hook(lambda gradient: 0.1 * gradient)
    return model


def distribution(_: Two, hidden: torch.Tensor) -> torch.Tensor:
    """Draws from a distribution that must not be NaN."""
    normal = torch.distributions.Normal(hidden[:, :6], hidden[:, 6:].exp(), validate_args=True)
    return torch.cat([normal.rsample(), hidden[:, 6:]], 1)


class Remembering(nn.Linear):
    """A model that keeps a list."""

    def __init__(self) -> None:
        super().__init__(16, CLASSES)
        self.seen: list[int] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen.append(1)
        return super().forward(inputs) / len(self.seen)


def probability(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A loss of probabilities, which refuses those that are NaN."""
    return F.binary_cross_entropy(outputs.sigmoid(), torch.eye(CLASSES)[targets])


def amsgrad(parameters: Any, lr: float) -> torch.optim.Optimizer:
    """At a thousandth of the rate, as Adam itself cannot count with one as wild as that below."""
    return torch.optim.Adam(parameters, 1e-3 * lr, amsgrad=True)


LOOPED: dict[str, tuple[Callable[[], Task], str]] = {
    "BatchNorm without momentum": (
        lambda: task(partial(mlp, partial(nn.BatchNorm1d, 12, momentum=None))), "cannot be vectorised",
    ),
    "a look at the numbers": (lambda: task(lambda: Two(looking)), "cannot be vectorised"),
    "a gradient in the old form": (lambda: task(lambda: Two(lambda _, h: OldCube.apply(h))), "cannot be vectorised"),
    "a changed gradient": (lambda: task(hooked), "gradients come out otherwise"),
    "a list": (lambda: task(Remembering), "gradients come out otherwise"),
    "an embedding that is kept short": (
        lambda: task(lambda: Words(nn.Identity(), nn.Embedding(20, 8, max_norm=0.5)), WORDS), "changes its weights",
    ),
    "sparse gradients": (
        lambda: task(lambda: Words(nn.Identity(), nn.Embedding(20, 8, sparse=True)), WORDS), "cannot be vectorised",
    ),
    "a distribution": (lambda: task(lambda: Two(distribution)), "cannot be vectorised"),
    "a loss that refuses NaN": (lambda: task(partial(mlp, nn.ReLU), loss=probability), "would end the others"),
    "amsgrad": (
        lambda: task(partial(mlp, nn.ReLU), optimizer=amsgrad), "amsgrad",
    ),
    "weights in bfloat16": (lambda: task(lambda: mlp(nn.ReLU).bfloat16(), VECTORS.bfloat16()), "come out otherwise"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPED)
def test_what_cannot_be_stacked_says_so_in_one_line_and_is_looped(name: str) -> None:
    make, says = LOOPED[name]
    bench = Bench(make())
    with pytest.raises(NotStackable, match=says) as refused:
        certify(Programs(bench), 16)
    assert "\n" not in str(refused.value)
    calm, wild = VmapEngine().train(bench, [*trials((0.001,)), *trials((1e38,))])
    assert {calm.engine, wild.engine} == {"loop"}
    assert (calm.status, wild.status) == ("finished", "diverged")
    assert math.isfinite(calm.loss[-1])
    (again,) = LoopEngine().train(bench, trials((0.001,)))
    assert np.array_equal(again.loss, calm.loss)


def test_an_error_that_comes_at_any_rate_is_the_tasks_own() -> None:
    class Fragile(torch.optim.SGD):
        """Breaks at its second update, whatever the rate."""

        def step(self, closure: Any = None) -> Any:
            if "broken" in self.state:
                raise ValueError("my own words")
            self.state["broken"] = True
            return super().step(closure)

    def forgetful(parameters: Any, lr: float) -> torch.optim.Optimizer:
        return Fragile(parameters, lr)

    def strict(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if float(outputs.detach().abs().max()) > 50:
            raise TypeError("my own words")
        return F.cross_entropy(outputs, targets)

    for options, error in (({"optimizer": forgetful}, ValueError), ({"loss": strict}, TypeError)):
        with pytest.raises(error, match="my own words"):
            LoopEngine().train(Bench(task(partial(mlp, nn.ReLU), **options)), trials((1e4,)))


def test_an_evaluation_that_the_trained_weights_make_impossible_is_one_of_a_diverged_trial() -> None:
    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if not outputs.requires_grad and float(outputs.abs().max()) > 50:
            raise ValueError("too large")
        return outputs.mean()

    def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs.argmax(1) == targets).float().mean()

    (result,) = LoopEngine().train(
        Bench(task(partial(mlp, nn.ReLU), loss=loss, metrics={"accuracy": accuracy})), trials((3.0,))
    )
    assert (result.status, result.train_loss, result.val_loss, result.metrics) == ("diverged", math.inf, math.inf, {})
    assert np.isnan(result.eval_metrics["accuracy"]).any()
