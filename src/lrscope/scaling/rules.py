"""Rules for the learning rate at another batch size, each with the condition it holds under, and the one to take.

Batch size is always the number of examples behind one update: devices × accumulation steps × examples per device. As
the gradient is a mean over them, how they are spread over devices and microbatches does not change the learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lrscope.errors import InvalidInput
from lrscope.estimate import HALF_WIDTH, Estimate
from lrscope.numbers import format_number
from lrscope.scaling.batch_law import BatchLaw, predict_optimal_lr

Optimizer = Literal["sgd", "adam", "adamw"]
RuleName = Literal["keep", "linear", "square-root", "noise-scale", "surge", "fitted laws"]

EXPONENT_SD = 0.35
"""How much the exponent p of η* ∝ B^p varies from grid to grid: on 14 language-model grids and 8 of small networks it
is between 0 and 1 over factors of 4 to 8, which is ± 0.35 around a rule."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One update's batch as it is spread over hardware; `size` is what counts for the learning rate.

    >>> Batch(per_device=8, devices=4, accumulation_steps=2).size
    64
    """

    per_device: int
    devices: int = 1
    accumulation_steps: int = 1

    def __post_init__(self) -> None:
        for name in ("per_device", "devices", "accumulation_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InvalidInput(f"The '{name}' parameter of Batch must be an int >= 1. Got {value!r}.")

    @property
    def size(self) -> int:
        """Examples per update: per_device × devices × accumulation_steps."""
        return self.per_device * self.devices * self.accumulation_steps


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one rule says: the learning rate (None where it needs a noise scale that is unknown), and when it holds."""

    name: RuleName
    lr: float | None
    condition: str


@dataclass(frozen=True, kw_only=True)
class ScaledLearningRate:
    """The learning rate to take at `to_batch`: its 80 % interval, the rule it is by and why; what every rule says.

    `beta2` keeps the half-life of Adam's second moment in examples, β₂^(to/from); None for SGD. `steps_factor` is what
    the number of updates is multiplied by for the same number of examples.
    """

    lr: Estimate
    rule: RuleName
    reason: str
    from_batch: int
    to_batch: int
    rules: tuple[Rule, ...]
    beta2: float | None
    steps_factor: float
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "lr": self.lr.to_json(),
            "rule": self.rule,
            "reason": self.reason,
            "from_batch": self.from_batch,
            "to_batch": self.to_batch,
            "rules": [{"name": rule.name, "lr": rule.lr, "condition": rule.condition} for rule in self.rules],
            "beta2": self.beta2,
            "steps_factor": self.steps_factor,
            "advice": list(self.advice),
        }


def scale_learning_rate(
    lr: float,
    from_batch: int | Batch,
    to_batch: int | Batch,
    optimizer: Optimizer = "adamw",
    *,
    noise_scale: float | None = None,
    beta2: float = 0.999,
    laws: Sequence[BatchLaw] = (),
) -> ScaledLearningRate:
    """The learning rate for another batch size, from one that is tuned.

    With k = to/from: keep η; linear η·k (Goyal 2017, arXiv 1706.02677); square root η·√k (Malladi 2022, arXiv
    2205.10287); noise-scale η·(1 + B_n/from)/(1 + B_n/to) for SGD (McCandlish 2018, arXiv 1812.06162), its square root
    for Adam; surge, which falls past B_n (Li 2024, arXiv 2405.14578). Taken is: laws that were fitted to measured
    optima; else the noise scale; else linear for SGD and the square root for Adam.

    Arguments:
        lr: the tuned learning rate at `from_batch`.
        from_batch: examples per update there, or a `Batch` of devices × accumulation × examples per device.
        to_batch: the same at the batch size that is wanted.
        optimizer: "sgd" (any momentum), "adam" or "adamw" (any that divides by the root of a second moment).
        noise_scale: B_simple in examples, as `lrscope noise` measures it; where known.
        beta2: Adam's β₂ at `from_batch`.
        laws: of `fit_batch_law`; their growth from one batch size to the other is applied to `lr`.

    Raises:
        InvalidInput: a value that is not positive, or an optimizer that is none of the three.

    >>> scaled = scale_learning_rate(3e-4, 256, 1024, "adamw", beta2=0.95)
    >>> scaled.rule, round(scaled.lr.value, 6), round(scaled.beta2, 4)
    ('square-root', 0.0006, 0.8145)
    >>> two_devices = Batch(per_device=32, devices=2, accumulation_steps=4)
    >>> scale_learning_rate(0.1, Batch(per_device=32, devices=8), two_devices).rule
    'keep'
    """
    start, end = _size(from_batch, "from_batch"), _size(to_batch, "to_batch")
    _positive(lr, "lr")
    if optimizer not in ("sgd", "adam", "adamw"):
        raise InvalidInput(f"The 'optimizer' of scale_learning_rate must be sgd, adam or adamw. Got {optimizer!r}.")
    if noise_scale is not None:
        _positive(noise_scale, "noise_scale")
    if not (_is_number(beta2) and 0 < beta2 < 1):
        raise InvalidInput(f"The 'beta2' of scale_learning_rate must lie between 0 and 1. Got {beta2!r}.")
    adaptive = optimizer != "sgd"
    rules = _rules(lr, start, end, adaptive, noise_scale)
    name, reason, spread = _choose(start, end, adaptive, noise_scale, bool(laws))
    if name == "fitted laws":
        growth = predict_optimal_lr(laws, end).value / predict_optimal_lr(laws, start).value
        value = lr * growth
        interval = _fitted_interval(laws, start, end, lr, value)
        rules = (
            *rules,
            Rule(name="fitted laws", lr=value, condition="these laws were fitted to this job's own optima"),
        )
    else:
        value = next(rule.lr for rule in rules if rule.name == name) or lr
        factor = 2.0 ** (HALF_WIDTH * spread * abs(math.log2(end / start)))
        interval = Estimate(value, value / factor, value * factor)
    return ScaledLearningRate(
        lr=interval,
        rule=name,
        reason=reason,
        from_batch=start,
        to_batch=end,
        rules=rules,
        beta2=beta2 ** (end / start) if adaptive else None,
        steps_factor=start / end,
        advice=_advice(start, end, adaptive, noise_scale),
    )


def _size(batch: int | Batch, name: str) -> int:
    if isinstance(batch, Batch):
        return batch.size
    _positive(batch, name)
    if batch != int(batch):
        raise InvalidInput(
            f"The '{name}' of scale_learning_rate must be a whole number of examples or a Batch. Got {batch}."
        )
    return int(batch)


def _positive(value: object, name: str) -> None:
    if not (isinstance(value, int | float) and _is_number(value) and value > 0):
        raise InvalidInput(f"The '{name}' of scale_learning_rate must be positive and finite. Got {value!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rules(lr: float, start: int, end: int, adaptive: bool, noise_scale: float | None) -> tuple[Rule, ...]:
    k = end / start
    saturating = surge = None
    if noise_scale is not None:
        growth = (1 + noise_scale / start) / (1 + noise_scale / end)
        saturating = lr * (math.sqrt(growth) if adaptive else growth)
        surge = lr * _surge(end / noise_scale) / _surge(start / noise_scale)
    return (
        Rule(name="keep", lr=lr, condition="both batch sizes lie well above the noise scale"),
        Rule(name="linear", lr=lr * k, condition="SGD, both batch sizes well below the noise scale, with warm-up"),
        Rule(name="square-root", lr=lr * math.sqrt(k), condition="Adam, both batch sizes well below the noise scale"),
        Rule(name="noise-scale", lr=saturating, condition="the noise scale is known; growth ends as B passes it"),
        Rule(name="surge", lr=surge, condition="sign-like optimizers; past the noise scale the rate falls again"),
    )


def _surge(ratio: float) -> float:
    return 2.0 / (math.sqrt(1.0 / ratio) + math.sqrt(ratio))


def _choose(
    start: int, end: int, adaptive: bool, noise_scale: float | None, fitted: bool
) -> tuple[RuleName, str, float]:
    """The rule, why, and how far off its exponent may be."""
    if start == end:
        return "keep", "The number of examples per update is the same, however it is spread: so is the rate.", 0.0
    if fitted:
        return "fitted laws", "Measured optima of this very job beat every rule.", 0.0
    if noise_scale is not None:
        form = "η ∝ 1/√(1 + B_n/B), as Adam divides by the gradient's size" if adaptive else "η ∝ 1/(1 + B_n/B)"
        return (
            "noise-scale",
            f"The noise scale is known ({format_number(noise_scale)} examples): {form}.",
            0.5 * EXPONENT_SD,
        )
    if adaptive:
        reason = "Adam's update does not shrink with the gradient, only its noise does: η ∝ √B below the noise scale."
        return "square-root", reason, EXPONENT_SD
    reason = "For SGD k updates of a small batch go as far as one k times as large: η ∝ B below the noise scale."
    return "linear", reason, EXPONENT_SD


def _fitted_interval(laws: Sequence[BatchLaw], start: int, end: int, lr: float, value: float) -> Estimate:
    at_end = predict_optimal_lr(laws, end)
    low = value if at_end.low is None else value * at_end.low / at_end.value
    high = value if at_end.high is None else value * at_end.high / at_end.value
    return Estimate(value, low, high)


def _advice(start: int, end: int, adaptive: bool, noise_scale: float | None) -> tuple[str, ...]:
    advice = []
    k = end / start
    if end > start and noise_scale is None:
        advice.append("Beyond the noise scale the rate stops growing: measure it with `lrscope noise`.")
    if noise_scale is not None and end > noise_scale:
        share = 1.0 / (1.0 + noise_scale / end)
        advice.append(
            f"{end} is beyond the noise scale: updates are already {100 * share:.0f} % as good as any batch makes them."
        )
    if k > 8 or k < 1 / 8:
        factor = format_number(max(k, 1 / k))
        advice.append(f"A factor of {factor} is far: run the rate and its half and double, then `lrscope scale`.")
    if not adaptive and k > 1:
        advice.append("Keep the momentum; warm up over at least as many examples as before.")
    if adaptive and k != 1:
        advice.append("Set β₂ as given: its half-life in examples stays what it was.")
    return tuple(advice)
