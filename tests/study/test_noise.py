"""The noise of a task along a short training: true at the start, free of side effects, the same for a seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.errors import InvalidInput, InvalidTask
from lrscope.study import branches
from lrscope.study.bench import BatchOrder, Bench
from lrscope.study.engines.loop import train_trial
from lrscope.study.noise import measure_noise
from lrscope.study.trial import Trial


@pytest.fixture(scope="module")
def regression(tiny):
    return measure_noise(tiny.regression(), batch_size=8, lr=0.05, steps=40)


def test_the_initial_noise_scale_is_that_of_the_examples_one_by_one(tiny, regression):
    bench = Bench(tiny.regression())
    model = bench.make_model(0)
    rows = []
    for index in range(bench.train_examples):
        model.zero_grad()
        bench.batch_loss(model, bench.train.batch(torch.tensor([index]))).backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]).double().numpy())
    rows = np.stack(rows)
    trace = rows.var(axis=0, ddof=1).sum()
    square = (rows.mean(axis=0) ** 2).sum() - trace / len(rows)
    assert regression.initial.value == pytest.approx(trace / square, rel=0.02)  # pairs within a group are left out
    assert regression.initial.low < trace / square < regression.initial.high


def test_measuring_leaves_the_training_as_it_was(tiny, regression):
    trial = Trial(batch_size=8, peak_lr=0.05, schedule="warmup(5%) -> cosine", seed=0, total_steps=40, stop_at=40)
    plain = train_trial(Bench(tiny.regression()), trial).loss
    places = [point.step for point in regression.trajectory]
    assert places[0] == 0
    assert places[-1] == 40
    for before, point in zip([0, *places], regression.trajectory, strict=False):
        if point.step:
            assert point.loss == pytest.approx(float(np.mean(plain[before : point.step])), rel=1e-6)


def test_a_seed_gives_the_same_answer_and_another_one_another(tiny, regression):
    again = measure_noise(tiny.regression(), batch_size=8, lr=0.05, steps=40)
    assert (again.initial, again.noise_scale, again.trajectory) == (
        regression.initial,
        regression.noise_scale,
        regression.trajectory,
    )
    assert measure_noise(tiny.regression(), batch_size=8, lr=0.05, steps=40, seed=1).initial != regression.initial


def test_the_average_lies_within_the_course_and_the_document_is_complete(regression):
    values = [point.noise_scale.value for point in regression.trajectory]
    assert min(values) < regression.noise_scale.value < max(values)
    document = regression.to_json()
    assert document["schema"] == "lrscope/noise/1"
    assert set(document) >= {"task", "batch_size", "initial", "noise_scale", "trajectory", "critical_batch_size"}
    assert set(document["trajectory"][0]) >= {"step", "noise_scale"}
    assert document["adam"] is None


def test_batchnorm_and_adam_are_measured_and_said(tiny):
    result = measure_noise(tiny.batch_norm(), batch_size=16, steps=10)
    assert any("BatchNorm" in note for note in result.notes)
    assert result.adam is not None
    assert result.lr == pytest.approx(1e-3)
    assert result.lr_from == "the optimizer's default"


def test_a_training_that_diverges_is_measured_up_to_there(tiny):
    result = measure_noise(tiny.regression(), batch_size=8, lr=1e6, steps=40)
    assert any("diverged" in note for note in result.notes)
    assert result.steps < 40
    assert math.isfinite(result.initial.value)


def test_branches_find_the_batch_that_linear_regression_can_bear(tiny):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2048, 4, generator=generator)
    targets = inputs.sum(1, keepdim=True) + torch.randn(2048, 1, generator=generator)
    task = tiny.regression(train=(inputs, targets), optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr))
    result = measure_noise(task, batch_size=4, lr=0.01, steps=64, branches=True)
    found = result.branched
    assert found.multipliers == (1, 2, 4, 8, 16)
    assert found.excess_loss[0].value == 0
    assert found.critical_batch_size.value > 4
    document = result.to_json()["branched"]
    assert [branch["batch_size"] for branch in document["branches"]] == [4, 8, 16, 32, 64]


def test_one_branch_is_the_training_that_goes_on(tiny, monkeypatch):
    """The branch k = 1 against the same updates made by hand."""
    monkeypatch.setattr(branches, "branched_critical_batch", lambda size, multipliers, losses, tolerance: losses)
    bench = Bench(tiny.regression(optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr)))
    losses = branches.measure_branches(bench, 8, 0.02, seed=0, steps=10)
    model = bench.make_model(0)
    optimizer = bench.make_optimizer(model, 0.02)
    for seed in (0, 1):
        order = BatchOrder(bench.train_examples, 8, seed, bench.device)
        for step in range(10):
            optimizer.zero_grad()
            bench.batch_loss(model, bench.train.batch(order[step])).backward()
            optimizer.step()
    by_hand, _ = bench.evaluate(model, bench.train)
    assert losses.shape == (2, branches.ORDERS)
    assert losses[0, 0] == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"lr": -1.0}, "'lr'"), ({"steps": 0}, "'steps'"), ({"examples": -4}, "'examples'"), ({"batch_size": 0}, "batch")],
)
def test_bad_input_is_one_sentence(tiny, options, says):
    with pytest.raises(InvalidInput, match=says):
        measure_noise(tiny.regression(), **options)


def test_a_batch_larger_than_the_data_is_refused(tiny):
    with pytest.raises(InvalidTask, match="larger than the training data"):
        measure_noise(tiny.regression(), batch_size=4096)


def test_too_short_a_training_has_no_branches(tiny):
    with pytest.raises(InvalidInput, match="Branches need"):
        measure_noise(tiny.regression(), batch_size=8, steps=5, branches=True)


def test_the_three_ways_agree_along_a_training_of_digits():
    """Per-example gradients, microbatches and whole batches at the weights of one place."""
    from lrscope.integrations.torch.gradients import AccumulationNoise
    from lrscope.noise.one_place import noise_scale_from_gradients
    from lrscope.study.load import load_file_task, resolve_reference
    from lrscope.tasks import BUNDLED

    reference = resolve_reference("digits", {name: bundled.reference for name, bundled in BUNDLED.items()})
    bench = Bench(load_file_task(reference))
    per_example = measure_noise(reference, lr=0.01, steps=4, examples=1437).initial
    model = bench.make_model(0)
    model.train()
    generator = torch.Generator().manual_seed(1)
    watched = AccumulationNoise(model, batch_size=16, decay=1.0)
    for _ in range(60):
        model.zero_grad()
        for part in torch.randperm(bench.train_examples, generator=generator)[:128].view(8, 16):
            (bench.batch_loss(model, bench.train.batch(part)) / 8).backward()
        watched.update()
    watched.close()
    rows = []
    for part in torch.randperm(bench.train_examples, generator=generator)[:1424].view(89, 16):  # no example twice
        model.zero_grad()
        bench.batch_loss(model, bench.train.batch(part)).backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]).double().numpy())
    estimates = [per_example, watched.result().estimate, noise_scale_from_gradients(np.stack(rows), 16).estimate]
    assert max(e.low for e in estimates) <= min(e.high for e in estimates), estimates


def test_the_page_holds_the_pictures(tiny, regression, tmp_path):
    from lrscope.report.noise import write_noise_report

    text = write_noise_report(regression, tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count('class="chart"') == 2
    assert "Critical batch size" in text


def test_dict_batches_are_ordinary(tiny):
    inputs, targets = torch.randn(64, 4), torch.randn(64, 1)
    data = [{"x": inputs[i : i + 16], "y": targets[i : i + 16]} for i in range(0, 64, 16)]
    task = tiny.regression(
        train=data,
        validation=None,
        loss=None,
        batch_loss=lambda model, batch: F.mse_loss(model(batch["x"]), batch["y"]),
    )
    assert measure_noise(task, batch_size=8, lr=0.01, steps=4).initial.value > 0


def test_a_model_with_its_own_branches_falls_back(tiny):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, inputs):
            return self.layer(inputs) * (2.0 if float(inputs.detach().sum()) > 0 else 1.0)

    result = measure_noise(tiny.regression(model=Branching), batch_size=8, lr=0.01, steps=4)
    assert any("torch.func cannot" in note for note in result.notes)
