"""The verdict on a run's learning rate: regime, probabilities, by what factor it is off, evidence and advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lrscope.curves.curve import Curve
from lrscope.diagnosis.advice import advise
from lrscope.diagnosis.evidence import curve_rate
from lrscope.diagnosis.findings import Finding, find_all
from lrscope.diagnosis.model import VARIANTS, Model, feature_vector, load_diverged, load_model, variant_of
from lrscope.diagnosis.regime import REGIMES
from lrscope.diagnosis.sentences import SENTENCES
from lrscope.diagnosis.shape import LARGEST, Shape, make_shape
from lrscope.estimate import Estimate

Verdict = Literal["very_high", "high", "good", "low", "inconclusive"]

FEWEST_POINTS = 8
SHORTEST_SHARE = 0.05
"""A log that covers less of the run than this decides nothing, unless the loss is diverging."""

BOUNDS = {
    "very_high": (1e-4, 0.5),
    "high": (1e-3, 0.7),
    "good": (1 / 3, 3.0),
    "low": (1.4, 1e4),
    "inconclusive": (1e-4, 1e4),
}
"""What the factor of each verdict is held to, so that it never contradicts the verdict."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What speaks for the verdict: a feature or finding, its value, and a sentence; `steps` say where to look."""

    what: str
    value: float
    says: str
    steps: tuple[int, ...] = ()

    def to_json(self) -> dict[str, object]:
        """what, value, says."""
        return {"what": self.what, "value": self.value, "says": self.says}


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The verdict on one run.

    name: the curve's. regime: very_high, high, good, low or inconclusive. probabilities: of the four regimes.
    lr_factor: what to multiply the learning rate by. evidence, advice: for the reader. findings: what else was seen.
    variant: what was read: "loss", "lr" (with the rate), "monitor" (with its measurements), "compare" (other runs).
    """

    name: str
    regime: Verdict
    probabilities: dict[str, float]
    lr_factor: Estimate
    evidence: tuple[Evidence, ...]
    advice: str
    findings: tuple[Finding, ...] = ()
    variant: str = "loss"

    def to_json(self) -> dict[str, object]:
        """The run as `lrscope diagnose --json` has it."""
        return {
            "name": self.name,
            "regime": self.regime,
            "probabilities": self.probabilities,
            "lr_factor": self.lr_factor.to_json(),
            "evidence": [item.to_json() for item in self.evidence],
            "advice": self.advice,
        }


def ended_not_finite(curve: Curve) -> bool:
    """Whether the last logged loss is NaN, infinite or beyond 1e30."""
    return len(curve) > 0 and not abs(curve.loss[-1]) < LARGEST


def decide(probabilities: NDArray[np.float64], *, doubt: float, good_bonus: float) -> NDArray[np.int64]:
    """(…,) the verdict of each row of probabilities (…, 4): an index into REGIMES, or 4 for inconclusive.

    Alarms on good runs cost most: *good* is taken where its probability, times the model's `good_bonus`, is the
    largest; where the largest probability stays below `doubt`, nothing is.
    """
    weighted = probabilities * np.where(np.array(REGIMES) == "good", good_bonus, 1.0)
    verdict = weighted.argmax(-1)
    return np.where(probabilities.max(-1) < doubt, len(REGIMES), verdict)


def diagnose(curve: Curve, *, variant: str | None = None) -> Diagnosis:
    """Judge one run's learning rate from its log.

    Arguments:
        curve: the run; the learning rate and the monitor's series are read where they are there.
        variant: "loss", "lr" or "monitor" to read no more than that; by default all there is.

    >>> import numpy as np
    >>> step = np.arange(400)
    >>> diagnose(Curve(name="slow", step=step, loss=2.3 - 1e-4 * step)).regime
    'low'
    >>> diagnose(Curve(name="lost", step=step, loss=np.where(step < 30, 2.3, np.nan))).regime
    'very_high'
    """
    variant = variant or variant_of(curve)
    shape = make_shape(curve)
    if ended_not_finite(curve):
        return _diverged(curve, shape, variant)
    reason = _undecidable(curve, shape)
    if shape is None or reason is not None:
        return _finish(curve, "inconclusive", np.full(4, 0.25), Estimate(1.0, None, None), (), shape, reason, variant)
    model = load_model(variant)
    features = feature_vector(curve, shape, variant)
    probabilities = model.probabilities(features)
    index = int(decide(probabilities, doubt=model.doubt, good_bonus=model.good_bonus))
    verdict: Verdict = REGIMES[index] if index < len(REGIMES) else "inconclusive"
    covered = _covered(curve)
    if covered < SHORTEST_SHARE and verdict != "very_high":
        verdict, reason = "inconclusive", f"The log covers only {100 * covered:.1f} % of the planned steps."
    elif verdict == "inconclusive":
        first, second = (REGIMES[i].replace("_", " ") for i in np.argsort(-probabilities)[:2])
        reason = f"The curve leaves it open between {first} and {second}."
    evidence = _spoken(model, features, index if index < 4 else int(probabilities.argmax()))
    return _finish(
        curve,
        verdict,
        probabilities,
        _factor(model, features, probabilities, verdict),
        evidence,
        shape,
        reason,
        variant,
    )


def diagnose_all(curves: Sequence[Curve]) -> list[Diagnosis]:
    """Judge every run singly, in order."""
    return [diagnose(curve) for curve in curves]


def _covered(curve: Curve) -> float:
    if curve.total_steps is None or curve.total_steps <= 0:
        return 1.0
    return float(curve.step[-1] + 1) / curve.total_steps


def _undecidable(curve: Curve, shape: Shape | None) -> str | None:
    if shape is None or len(shape.loss) < FEWEST_POINTS:
        count = int(np.isfinite(curve.loss).sum()) if shape is None else len(shape.loss)
        points = "point" if count == 1 else "points"
        return f"The log has {count} finite {points}; a verdict needs {FEWEST_POINTS}."
    if float(np.ptp(shape.loss)) == 0.0:
        return "The loss does not change at all: the weights may not be trained."
    if len(np.unique(shape.loss)) < min(8, len(shape.loss)):
        return "The loss is logged with too few digits or smoothed too much to show a shape."
    return None


def _factor(
    model: Model, features: NDArray[np.float64], probabilities: NDArray[np.float64], verdict: Verdict
) -> Estimate:
    by_regime = model.log_factor(features)
    if verdict == "inconclusive":
        middle = float(probabilities @ by_regime)
        ends = by_regime[:, None] + model.factor_spread
        return Estimate(
            10**middle, 10 ** min(middle, float(ends[:, 0].min())), 10 ** max(middle, float(ends[:, 1].max()))
        )
    row = REGIMES.index(verdict)
    below, above = model.factor_spread[row]
    return _bounded(float(by_regime[row]), float(below), float(above), verdict)


def _bounded(log_value: float, below: float, above: float, verdict: Verdict) -> Estimate:
    least, most = np.log10(BOUNDS[verdict])
    middle = float(np.clip(log_value, least, most))
    return Estimate(10**middle, 10 ** min(middle, log_value + below), 10 ** max(middle, log_value + above))


def _spoken(model: Model, features: NDArray[np.float64], regime: int) -> tuple[Evidence, ...]:
    parts = model.contributions(features, regime)
    room = dict.fromkeys(VARIANTS, 1) | {"loss": 2}  # what is logged says much the same several times over
    order = []
    for i in (i for i in np.argsort(-parts) if parts[i] > 0 and np.isfinite(features[i])):
        group = next(group for group, names in VARIANTS.items() if model.names[i] in names)
        if room[group] > 0:
            room[group] -= 1
            order.append(i)
    return tuple(
        Evidence(what=model.names[i], value=float(features[i]), says=SENTENCES[model.names[i]](float(features[i])))
        for i in order
    )


def _diverged(curve: Curve, shape: Shape | None, variant: str) -> Diagnosis:
    finite = np.flatnonzero(np.abs(curve.loss) < LARGEST)
    step = int(curve.step[finite[-1] + 1 if len(finite) else 0])
    rule = load_diverged()
    rate = curve_rate(curve) if variant != "loss" else float("nan")
    log_value = rule.log_factor(survived_steps=float(step - curve.step[0]), usual_rate=rate)
    factor = _bounded(log_value, rule.below, rule.above, "very_high")
    evidence = Evidence(
        what="not_finite", value=float(step), says=f"The loss is not finite from step {step} on.", steps=(step,)
    )
    return _finish(curve, "very_high", np.array([1.0, 0.0, 0.0, 0.0]), factor, (evidence,), shape, None, variant)


def _finish(
    curve: Curve,
    verdict: Verdict,
    probabilities: NDArray[np.float64],
    factor: Estimate,
    evidence: tuple[Evidence, ...],
    shape: Shape | None,
    reason: str | None,
    variant: str,
) -> Diagnosis:
    findings = find_all(curve, shape)
    seen = tuple(Evidence(what=f.what, value=f.value, says=f.says, steps=f.steps) for f in findings)
    if reason is not None:
        seen = (Evidence(what="undecided", value=float(len(curve)), says=reason), *seen)
    return Diagnosis(
        name=curve.name,
        regime=verdict,
        probabilities={name: float(p) for name, p in zip(REGIMES, probabilities, strict=True)},
        lr_factor=factor,
        evidence=(*evidence, *seen),
        advice=advise(verdict, factor, findings, reason),
        findings=findings,
        variant=variant,
    )


__all__ = ["Diagnosis", "Evidence", "Verdict", "decide", "diagnose", "diagnose_all", "ended_not_finite"]
