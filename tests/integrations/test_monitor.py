import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lrscope.curves.readers import read_curves
from lrscope.errors import InvalidInput
from lrscope.integrations.torch import Diverged, Monitor
from lrscope.integrations.torch.monitor import optimizer_name
from lrscope.integrations.torch.stability import measure_sharpness, stability_limit
from lrscope.integrations.torch.step_length import step_length


def train(
    lr: float, steps: int = 300, *, again: bool = True, momentum: float = 0.0, clip: float = 1e30, **options: object
) -> Monitor:
    """A small regression: y = tanh(x·w) with a two-layer net."""
    torch.manual_seed(0)
    x = torch.randn(256, 6)
    y = torch.tanh(x @ torch.randn(6, 1))
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    monitor = Monitor(optimizer, every=10, **options)  # type: ignore[arg-type]
    for _ in range(steps):
        rows = torch.randint(256, (32,))
        inputs, targets = x[rows], y[rows]

        def loss_of(a: torch.Tensor = inputs, b: torch.Tensor = targets) -> torch.Tensor:
            return F.mse_loss(model(a), b)

        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        monitor.step(loss, again=loss_of if again else None)
    return monitor


def test_the_step_length_grows_with_the_rate_and_the_cosine_falls() -> None:
    slow, right = train(1e-4).curve(), train(0.1).curve()
    assert slow.alpha is not None
    assert right.alpha is not None
    assert np.nanmedian(slow.alpha) < -0.99
    assert np.nanmedian(right.alpha) > np.nanmedian(slow.alpha) + 0.05
    assert slow.gradient_cosine is not None
    assert right.gradient_cosine is not None
    assert np.nanmedian(slow.gradient_cosine) > 0.995 > np.nanmedian(right.gradient_cosine)


def test_monitoring_does_not_change_the_training() -> None:
    with_monitor = train(0.1, 60).curve().loss
    without = train(0.1, 60, again=False).curve().loss
    np.testing.assert_array_equal(with_monitor, without)


def test_the_record_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    monitor = train(0.1, 200, path=path, batch_size=32, total_steps=200)
    monitor.close()
    (curve,) = read_curves(path)
    kept = monitor.curve()
    np.testing.assert_allclose(curve.loss, kept.loss)
    assert curve.alpha is not None
    assert kept.alpha is not None
    np.testing.assert_allclose(curve.alpha, kept.alpha)
    assert (curve.batch_size, curve.total_steps, curve.optimizer) == (32, 200, "sgd")


def test_a_low_rate_is_called_low_live() -> None:
    monitor = train(1e-4)
    assert monitor.regime == "low"
    assert monitor.diagnosis().variant == "monitor"
    assert monitor.diagnosis().lr_factor.value > 3


def test_divergence_warns_once() -> None:
    with pytest.warns(RuntimeWarning, match="diverged at a learning rate of 30") as caught:
        train(30.0, 60)
    assert len(caught) == 1


def test_divergence_stops() -> None:
    with pytest.raises(Diverged, match="diverged at a learning rate of 30"):
        train(30.0, 60, on_divergence="stop")


def test_the_verdict_is_told_live() -> None:
    monitor = train(1e-4)
    assert any("the learning rate looks low" in event for event in monitor.events)


def test_gradients_that_were_clipped_do_not_mislead_the_step_length() -> None:
    free, clipped = train(0.1).curve(), train(0.1, clip=0.05).curve()
    assert free.alpha is not None
    assert clipped.alpha is not None
    assert clipped.grad_norm is not None
    assert np.nanmax(clipped.grad_norm) < 0.051
    short = np.nanmedian(clipped.alpha)
    assert -1.0 < short < np.nanmedian(free.alpha)


def test_rewind_puts_back_buffers_and_momentum_exactly() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    monitor = Monitor(optimizer, every=5, on_divergence="rewind", model=model)
    kept: dict[int, list[torch.Tensor]] = {}
    for step in range(12):
        loss = model(torch.randn(16, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        monitor.step(loss if step < 11 else float("nan"))
        everything = [*model.state_dict().values(), *(s["momentum_buffer"] for s in optimizer.state.values())]
        if step < 11:
            kept[step + 1] = [value.clone() for value in everything]
    assert monitor.rewinds == 1
    assert len(monitor.curve()) == 5
    assert all(torch.equal(now, then) for now, then in zip(everything, kept[5], strict=True))


def test_rewinding_gives_up_when_it_does_not_help() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    monitor = Monitor(optimizer, on_divergence="rewind")

    def train_on() -> None:
        for _ in range(10):
            loss = (weight * float("nan")).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            monitor.step(loss)

    with pytest.raises(Diverged, match="diverged"):
        train_on()
    assert monitor.rewinds == 5


def test_rewind_goes_back_and_lowers_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    monitor = train(30.0, 300, on_divergence="rewind", path=path)
    monitor.close()
    curve = monitor.curve()
    assert monitor.rewinds >= 1
    assert np.isfinite(curve.loss).all()
    assert np.mean(curve.loss[-20:]) < np.mean(curve.loss[:3])
    assert curve.lr is not None
    assert curve.lr[-1] == pytest.approx(30.0 * 0.3**monitor.rewinds)
    events = [json.loads(line)["event"] for line in path.read_text().splitlines() if "event" in line]
    assert events == monitor.events
    assert sum("Went back" in event for event in events) == monitor.rewinds


def test_scalars_go_to_tensorboard() -> None:
    class Writer:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            self.seen.append(tag)

    writer = Writer()
    train(0.1, 40, tensorboard=writer)
    assert {"lrscope/loss", "lrscope/lr", "lrscope/alpha", "lrscope/gradient_cosine", "lrscope/update_ratio"} <= {
        *writer.seen
    }


def test_the_cost_is_told() -> None:
    cost = train(0.1, 40).cost()
    assert cost.seconds_per_step > 0
    assert 0 < cost.share < 1


def test_sharpness_of_a_parabola_against_the_limits() -> None:
    weights = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    curvature = torch.tensor([3.0, 8.0])
    for optimizer, limit in [
        (torch.optim.SGD([weights], lr=0.1), 20.0),
        (torch.optim.SGD([weights], lr=0.1, momentum=0.9), 38.0),
        (torch.optim.SGD([weights], lr=0.1, momentum=0.9, nesterov=True), 3.8 / 0.28),
    ]:
        found = measure_sharpness(optimizer, lambda: 0.5 * (curvature * weights**2).sum(), iterations=40)
        assert found.value == pytest.approx(8.0, rel=1e-3)
        assert found.limit == pytest.approx(limit)
    adam = torch.optim.Adam([weights], lr=0.1)
    assert stability_limit(adam) == pytest.approx(380.0)
    weights.grad = torch.tensor([2.0, 2.0])
    adam.step()
    found = measure_sharpness(adam, lambda: 0.5 * (curvature * weights**2).sum(), iterations=40)
    assert found.value == pytest.approx(4.0, rel=1e-3)


def test_step_length_on_a_parabola() -> None:
    for factor in (0.1, 0.5, 1.0, 1.5):  # a gradient step of factor / curvature from 1 on x²/2
        after = 1.0 - factor
        alpha = step_length(0.5, 0.5 * after**2, -factor, -factor * after)
        assert alpha == pytest.approx(factor - 1.0)


def test_names_and_bad_options() -> None:
    weights = [torch.nn.Parameter(torch.ones(1))]
    assert optimizer_name(torch.optim.SGD(weights, momentum=0.9)) == "momentum0.9"
    assert optimizer_name(torch.optim.AdamW(weights)) == "adamw"
    with pytest.raises(InvalidInput, match="every"):
        Monitor(torch.optim.SGD(weights), every=0)
    with pytest.raises(InvalidInput, match="on_divergence"):
        Monitor(torch.optim.SGD(weights), on_divergence="panic")  # type: ignore[arg-type]
    assert math.isinf(stability_limit(torch.optim.SGD(weights, lr=0.0)))


def classify(
    optimizer: torch.optim.Optimizer, model: torch.nn.Module, steps: int, *, every: int = 10, closure: bool = False
) -> Monitor:
    """Train on random vectors of three classes; the monitor's record."""
    torch.manual_seed(1)
    inputs, targets = torch.randn(128, 6), torch.randint(3, (128,))
    monitor = Monitor(optimizer, every=every, model=model)
    for step in range(steps):
        rows = torch.arange(16) + 16 * (step % 8)

        def again(rows: torch.Tensor = rows) -> torch.Tensor:
            return F.cross_entropy(model(inputs[rows]), targets[rows])

        def compute() -> torch.Tensor:
            optimizer.zero_grad()
            loss = again()
            loss.backward()
            return loss

        if closure:
            loss = optimizer.step(compute)  # type: ignore[arg-type]
        else:
            loss = compute()
            optimizer.step()
        assert loss is not None
        monitor.step(loss, again=again)
    return monitor


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def test_a_closure_is_measured_as_the_plain_loop() -> None:
    curves = []
    for closure in (False, True):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        curves.append(classify(optimizer, model, 30, closure=closure).curve())
    for name in ("alpha", "gradient_cosine", "grad_norm", "update_ratio"):
        np.testing.assert_array_equal(getattr(curves[0], name), getattr(curves[1], name))


@pytest.mark.parametrize("fused", [False, True])
def test_a_grad_scaler_does_not_scale_the_record(fused: bool) -> None:
    norms = []
    for enabled in (False, True):
        model = network()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)
        scaler = torch.amp.GradScaler("cpu", enabled=enabled)
        monitor = Monitor(optimizer, every=10)
        inputs, targets = torch.randn(16, 6), torch.randint(3, (16,))
        for _ in range(20):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            monitor.step(loss)
        norms.append(monitor.curve().grad_norm)
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-3)


def test_sparse_gradients_are_measured_as_dense_ones() -> None:
    norms = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table, head = torch.nn.Embedding(20, 4, sparse=sparse), torch.nn.Linear(4, 3)
        optimizer = torch.optim.SGD([*table.parameters(), *head.parameters()], lr=0.1)
        monitor = Monitor(optimizer, every=5, on_divergence="rewind")
        words, targets = torch.randint(20, (16, 3)), torch.randint(3, (16,))
        for _ in range(20):
            loss = F.cross_entropy(head(table(words).mean(1)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            monitor.step(loss, again=lambda: F.cross_entropy(head(table(words).mean(1)), targets))  # noqa: B023
        curve = monitor.curve()
        norms.append((curve.grad_norm, curve.alpha))
    np.testing.assert_allclose(norms[0][0], norms[1][0], rtol=1e-5)
    np.testing.assert_allclose(norms[0][1], norms[1][1], rtol=1e-3)


@pytest.mark.parametrize("change", ["unfrozen", "added"])
def test_weights_may_join_within_a_run(change: str) -> None:
    model = network()
    model[0].weight.requires_grad_(change != "unfrozen")
    first = model.parameters() if change == "unfrozen" else model[2].parameters()
    optimizer = torch.optim.SGD(first, lr=0.1, momentum=0.9)
    monitor = Monitor(optimizer, every=5, on_divergence="rewind", model=model)
    inputs, targets = torch.randn(16, 6), torch.randint(3, (16,))
    for step in range(40):
        if step == 20 and change == "unfrozen":
            model[0].weight.requires_grad_(True)
        elif step == 20:
            optimizer.add_param_group({"params": list(model[0].parameters()), "lr": 0.01})
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        monitor.step(loss if step != 22 else math.nan)
    assert monitor.rewinds == 1
    assert np.isfinite(monitor.curve().loss).all()


def test_running_means_are_not_moved_by_measuring() -> None:
    ends = []
    for measured in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        classify(optimizer, model, 30, every=5 if measured else 1000)
        ends.append({name: value.clone() for name, value in model.named_buffers()})
    # the few early steps are measured either way: with every=1000 these must agree with many measurements
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert int(ends[1]["1.num_batches_tracked"]) == 30


def test_the_rate_of_the_scheduler_is_given_back_exactly_even_after_an_update_failed() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1234567)
    monitor = Monitor(optimizer, every=5, on_divergence="rewind", model=model)
    fails = {30, 31}
    optimizer.register_step_pre_hook(lambda *_: 1 // 0 if now in fails else None)
    inputs, targets = torch.randn(16, 6), torch.randint(3, (16,))
    for now in range(200):
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        try:
            optimizer.step()
        except ZeroDivisionError:
            continue
        monitor.step(loss if now not in (10, 100) else math.nan)
        assert optimizer.param_groups[0]["lr"] == 0.1234567
    assert monitor.rewinds == 2
    assert monitor.curve().lr[-1] == pytest.approx(0.09 * 0.1234567)


def test_a_step_counts_where_its_second_look_fails() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor, failed = Monitor(optimizer, every=10), 0
    for _ in range(30):
        loss = F.cross_entropy(model(torch.randn(16, 6)), torch.randint(3, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        try:
            monitor.step(loss, again=lambda: 1 // 0)  # type: ignore[arg-type, return-value]
        except ZeroDivisionError:
            failed += 1
    assert len(monitor.curve()) == 30
    assert failed < 8
    with pytest.raises(InvalidInput, match="one number, the mean of a batch"):
        monitor.step(torch.ones(3))
