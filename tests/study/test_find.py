"""The quick search: a pure function on planted short runs, and on real models that come back as they were."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import lrscope
from lrscope.errors import InvalidInput
from lrscope.study.find import Branch, branch_lengths, next_branches, search_branches


def planted(best: float, cliff: float = 2.0, gain: float = 2.0):
    """Short runs whose loss is a U about 2^best, with a cliff `cliff` octaves to the right."""

    def run(octave: float, steps: int) -> Branch:
        distance = octave - best
        loss = math.inf if distance > cliff else 2.3 - gain * math.exp(-0.03 * distance**2)
        return Branch(octave=octave, steps=steps, loss=loss, initial_loss=2.3, spent=steps)

    return run


@given(st.floats(-13, 1), st.floats(0.6, 4), st.integers(200, 100_000))
@settings(max_examples=40, deadline=None)
def test_answers_near_a_planted_optimum_within_the_budget(best, cliff, total_steps):
    branches, status, suggestion, _ = search_branches(total_steps, 0.3, planted(best, cliff))
    assert sum(branch.spent for branch in branches) <= 0.3 * total_steps
    if status == "found":
        assert abs(math.log2(suggestion.value) - best) <= 2.5
        assert math.log2(suggestion.value) < best + cliff - 0.25


@given(st.floats(-12, 0), st.floats(-2, 2))
@settings(max_examples=20, deadline=None)
def test_moving_the_curve_by_a_coarse_step_moves_the_answer(best, cliff):
    first = search_branches(5000, 0.3, planted(best, 2.0))
    second = search_branches(5000, 0.3, planted(best, 2.0))
    assert first == second


def test_asks_for_nothing_twice_and_is_pure():
    run, done = planted(-5.0), []
    while asked := next_branches(5000, 0.3, done):
        assert next_branches(5000, 0.3, list(reversed(done))) == asked
        assert not {(branch.octave, branch.steps) for branch in done} & set(asked)
        done += [run(octave, steps) for octave, steps in asked]
    assert {branch.steps for branch in done} == set(branch_lengths(5000, 0.3))


def test_all_diverged():
    def run(octave: float, steps: int) -> Branch:
        return Branch(octave=octave, steps=steps, loss=math.inf, initial_loss=2.3, spent=1)

    _, status, suggestion, advice = search_branches(5000, 0.3, run)
    assert (status, suggestion) == ("all_diverged", None)
    assert "diverged" in advice


def test_nothing_learned_or_too_few_updates_is_inconclusive():
    def flat(octave: float, steps: int) -> Branch:
        return Branch(octave=octave, steps=steps, loss=2.3, initial_loss=2.3, spent=steps)

    assert search_branches(5000, 0.3, flat)[1] == "inconclusive"
    assert search_branches(40, 0.3, planted(-5.0))[1] == "inconclusive"


@pytest.mark.parametrize("budget", [0.0, -1.0, 11.0, math.nan])
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(InvalidInput, match="budget"):
        search_branches(5000, budget, planted(-5.0))


def test_a_bundled_task_by_reference(reference):
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
