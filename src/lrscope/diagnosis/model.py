"""The small model of the verdict: a multinomial logistic regression on features with hinges, read from model.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import Curve
from lrscope.diagnosis.evidence import (
    GRADIENT_FEATURES,
    MONITOR_FEATURES,
    RATE_FEATURES,
    Record,
    has_gradient,
    has_monitor,
    has_rate,
)
from lrscope.diagnosis.features import LOSS_FEATURES
from lrscope.diagnosis.shape import Shape

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """One variant: what it reads, and its coefficients.

    A feature x is clipped to [low, high], and enters as z = (x − centre) / spread and max(0, x − knot) / spread for
    each knot. Regimes: softmax((inputs · coefficients + intercept) / temperature). Factor: 10 to the power of a linear
    form for each regime.
    """

    variant: str
    names: tuple[str, ...]
    low: FloatArray  # (features,)
    high: FloatArray
    centre: FloatArray
    spread: FloatArray
    knots: FloatArray  # (knots, features)
    coefficients: FloatArray  # (regimes, features · (1 + knots))
    intercept: FloatArray  # (regimes,)
    temperature: float
    factor_coefficients: FloatArray  # (regimes, features · (1 + knots))
    factor_intercept: FloatArray  # (regimes,)
    factor_spread: FloatArray  # (regimes, 2) the 10 % and 90 % quantiles of log10(truth / predicted), by verdict
    doubt: float
    good_bonus: float

    def inputs(self, features: FloatArray) -> FloatArray:
        """(…, features · (1 + knots)) what the linear forms take; missing features (NaN) are put at the centre."""
        x = np.where(np.isnan(features), self.centre, np.clip(features, self.low, self.high))
        parts = [(x - self.centre) / self.spread]
        parts += [np.maximum(0.0, x - knot) / self.spread for knot in self.knots]
        return np.concatenate(parts, axis=-1)

    def probabilities(self, features: FloatArray) -> FloatArray:
        """(…, regimes) calibrated probabilities in the order of REGIMES."""
        logits = (self.inputs(features) @ self.coefficients.T + self.intercept) / self.temperature
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        return np.asarray(weights / weights.sum(-1, keepdims=True), dtype=np.float64)

    def log_factor(self, features: FloatArray) -> FloatArray:
        """(…, regimes) log10 of what to multiply the learning rate by, if the run is of each regime."""
        return np.asarray(self.inputs(features) @ self.factor_coefficients.T + self.factor_intercept)

    def contributions(self, features: FloatArray, regime: int) -> FloatArray:
        """(features,) how much each feature speaks for the regime, against the mean of the others, in logits."""
        others = np.delete(self.coefficients, regime, axis=0).mean(0)
        parts = self.inputs(features) * (self.coefficients[regime] - others)
        return np.asarray(parts.reshape(1 + len(self.knots), -1).sum(0))


GROUPS: dict[str, tuple[Callable[[Record], float], ...]] = {
    "lr": RATE_FEATURES,
    "gradient": GRADIENT_FEATURES,
    "monitor": MONITOR_FEATURES,
}
"""What may be logged beside the loss, each group with those before it."""

VARIANTS = {
    "loss": tuple(f.__name__ for f in LOSS_FEATURES),
    "lr": tuple(f.__name__ for f in (*LOSS_FEATURES, *RATE_FEATURES)),
    "gradient": tuple(f.__name__ for f in (*LOSS_FEATURES, *RATE_FEATURES, *GRADIENT_FEATURES)),
    "monitor": tuple(f.__name__ for f in (*LOSS_FEATURES, *RATE_FEATURES, *GRADIENT_FEATURES, *MONITOR_FEATURES)),
}
"""What each variant of the model reads: the loss alone; with the rate; the gradient norms; the monitor's series."""


def variant_of(curve: Curve) -> str:
    """The richest variant that the curve has the series for."""
    if has_monitor(curve):
        return "monitor"
    if not has_rate(curve):
        return "loss"
    return "gradient" if has_gradient(curve) else "lr"


def feature_vector(curve: Curve, shape: Shape, variant: str) -> FloatArray:
    """(features,) what the variant reads of the curve, in the order of `VARIANTS`."""
    record = Record(curve=curve, shape=shape)
    with np.errstate(over="ignore", invalid="ignore"):  # norms near the largest float overflow where they are squared
        values = [feature(shape) for feature in LOSS_FEATURES]
        for features in GROUPS.values():
            if len(values) < len(VARIANTS[variant]):
                values += [feature(record) for feature in features]
    return np.array(values, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class DivergedRule:
    """By what factor a rate is off where the loss is not finite, from how long it lived and from the rate where logged.

    log10 factor = intercept + survived · log10(1 + steps lived) + rate · log10(peak rate over the usual).
    """

    intercept: float
    survived: float
    intercept_with_rate: float
    survived_with_rate: float
    rate: float
    below: float
    above: float

    def log_factor(self, *, survived_steps: float, usual_rate: float) -> float:
        """log10 of what to multiply the rate by; `usual_rate` is NaN where the rate is not known."""
        lived = float(np.log10(1.0 + max(0.0, survived_steps)))
        if np.isnan(usual_rate):
            return self.intercept + self.survived * lived
        return self.intercept_with_rate + self.survived_with_rate * lived + self.rate * usual_rate


@cache
def load_diverged() -> DivergedRule:
    """The rule for runs whose loss is not finite, from the package's model.json."""
    return DivergedRule(**_document()["diverged"])


@cache
def _document() -> Any:
    return json.loads(resources.files("lrscope.diagnosis").joinpath("model.json").read_text(encoding="utf-8"))


@cache
def load_model(variant: str) -> Model:
    """The model of a variant, from the package's model.json."""
    return model_from_json(variant, _document()["variants"][variant])


def model_from_json(variant: str, part: dict[str, Any]) -> Model:
    """A variant's model from its part of model.json."""
    values: dict[str, Any] = {
        key: value if isinstance(value, int | float) else np.asarray(value) for key, value in part.items()
    }
    return Model(**{**values, "variant": variant, "names": tuple(part["names"])})
