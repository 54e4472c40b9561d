"""The noise instruments in real training loops, each against a readable twin."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.gradients import AccumulationNoise, adam_preconditioner
from lrscope.integrations.torch.per_example import measure_noise_here, per_example_gradients
from lrscope.noise.one_place import noise_scale_from_gradients
from lrscope.noise.pairs import noise_scale_from_pairs

WORKER = Path(__file__).with_name("data_parallel_worker.py")


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def make_data(examples=256):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(examples, 6, generator=generator)
    return inputs, (inputs[:, 0] + torch.randn(examples, generator=generator) > 0).long()


def batch_loss(model, batch):
    inputs, targets = batch
    return F.cross_entropy(model(inputs), targets)


def flat_gradient(model, batch):
    gradients = torch.autograd.grad(batch_loss(model, batch), list(model.parameters()))
    return torch.cat([g.flatten() for g in gradients]).double()


def twin_gradient(model, batch):
    """As `flat_gradient`, on a copy of the model, so that the hooks on it do not fire."""
    return flat_gradient(copy.deepcopy(model), batch)


def adam_weight(optimizer, model):
    return torch.cat([adam_preconditioner(optimizer, p).flatten() for p in model.parameters()]).double()


@pytest.mark.parametrize("divided", [True, False])
def test_microbatch_hooks_see_what_separate_gradients_give(divided):
    model, (inputs, targets) = make_model(), make_data()
    noise = AccumulationNoise(model, batch_size=8, decay=1.0, loss_is_divided=divided)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    small, big = [], []
    for update in range(6):
        parts = [(inputs[i : i + 8], targets[i : i + 8]) for i in range(32 * update, 32 * update + 32, 8)]
        rows = torch.stack([twin_gradient(model, part) for part in parts])
        small.append(float(rows.square().sum(1).mean()))
        big.append(float(rows.mean(0).square().sum()))
        optimizer.zero_grad()
        for part in parts:
            loss = batch_loss(model, part)
            (loss / 4 if divided else loss).backward()
        noise.update()
        optimizer.step()
    expected = noise_scale_from_pairs(small, big, 8, 32)
    assert noise.result().trace == pytest.approx(expected.trace, rel=1e-5)
    assert noise.result().square == pytest.approx(expected.square, rel=1e-5)
    noise.close()


def test_the_loss_scale_of_mixed_precision_leaves_no_trace():
    results = []
    for scale in (1.0, 1024.0):
        model, (inputs, targets) = make_model(), make_data()
        noise = AccumulationNoise(model, batch_size=8)
        for start in (0, 8):
            (batch_loss(model, (inputs[start : start + 8], targets[start : start + 8])) * scale / 2).backward()
        noise.update(loss_scale=scale)
        results.append(noise.result())
    assert results[1].trace == pytest.approx(results[0].trace, rel=1e-5)
    assert results[1].square == pytest.approx(results[0].square, rel=1e-5)


def test_adams_metric_weighs_by_the_optimizers_own_second_moment():
    model, (inputs, targets) = make_model(), make_data()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    noise = AccumulationNoise(model, batch_size=8, decay=1.0, optimizer=optimizer)
    small, big = [], []
    for update in range(4):
        parts = [(inputs[i : i + 8], targets[i : i + 8]) for i in range(16 * update, 16 * update + 16, 8)]
        if update:  # Adam has no second moment before its first step
            weight = adam_weight(optimizer, model)
            rows = torch.stack([twin_gradient(model, part) for part in parts]) * weight
            small.append(float(rows.square().sum(1).mean()))
            big.append(float(rows.mean(0).square().sum()))
        optimizer.zero_grad()
        for part in parts:
            (batch_loss(model, part) / 2).backward()
        noise.update()
        optimizer.step()
    assert noise.result().observations == 3
    expected = noise_scale_from_pairs(small, big, 8, 16)
    assert noise.result().trace == pytest.approx(expected.trace, rel=1e-4)
    assert noise.result().square == pytest.approx(expected.square, rel=1e-4)
    noise.close()


def test_the_measurement_at_one_place_takes_adams_metric():
    model, (inputs, targets) = make_model(), make_data()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch_loss(model, (inputs, targets)).backward()
    optimizer.step()
    weight = adam_weight(optimizer, model)
    here = measure_noise_here(
        model,
        batch_loss,
        lambda i: (inputs[i], targets[i]),
        torch.arange(256),
        batch_size=8,
        preconditioner=weight.float(),
    )
    rows = torch.stack([flat_gradient(model, (inputs[i : i + 8], targets[i : i + 8])) for i in range(0, 256, 8)])
    by_rows = noise_scale_from_gradients(rows.numpy(), 8, preconditioner=weight.numpy())
    singles = per_example_gradients(model, batch_loss, (inputs, targets)).double() * weight
    by_example = noise_scale_from_gradients(singles.numpy())
    assert here.scale.square == pytest.approx(by_rows.square, rel=1e-4)  # the same 32 groups of 8
    assert here.scale.trace == pytest.approx(by_example.trace, rel=0.05)


def test_an_update_needs_two_microbatches():
    model, (inputs, targets) = make_model(), make_data()
    noise = AccumulationNoise(model, batch_size=8)
    batch_loss(model, (inputs[:8], targets[:8])).backward()
    with pytest.raises(InvalidInput, match="at least 2 microbatches"):
        noise.update()
    with pytest.raises(InvalidInput, match="requires a gradient"):
        AccumulationNoise([], batch_size=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    with pytest.raises(InvalidInput, match="second moment"):
        adam_preconditioner(optimizer, next(iter(model.parameters())))


def test_two_processes_in_a_data_parallel_training_measure_the_noise(tmp_path):
    outs = [tmp_path / f"rank{rank}.json" for rank in (0, 1)]
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), "2", str(tmp_path / "rendezvous"), str(out)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    first, second = (json.loads(out.read_text()) for out in outs)
    assert first == second  # every rank knows the same
    expected = noise_scale_from_pairs(first["small"], first["big"], 4, 8)
    assert first["trace"] == pytest.approx(expected.trace, rel=1e-5)
    assert first["square"] == pytest.approx(expected.square, rel=1e-5)


def test_per_example_gradients_are_those_of_single_examples():
    model, (inputs, targets) = make_model(), make_data(12)
    rows = per_example_gradients(model, batch_loss, (inputs, targets)).double()
    for i in range(12):
        expected = flat_gradient(model, (inputs[i : i + 1], targets[i : i + 1]))
        torch.testing.assert_close(rows[i], expected, rtol=1e-4, atol=1e-6)


def test_dict_batches_and_frozen_parameters_are_ordinary_input():
    model, (inputs, targets) = make_model(), make_data(8)
    model[0].weight.requires_grad_(False)
    rows = per_example_gradients(
        model, lambda m, batch: F.cross_entropy(m(batch["x"]), batch["y"]), {"x": inputs, "y": targets}
    )
    assert rows.shape == (8, 8 + 24 + 3)


def test_the_grouped_measurement_agrees_with_all_per_example_gradients():
    model, (inputs, targets) = make_model(), make_data()
    here = measure_noise_here(model, batch_loss, lambda i: (inputs[i], targets[i]), torch.arange(256), batch_size=8)
    everything = noise_scale_from_gradients(per_example_gradients(model, batch_loss, (inputs, targets)).numpy())
    assert here.per_example
    assert here.scale.trace == pytest.approx(everything.trace, rel=0.02)
    assert everything.value in here.scale.estimate


def test_batchnorm_is_measured_by_batches_said_so_and_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    inputs, targets = make_data()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    here = measure_noise_here(model, batch_loss, lambda i: (inputs[i], targets[i]), torch.arange(256), batch_size=16)
    assert not here.per_example
    assert "BatchNorm" in here.note
    assert "16 examples" in here.note
    assert here.scale.observations == 16
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    model.eval()  # in eval mode the examples are independent again
    assert measure_noise_here(
        model, batch_loss, lambda i: (inputs[i], targets[i]), torch.arange(64), batch_size=16
    ).per_example


def test_what_vmap_cannot_do_falls_back_with_a_sentence():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, inputs):
            return self.layer(inputs) * (2.0 if float(inputs.sum().detach()) > 0 else 1.0)

    torch.manual_seed(0)
    model, (inputs, targets) = Branches(), make_data()
    here = measure_noise_here(model, batch_loss, lambda i: (inputs[i], targets[i]), torch.arange(256), batch_size=16)
    assert not here.per_example
    assert "torch.func cannot" in here.note


def test_the_three_estimators_agree_on_digits():
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")
    data = datasets.load_digits()
    inputs = torch.tensor(data.images / 16, dtype=torch.float32).flatten(1)
    targets = torch.tensor(data.target)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(0)
    for _ in range(20):  # a little way into training
        chosen = torch.from_numpy(rng.integers(0, len(targets), 64))
        optimizer.zero_grad()
        batch_loss(model, (inputs[chosen], targets[chosen])).backward()
        optimizer.step()

    every = torch.arange(len(targets))
    per_example = measure_noise_here(model, batch_loss, lambda i: (inputs[i], targets[i]), every, batch_size=64).scale
    rows = []
    microbatches = AccumulationNoise(model, batch_size=16, decay=1.0)
    for _ in range(40):  # weights stand still
        model.zero_grad()
        order = torch.from_numpy(rng.permutation(len(targets))[:128]).view(8, 16)
        for part in order:
            (batch_loss(model, (inputs[part], targets[part])) / 8).backward()
        microbatches.update()
    microbatches.close()
    for part in torch.from_numpy(rng.permutation(len(targets))[: 112 * 16]).view(112, 16):
        rows.append(flat_gradient(model, (inputs[part], targets[part])).numpy())
    estimates = [
        per_example.estimate,
        microbatches.result().estimate,
        noise_scale_from_gradients(np.stack(rows), 16).estimate,
    ]
    assert max(e.low for e in estimates) <= min(e.high for e in estimates), estimates
    assert all(e.high / e.low < 2.5 for e in estimates), estimates  # and they do say something
