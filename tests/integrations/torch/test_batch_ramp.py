"""Batch ramps: the plan on a clock of examples, and the batches that it draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.batch_ramp import BatchRamp, RampSampler
from lrscope.integrations.torch.schedule import ScheduledLR
from lrscope.schedules import CosineDecay, ExponentialDecay, LinearDecay, Schedule, StepDecay, parse_schedule


def ramp_of(schedule: Schedule, total: int = 10_000, **options: object) -> BatchRamp:
    return BatchRamp(schedule=schedule, batch_size=8, total_examples=total, max_batch_size=64, **options)


def test_where_the_plain_rate_halves_the_batch_doubles_and_the_rate_falls_by_the_root() -> None:
    ramp = ramp_of(StepDecay(2000, 0.5))
    for cut in range(4):
        inside = (ramp.starts >= 2000 * cut + 64) & (ramp.starts < 2000 * (cut + 1))
        assert set(ramp.batch_sizes[inside]) == {8 * 2**cut}
        assert ramp.shares[inside] == pytest.approx(0.5**cut * 2 ** (cut / 2))


@settings(max_examples=40, deadline=None)
@given(
    text=st.sampled_from(
        ["linear", "cosine", "warmup(10%) -> cosine", "step(20%, 0.5)", "warmup(5%) -> linear(end=0.1)"]
    ),
    factor=st.sampled_from([1.5, 2.0, 4.0]),
    power=st.sampled_from([0.0, 0.5, 1.0]),
    total=st.integers(64, 20_000),
)
def test_a_plan_covers_the_run_and_never_shrinks(text: str, factor: float, power: float, total: int) -> None:
    schedule = parse_schedule(text, total_steps=total)
    ramp = ramp_of(schedule, total, factor=factor, rate_power=power)
    assert ramp.starts[0] == 0
    assert np.array_equal(ramp.starts[1:], np.cumsum(ramp.batch_sizes)[:-1])
    assert total - 64 < ramp.batch_sizes.sum() <= total
    assert (np.diff(ramp.batch_sizes) >= 0).all()
    assert ramp.batch_sizes.max() <= 64
    assert ramp.shares == pytest.approx(schedule(ramp.starts) * (ramp.batch_sizes / 8) ** power)
    assert ramp.per_update().length == ramp.total_steps


def test_the_noise_of_an_update_is_kept_by_seesaw() -> None:
    ramp = ramp_of(CosineDecay(10_000))
    plain = CosineDecay(10_000)(ramp.starts)
    growing = ramp.batch_sizes < 64
    assert (ramp.shares / np.sqrt(ramp.batch_sizes / 8))[growing] == pytest.approx(plain[growing])
    assert ramp.total_steps < 10_000 // 8


def test_batches_have_the_plans_sizes_pass_over_everything_and_resume() -> None:
    ramp = ramp_of(LinearDecay(1000), 1000)
    batches = list(RampSampler(ramp, 100, seed=3))
    assert [len(batch) for batch in batches] == ramp.batch_sizes.tolist()
    flat = [index for batch in batches for index in batch]
    assert sorted(flat[:100]) == sorted(flat[100:200]) == list(range(100))
    assert flat[:100] != flat[100:200]
    resumed = RampSampler(ramp, 100, seed=3)
    resumed.load_state_dict({"step": 7})
    assert list(resumed) == batches[7:]
    assert len(resumed) == len(batches) - 7
    assert list(RampSampler(ramp, 100, seed=4)) != batches


def test_a_training_follows_rate_and_batch_together() -> None:
    inputs = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    ramp = ramp_of(parse_schedule("warmup(10%) -> cosine", total_steps=4000), 4000)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = ScheduledLR(optimizer, ramp.per_update())
    losses = []
    for step, (x, y) in enumerate(DataLoader(data, batch_sampler=RampSampler(ramp, 100))):
        assert len(x) == ramp.batch_sizes[step]
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * ramp.shares[step])
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    assert len(losses) == ramp.total_steps
    assert losses[-1] < 0.01 * losses[0]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"batch_size": 0}, "The 'batch_size' parameter of BatchRamp must be an int >= 1. Got 0."),
        ({"factor": 1.0}, "The 'factor' parameter of BatchRamp must be a finite number > 1. Got 1.0."),
        ({"max_batch_size": 4}, "The 'max_batch_size' parameter of BatchRamp must be an int >= batch_size. Got 4."),
        ({"batch_size": 2.5}, "The 'batch_size' parameter of BatchRamp must be an int >= 1. Got 2.5."),
        ({"factor": "x"}, "The 'factor' parameter of BatchRamp must be a finite number > 1. Got 'x'."),
        ({"schedule": "linear"}, "The 'schedule' parameter of BatchRamp must be a Schedule. Got 'linear'."),
        ({"rate_power": 2.0}, "The 'rate_power' parameter of BatchRamp must be a number from 0 to 1. Got 2.0."),
    ],
)
def test_wrong_plans_are_refused(wrong: dict[str, object], sentence: str) -> None:
    arguments = {"schedule": LinearDecay(100), "batch_size": 8, "total_examples": 100, "max_batch_size": 64} | wrong
    with pytest.raises(InvalidInput) as caught:
        BatchRamp(**arguments)
    assert str(caught.value) == sentence


def test_a_rate_that_falls_below_the_smallest_numbers_grows_the_batch_to_its_most() -> None:
    ramp = BatchRamp(schedule=ExponentialDecay(0.9), batch_size=8, total_examples=20_000, max_batch_size=16)
    assert ramp.batch_sizes[-1] == 16
    assert np.isfinite(ramp.shares).all()
