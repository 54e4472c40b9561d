"""A task set up: its weights and order by seed, its losses in full passes and eval mode."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.errors import InvalidTask
from lrscope.study.bench import REMEMBERED_ORDERS, BatchOrder, Bench, choose_device, one_thread

Benches = Callable[[str], Bench]
CPU = torch.device("cpu")


def test_a_seed_fixes_the_weights_and_nothing_else_does(bench: Benches) -> None:
    made = bench("regression")
    torch.manual_seed(3)
    first = made.make_model(0).weight
    torch.manual_seed(4)
    assert torch.equal(made.make_model(0).weight, first)
    assert not torch.equal(made.make_model(1).weight, first)


def test_every_batch_size_walks_the_same_order_and_drops_the_short_batch() -> None:
    small, large = BatchOrder(100, 8, 0, CPU), BatchOrder(100, 24, 0, CPU)
    assert torch.equal(torch.cat([small[k] for k in range(3)]), large[0])
    epoch = torch.cat([small[k] for k in range(12)])
    assert len(set(epoch.tolist())) == 96
    following = torch.cat([small[k] for k in range(12, 24)])
    assert not torch.equal(epoch, following)
    assert torch.equal(following[:24], large[4])
    assert all(len(small[k]) == 8 for k in range(30))
    assert not torch.equal(small[0], BatchOrder(100, 8, 1, CPU)[0])
    assert torch.equal(small[5], small[5])


def test_an_epochs_order_is_made_once_for_all_trials_of_a_seed() -> None:
    one, other = BatchOrder(1000, 8, 0, CPU), BatchOrder(1000, 50, 0, CPU)
    assert one[125].data_ptr() == other[20].data_ptr()
    assert one[125].data_ptr() != BatchOrder(1000, 8, 2, CPU)[125].data_ptr()
    too_many = REMEMBERED_ORDERS + 1
    one, other = BatchOrder(too_many, 8, 0, CPU), BatchOrder(too_many, 8, 0, CPU)
    assert one[0].data_ptr() != other[0].data_ptr()
    assert torch.equal(one[0], other[0])


def test_a_batch_of_all_data_is_a_permutation() -> None:
    order = BatchOrder(10, 10, 0, CPU)
    assert sorted(order[0].tolist()) == sorted(order[1].tolist()) == list(range(10))


def test_a_loss_is_the_mean_over_all_examples_whatever_the_passes(tiny: ModuleType) -> None:
    inputs, targets = torch.randn(1200, 4), torch.randn(1200, 1)
    made = Bench(tiny.regression(train=(inputs, targets)))
    model = made.make_model(0)
    with torch.no_grad():
        expected = float(F.mse_loss(model(inputs), targets))
    assert made.evaluate(model, made.train)[0] == pytest.approx(expected, rel=1e-6)
    part = made.evaluate(model, made.train, limit=300)[0]
    assert part == made.evaluate(model, made.train, limit=300)[0]
    assert part != pytest.approx(expected, rel=1e-6)
    assert made.evaluate(model, made.train, limit=5000)[0] == pytest.approx(expected, rel=1e-6)


def test_a_metric_is_averaged_beside_the_loss(bench: Benches) -> None:
    made = bench("batch_norm")
    model = made.make_model(0)
    loss, metrics = made.evaluate(model, made.train, metrics=True)
    assert set(metrics) == {"accuracy"}
    assert loss == made.evaluate(model, made.train)[0]
    inputs, targets = made.train.tensors  # type: ignore[attr-defined]
    model.eval()
    assert metrics["accuracy"] == pytest.approx(float((model(inputs).argmax(1) == targets).float().mean()))


def test_evaluation_leaves_the_training_mode_and_the_random_numbers_as_they_were(bench: Benches) -> None:
    made = bench("batch_norm")
    model = made.make_model(0)
    for mode in (True, False):
        model.train(mode)
        state = torch.get_rng_state()
        made.evaluate(model, made.train)
        assert model.training is mode
        assert torch.equal(torch.get_rng_state(), state)


def test_a_loader_that_shuffles_is_read_in_one_order(bench: Benches) -> None:
    torch.manual_seed(1)
    first = bench("loader").train.batch(torch.arange(96))
    torch.manual_seed(2)
    again = bench("loader").train.batch(torch.arange(96))
    assert all(map(torch.equal, first, again))


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_named_optimizers_are_pytorchs(tiny: ModuleType, name: str, kind: type) -> None:
    made = Bench(tiny.regression(optimizer=name))
    optimizer = made.make_optimizer(made.make_model(0), 0.3)
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.3
    assert optimizer.defaults.get("momentum", 0.9) == 0.9


def test_what_is_not_finite_before_training_is_said_with_its_example(tiny: ModuleType) -> None:
    class Broken(tiny.Pairs):  # type: ignore[misc, name-defined]
        def __getitem__(self, index: int) -> Any:
            inputs, targets = super().__getitem__(index)
            return (inputs * float("nan") if index == 41 else inputs), targets

    made = Bench(tiny.regression(train=Broken()))
    with pytest.raises(InvalidTask, match=r"over its training data must be finite .* Got nan, first for example 41"):
        made.initial_losses(0, None)


def test_a_lazy_model_is_made_whole_by_its_seed(tiny: ModuleType) -> None:
    made = Bench(tiny.regression(model=lambda: nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.LazyLinear(1))))
    first, again, other = (made.make_model(seed) for seed in (0, 0, 1))
    assert first[0].weight.shape == (5, 4)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert torch.equal(first[1].running_mean, torch.zeros(5))


def test_a_model_must_be_a_module_with_parameters(tiny: ModuleType) -> None:
    with pytest.raises(InvalidTask, match=r"'model' of task 'regression' must return an nn.Module. Got int"):
        Bench(tiny.regression(model=lambda: 3)).make_model(0)
    made = Bench(tiny.regression(model=nn.Flatten))
    with pytest.raises(InvalidTask, match=r"must have parameters to train. Got none"):
        made.make_optimizer(made.make_model(0), 0.1)
    made = Bench(tiny.regression(optimizer=lambda parameters, lr: lr))
    with pytest.raises(InvalidTask, match=r"must return a torch.optim.Optimizer. Got float"):
        made.make_optimizer(made.make_model(0), 0.1)


def test_a_device_is_chosen_or_refused() -> None:
    assert choose_device("cpu") == CPU
    assert isinstance(choose_device("auto"), torch.device)
    with pytest.raises(InvalidTask, match=r"must be 'auto' or a device that PyTorch has here. Got 'gpu9'"):
        choose_device("gpu9")


def test_one_thread_is_for_the_time_being() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
