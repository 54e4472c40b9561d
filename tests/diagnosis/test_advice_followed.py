"""Every advice is followed in a real training, and the training comes out better for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from lrscope.curves.curve import Curve
from lrscope.diagnosis.compare import compare
from lrscope.diagnosis.diagnose import Diagnosis, diagnose

STEPS, BATCH = 400, 32
Share = Callable[[float], float]
"""The share of the peak rate at a share of the run."""


@dataclass(frozen=True)
class Data:
    """Digits: training and validation."""

    x: torch.Tensor
    y: torch.Tensor
    val_x: torch.Tensor
    val_y: torch.Tensor


@pytest.fixture(scope="module")
def digits() -> Data:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    inputs, targets = torch.tensor(x[order] / 16.0, dtype=torch.float32), torch.tensor(y[order])
    return Data(inputs[:1400], targets[:1400], inputs[1400:], targets[1400:])


def constant(_: float) -> float:
    return 1.0


def train(
    data: Data, lr: float, *, steps: int = STEPS, share: Share = constant, clip: float | None = None,
    decay: float = 0.0, momentum: float = 0.0,
) -> tuple[Curve, float]:  # fmt: skip
    """A small network on the digits by SGD; returns its log and its final training loss."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=decay)
    loss, rate, norm, val_step, val_loss = [], [], [], [], []
    for step in range(steps):
        rows = torch.randint(len(data.x), (BATCH,))
        value = F.cross_entropy(model(data.x[rows]), data.y[rows])
        optimizer.param_groups[0]["lr"] = lr * share((step + 1) / steps)
        optimizer.zero_grad()
        value.backward()
        norm.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip if clip is not None else 1e30)))
        loss.append(float(value.detach()))
        rate.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % (steps // 20) == steps // 20 - 1:
            with torch.no_grad():
                val_step.append(step)
                val_loss.append(float(F.cross_entropy(model(data.val_x), data.val_y)))
    curve = Curve(
        name=f"lr={lr}", step=np.arange(steps), loss=np.array(loss), lr=np.array(rate), grad_norm=np.array(norm),
        val_step=np.array(val_step), val_loss=np.array(val_loss), total_steps=steps, batch_size=BATCH,
        optimizer=f"momentum{momentum:g}" if momentum else "sgd",
    )  # fmt: skip
    with torch.no_grad():
        final = float(F.cross_entropy(model(data.x), data.y))
    return curve, final if np.isfinite(final) else float("inf")


def found(verdict: Diagnosis) -> set[str]:
    return {finding.what for finding in verdict.findings}


@pytest.mark.parametrize("rate", [3e-4, 3e-3])
def test_low_raise_the_rate(rate: float, digits: Data) -> None:
    curve, before = train(digits, rate)
    verdict = diagnose(curve)
    assert verdict.regime == "low"
    assert "Raise the learning rate" in verdict.advice
    _, after = train(digits, rate * verdict.lr_factor.value)
    assert after < 0.7 * before


def test_high_lower_the_rate(digits: Data) -> None:
    curve, before = train(digits, 0.5, momentum=0.9)
    verdict = diagnose(curve)
    assert verdict.regime == "high"
    assert "Lower the learning rate" in verdict.advice
    _, after = train(digits, 0.5 * verdict.lr_factor.value, momentum=0.9)
    assert after < 0.5 * before


def test_high_or_decay_it_to_zero_over_the_rest_of_the_run(digits: Data) -> None:
    curve, before = train(digits, 0.5, momentum=0.9)
    assert "decay it to zero over the rest of the run" in diagnose(curve).advice
    _, after = train(digits, 0.5, momentum=0.9, share=lambda p: min(1.0, 2.0 * (1.0 - p) + 1e-3))
    assert after < before


@pytest.mark.parametrize("rate", [30.0, 1000.0])
def test_very_high_lower_the_rate(rate: float, digits: Data) -> None:
    curve, before = train(digits, rate)
    verdict = diagnose(curve)
    assert verdict.regime == "very_high"
    assert "Lower the peak learning rate" in verdict.advice
    lower = rate * verdict.lr_factor.value
    _, after = train(digits, lower, share=lambda p: min(1.0, p / 0.05))
    assert after < before


def test_good_keep_it(digits: Data) -> None:
    curve, kept = train(digits, 0.3)
    verdict = diagnose(curve)
    assert verdict.regime == "good"
    assert "Keep this learning rate" in verdict.advice
    assert kept < min(train(digits, 0.003)[1], train(digits, 3.0)[1])


def test_loss_spikes_clip_the_gradient(digits: Data) -> None:
    x = digits.x.clone()
    x[::200] *= 100.0  # a few examples that were not scaled
    data = Data(x, digits.y, digits.val_x, digits.val_y)
    curve, before = train(data, 0.1)
    verdict = diagnose(curve)
    assert "loss_spikes" in found(verdict)
    assert "clip the gradient norm at about its median" in verdict.advice
    assert curve.grad_norm is not None
    clipped, after = train(data, 0.1, clip=float(np.median(curve.grad_norm)))
    assert after < before
    assert clipped.loss[20:].max() < curve.loss[20:].max()


def test_late_divergence_or_lower_the_peak_rate(digits: Data) -> None:
    rising: Share = lambda p: 0.05 + p**2  # noqa: E731
    curve, before = train(digits, 20.0, share=rising)
    assert "or lower the peak rate by a factor of 3" in diagnose(curve).advice
    _, after = train(digits, 20.0 / 3.0, share=rising)
    assert after < before


def test_late_divergence_decay_before_it_turns(digits: Data) -> None:
    rising: Share = lambda p: 0.05 + p**2  # noqa: E731  # a rate that grows until the weights are thrown about
    curve, before = train(digits, 20.0, share=rising)
    verdict = diagnose(curve)
    assert "late_divergence" in found(verdict)
    assert "decay the rate before the loss turns, or lower the peak rate by a factor of 3" in verdict.advice
    (turn,) = next(item.steps for item in verdict.findings if item.what == "late_divergence")
    _, decayed = train(digits, 20.0, share=lambda p: rising(p) if p < 0.5 * turn / STEPS else 0.02)
    assert decayed < before


def test_overfitting_stop_at_the_lowest_validation_loss(digits: Data) -> None:
    few = Data(digits.x[:60], digits.y[:60], digits.val_x, digits.val_y)
    curve, _ = train(few, 0.3, steps=1500)
    verdict = diagnose(curve)
    assert "overfitting" in found(verdict)
    assert "stop at the lowest validation loss or regularise more" in verdict.advice
    assert curve.val_loss is not None
    regularised, _ = train(few, 0.3, steps=1500, decay=0.003)
    assert curve.val_loss.min() < 0.9 * curve.val_loss[-1]
    assert regularised.val_loss is not None
    assert regularised.val_loss[-1] < curve.val_loss[-1]


def test_a_run_that_diverged_is_not_told_that_it_overfits(digits: Data) -> None:
    verdict = diagnose(train(digits, 2.0)[0])
    assert "late_divergence" in found(verdict)
    assert "overfitting" not in found(verdict)
    assert "does not ask for another rate" not in verdict.advice


def test_decays_too_early_stretch_it(digits: Data) -> None:
    curve, before = train(digits, 0.1, share=lambda p: max(1e-3, 1.0 - p / 0.3))
    verdict = diagnose(curve)
    assert "decays_too_early" in found(verdict)
    assert "Stretch the decay over the whole run" in verdict.advice
    _, after = train(digits, 0.1, share=lambda p: 1.0 - p + 1e-3)
    assert after < before


def test_wasted_warmup_shorten_it(digits: Data) -> None:
    curve, before = train(digits, 0.1, share=lambda p: min(1.0, p / 0.5))
    verdict = diagnose(curve)
    assert "wasted_warmup" in found(verdict)
    assert "Shorten the warm-up" in verdict.advice
    _, after = train(digits, 0.1, share=lambda p: min(1.0, p / 0.05))
    assert after < before


def test_inconclusive_log_more_of_the_run(digits: Data) -> None:
    curve, _ = train(digits, 0.3)
    short = Curve(name="short", step=curve.step[:6], loss=curve.loss[:6], total_steps=STEPS)
    verdict = diagnose(short)
    assert verdict.regime == "inconclusive"
    assert "Log more of the run" in verdict.advice
    assert diagnose(curve).regime != "inconclusive"


def test_inconclusive_compare_with_a_run_at_three_times_the_rate(digits: Data) -> None:
    few = slice(None, None, STEPS // 5)  # a log too thin to be judged by itself
    runs = [train(digits, 0.01 * 3.0**k) for k in range(3)]
    thin = [
        Curve(name=c.name, step=c.step[few], loss=c.loss[few], lr=(c.lr if c.lr is None else c.lr[few]))
        for c, _ in runs
    ]
    alone = diagnose(thin[0])
    assert alone.regime == "inconclusive"
    assert "compare with a run at 3 times the rate" in alone.advice
    together = compare(thin)
    assert together[0].regime == "low"
    finals = [final for _, final in runs]
    chosen = min(range(3), key=lambda k: abs(np.log(together[0].lr_factor.value / 3.0**k)))
    assert finals[chosen] < 0.7 * finals[0]


def test_good_look_on_within_the_interval(digits: Data) -> None:
    curve, kept = train(digits, 0.3)
    verdict = diagnose(curve)
    assert verdict.regime == "good"
    assert "If you search on, look about" in verdict.advice
    assert train(digits, 0.3 * verdict.lr_factor.value)[1] < kept
