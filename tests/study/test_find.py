"""The quick answer for a task, and for real models, which come back as they were."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn

import lrscope
from lrscope.errors import InvalidInput
from lrscope.study.find import momentum_of
from lrscope.study.live import LiveModel
from lrscope.study.short_runs import ShortRun


def test_a_task_by_reference(reference):
    found = lrscope.find_lr(reference("regression"), batch_size=8, budget=3.0)
    assert found.batch_size == 8
    assert found.full_run_equivalents <= 3.0
    assert found.to_json()["schema"] == "lrscope/find/1"


class Noisy(nn.Module):
    """A model with everything that training changes: weights, BatchNorm's buffers, dropout's random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.layers(x)[:, 0]


def make_job(optimizer=torch.optim.AdamW):
    torch.manual_seed(0)
    model = Noisy()
    inputs = torch.randn(512, 6)
    targets = inputs[:, 0] - 2 * inputs[:, 1]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, targets), batch_size=16, shuffle=True, drop_last=True
    )
    made = optimizer([{"params": model.layers[0].parameters(), "lr": 1e-3}, {"params": model.layers[4].parameters()}])
    loss = nn.functional.mse_loss(model(inputs[:16]), targets[:16])
    loss.backward()
    made.step()  # a state to lose
    model.layers[1].eval()  # a mode of its own
    return model, made, loader


def state_of(model, optimizer):
    return copy.deepcopy(
        {
            "weights": model.state_dict(),
            "calls": model.calls,
            "optimizer": optimizer.state_dict(),
            "gradients": [parameter.grad for parameter in model.parameters()],
            "modes": [module.training for module in model.modules()],
            "torch": torch.get_rng_state(),
            "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
            "python": random.getstate(),
        }
    )


def same(one, other) -> bool:
    if torch.is_tensor(one):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9)])
def test_a_model_of_ones_own_comes_back_exactly(optimizer):
    model, made, loader = make_job(optimizer)
    before, gradient = state_of(model, made), model.layers[0].weight.grad
    found = lrscope.find_lr(model, optimizer=made, batches=loader, loss=nn.functional.mse_loss, total_steps=600)
    assert same(state_of(model, made), before)
    assert model.layers[0].weight.grad is gradient
    assert found.status in ("found", "inconclusive")
    assert found.batch_size == 16
    assert found.task == "Noisy"
    assert 0 < found.full_run_equivalents <= 0.3
    assert 1e-4 < found.suggested_lr.value < 3


def test_an_error_inside_leaves_everything_as_it_was():
    model, made, loader = make_job()
    before = state_of(model, made)

    def failing(outputs, targets):
        raise RuntimeError("of the user's")

    with pytest.raises(InvalidInput, match="of the user's"):
        lrscope.find_lr(model, optimizer=made, batches=loader, loss=failing, total_steps=600)
    assert same(state_of(model, made), before)


def test_a_batch_loss_and_dict_batches():
    model, made, _ = make_job()
    inputs = torch.randn(64, 6)
    batches = [{"x": part, "y": part[:, 0]} for part in inputs.split(16)]
    found = lrscope.find_lr(
        model,
        optimizer=made,
        batches=batches,
        batch_loss=lambda model, batch: nn.functional.mse_loss(model(batch["x"]), batch["y"]),
        total_steps=400,
    )
    assert found.batch_size == 16
    assert found.suggested_lr is not None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimizer": None}, "'optimizer'"),
        ({"total_steps": None}, "'total_steps'"),
        ({"total_steps": 0}, "total_steps"),
        ({"loss": None}, "either 'loss'"),
        ({"batches": []}, "at least one batch"),
    ],
)
def test_what_is_missing_is_named(changes, says):
    model, made, loader = make_job()
    arguments = {"optimizer": made, "batches": loader, "loss": nn.functional.mse_loss, "total_steps": 100}
    with pytest.raises(InvalidInput, match=says):
        lrscope.find_lr(model, **(arguments | changes))


def test_a_loss_that_is_not_finite_is_refused_and_leaves_everything_as_it_was():
    model, made, loader = make_job()
    before = state_of(model, made)
    with pytest.raises(InvalidInput, match="finite before the first update"):
        lrscope.find_lr(model, optimizer=made, batches=loader, loss=lambda *_: torch.tensor(np.nan), total_steps=600)
    assert same(state_of(model, made), before)


def test_a_cut_batch_is_its_parts_one_after_the_other():
    model, made, _ = make_job()
    seen = []

    def loss(outputs, targets):
        seen.append(targets.tolist())
        return nn.functional.mse_loss(outputs, targets)

    numbers = torch.arange(36.0)
    batches = [(torch.randn(len(part), 6), part) for part in numbers.split(8)]  # the last one has 4
    with LiveModel(model, made, batches, loss, None) as live:
        assert live.can_cut
        seen.clear()
        branch = live.run(ShortRun(stage="walk", octave=-8.0, steps=10, batch_size=4))
    trained = seen[:10]
    assert trained[:9] == [part.tolist() for part in numbers.split(4)]
    assert trained[9] == trained[8]  # what the short batch has
    assert branch.examples == 40


def test_batches_of_another_kind_are_left_whole():
    model, made, _ = make_job()
    batches = [{"x": torch.randn(16, 6)}]
    with LiveModel(model, made, batches, None, lambda model, batch: model(batch["x"]).square().mean()) as live:
        assert not live.can_cut
        assert live.batch_size == 16


@pytest.mark.parametrize(
    ("optimizer", "momentum"),
    [
        (torch.optim.AdamW, None),
        (torch.optim.RMSprop, None),
        (lambda weights: torch.optim.SGD(weights, lr=0.1), 0.0),
        (lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True), 0.9),
    ],
)
def test_the_momentum_of_an_optimizer(optimizer, momentum):
    assert momentum_of(optimizer([nn.Parameter(torch.zeros(2))])) == momentum
