"""What every engine must do, whatever makes it fast: the same training as a plain loop, recorded in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import BatchOrder, Bench
from lrscope.study.engines.base import Engine, make_engine
from lrscope.study.trial import Trial, TrialResult

Benches = Callable[[str], Bench]
Trials = Callable[..., Trial]

ENGINES = ("loop", "vmap")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every engine there is."""
    return make_engine(request.param)


def plainly(bench: Bench, trial: Trial) -> tuple[nn.Module, list[float]]:
    """The readable twin: a training loop as anybody would write it. The trained model and the loss of each batch."""
    model = bench.make_model(trial.seed)
    optimizer = bench.make_optimizer(model, trial.peak_lr)
    peaks = [group["lr"] for group in optimizer.param_groups]
    schedule = parse_schedule(trial.schedule, total_steps=trial.total_steps)
    order = BatchOrder(bench.train_examples, trial.batch_size, trial.seed, bench.device)
    losses = []
    with bench.training_rng(trial.seed):
        for step in range(trial.stop_at):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * schedule(step)
            model.train()
            optimizer.zero_grad()
            loss = bench.batch_loss(model, bench.train.batch(order[step]))
            loss.backward()
            if bench.task.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), bench.task.clip_norm)
            optimizer.step()
            losses.append(loss.item())
    return model, losses


def same(one: TrialResult, other: TrialResult) -> bool:
    """Whether two results are the same in all but the time they took."""
    arrays = ("loss", "lr", "probe_step", "grad_norm", "update_ratio", "eval_step", "eval_loss")
    numbers = ("trial", "status", "diverged_at", "initial_train_loss", "train_loss", "val_loss", "metrics", "examples")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in numbers
    )


@pytest.mark.parametrize("name", ["regression", "batch_norm", "dataset", "dicts", "loader", "without_validation"])
def test_it_trains_as_a_plain_loop_does(engine: Engine, bench: Benches, trial: Trials, name: str) -> None:
    made = bench(name)
    asked = trial(batch_size=16, total_steps=20, stop_at=20)
    (result,) = engine.train(made, [asked])
    model, losses = plainly(made, asked)
    assert result.loss == pytest.approx(losses, rel=1e-4)
    train_loss, _ = made.evaluate(model, made.train)
    assert result.train_loss == pytest.approx(train_loss, rel=1e-4)
    if made.validation is not None:
        val_loss, metrics = made.evaluate(model, made.validation, metrics=True)
        assert result.val_loss == pytest.approx(val_loss, rel=1e-4)
        assert result.metrics == pytest.approx(metrics, rel=1e-4)


def test_a_parameter_that_the_optimizer_leaves_alone_gathers_no_gradient(
    engine: Engine, tiny: ModuleType, trial: Trials
) -> None:
    made = Bench(tiny.regression(optimizer=lambda parameters, lr: torch.optim.SGD(parameters[:1], lr), clip_norm=1e9))
    (result,) = engine.train(made, [trial(schedule="constant", peak_lr=1e-9)])
    model = made.make_model(0)
    order = BatchOrder(made.train_examples, 8, 0, made.device)
    made.batch_loss(model, made.train.batch(order[47])).backward()
    gradient = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert result.grad_norm[-1] == pytest.approx(gradient, rel=1e-4)


def test_the_record_has_every_step_regular_probes_and_evaluations(
    engine: Engine, bench: Benches, trial: Trials
) -> None:
    made, asked = bench("regression"), trial(total_steps=48, stop_at=48)
    (result,) = engine.train(made, [asked])
    assert result.trial == asked
    assert result.status == "finished"
    assert result.engine == engine.name
    assert result.loss.shape == result.lr.shape == (48,)
    schedule = parse_schedule(asked.schedule, total_steps=48)
    assert np.array_equal(result.lr, asked.peak_lr * schedule(np.arange(48)))
    assert result.probe_step.shape == result.grad_norm.shape == result.update_ratio.shape
    assert len(result.probe_step) >= 10
    assert (result.probe_step[0], result.probe_step[-1]) == (0, 47)
    assert result.eval_step[-1] == 48
    assert result.eval_loss[-1] == result.val_loss
    assert result.examples == 48 * 8
    assert result.seconds > 0
    assert (result.grad_norm > 0).all()
    assert (result.update_ratio[:-1] > 0).all()
    assert result.update_ratio[-1] == 0  # the cosine's last update is made at rate zero


def test_probes_measure_the_gradient_and_the_move_of_the_weights(engine: Engine, bench: Benches, trial: Trials) -> None:
    made, asked = bench("regression"), trial(schedule="constant")
    (result,) = engine.train(made, [asked])
    model = made.make_model(asked.seed)
    order = BatchOrder(made.train_examples, asked.batch_size, asked.seed, made.device)
    made.batch_loss(model, made.train.batch(order[0])).backward()
    gradient = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    size = math.sqrt(sum(float(p.detach().square().sum()) for p in model.parameters()))
    assert result.grad_norm[0] == pytest.approx(gradient, rel=1e-4)
    assert result.update_ratio[0] == pytest.approx(asked.peak_lr * gradient / size, rel=1e-4)


def test_the_same_trial_gives_the_same_bits_whatever_it_is_trained_beside(
    engine: Engine, bench: Benches, trial: Trials
) -> None:
    trials = [trial(peak_lr=lr, batch_size=16, total_steps=20, stop_at=20) for lr in (0.001, 0.01, 0.1)]
    together = engine.train(bench("batch_norm"), trials)
    torch.manual_seed(99)
    torch.rand(7)
    (alone,) = engine.train(bench("batch_norm"), trials[1:2])
    assert [result.trial for result in together] == trials
    assert same(alone, together[1])
    assert not same(alone, together[0])


def test_common_random_numbers_trials_differ_by_their_rate_alone(engine: Engine, bench: Benches, trial: Trials) -> None:
    made = bench("regression")
    slow, fast = engine.train(made, [trial(peak_lr=0.001), trial(peak_lr=0.1)])
    other_size, other_seed = engine.train(made, [trial(batch_size=32), trial(seed=1)])
    assert slow.loss[0] == fast.loss[0]
    assert slow.loss[-1] != fast.loss[-1]
    assert slow.initial_train_loss == fast.initial_train_loss == other_size.initial_train_loss
    assert slow.initial_val_loss == other_size.initial_val_loss
    assert other_seed.initial_train_loss != slow.initial_train_loss


def test_the_callers_random_numbers_are_left_alone(engine: Engine, bench: Benches, trial: Trials) -> None:
    made = bench("batch_norm")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    engine.train(made, [trial(batch_size=16, total_steps=6, stop_at=6)])
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("lr", "name"), [(1e4, "regression"), (1e4, "without_validation"), (0.01, "nan_later")])
def test_a_diverged_trial_stops_early_and_says_where(
    engine: Engine, bench: Benches, trial: Trials, lr: float, name: str
) -> None:
    made = bench(name)
    (result,) = engine.train(made, [trial(peak_lr=lr, total_steps=400, stop_at=400)])
    assert result.status == "diverged"
    assert result.diverged_at is not None
    assert len(result.loss) == len(result.lr) == result.diverged_at + 1 < 400
    assert result.train_loss == math.inf
    assert result.val_loss == (None if made.validation is None else math.inf)
    assert result.final_loss("train_loss") == math.inf
    assert math.isfinite(result.initial_train_loss)
    assert result.examples == 8 * len(result.loss)
    assert (result.probe_step < len(result.loss)).all()
    if name == "nan_later":
        assert result.diverged_at == 1


def test_a_run_that_is_cut_short_follows_the_long_runs_schedule(engine: Engine, bench: Benches, trial: Trials) -> None:
    long, short = engine.train(bench("regression"), [trial(), trial(stop_at=10)])
    assert len(short.loss) == 10
    assert not short.is_full_run
    assert np.array_equal(short.lr, long.lr[:10])
    assert short.loss == pytest.approx(long.loss[:10], rel=1e-5)


def test_dropout_and_batch_norm_are_switched_off_in_evaluation(engine: Engine, bench: Benches, trial: Trials) -> None:
    made = bench("batch_norm")
    asked = trial(batch_size=16, total_steps=20, stop_at=20)
    (result,) = engine.train(made, [asked])
    model, _ = plainly(made, asked)
    statistics = model[1].running_mean.clone()
    inputs, targets = made.validation.tensors  # type: ignore[union-attr]
    model.eval()
    with torch.no_grad():
        expected = float(made.task.loss(model(inputs), targets))  # type: ignore[misc]
    assert result.val_loss == pytest.approx(expected, rel=1e-4)
    made.evaluate(model.train(), made.validation)  # type: ignore[arg-type]
    assert torch.equal(model[1].running_mean, statistics)
    assert model.training


def test_jobs_deal_out_every_trial_once(engine: Engine, trial: Trials) -> None:
    trials = [trial(batch_size=size, peak_lr=lr, seed=seed) for size in (8, 32) for lr in (0.1, 1.0) for seed in (0, 1)]
    jobs = engine.jobs(trials, workers=2)
    assert sorted(one for job in jobs for one in job) == sorted(trials)
    assert engine.jobs([], workers=2) == []


def test_an_update_count_of_one_is_enough(engine: Engine, bench: Benches, trial: Trials) -> None:
    (result,) = engine.train(bench("regression"), [trial(total_steps=1, stop_at=1, schedule="constant")])
    assert result.status == "finished"
    assert result.loss.shape == (1,)
    assert result.examples == 8
