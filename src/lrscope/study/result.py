"""What a study found: the optima, the law across batch sizes, the verified recommendation, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lrscope.estimate import Estimate
from lrscope.scaling.batch_law import BatchLaw
from lrscope.study.trial import TrialResult

OptimumStatus = Literal["found", "edge", "inconclusive", "all_diverged"]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One learning rate of a loss-against-rate curve: the mean final loss over seeds of full runs, inf = diverged.

    The full runs of the verification are among them, though not of those that the optimum is fitted to.
    """

    lr: float
    loss: float
    regime: str
    seeds: int


@dataclass(frozen=True, kw_only=True)
class FittedPoint:
    """The fitted loss at one learning rate, with its central 80 % interval."""

    lr: float
    loss: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """The best learning rate of one batch size and schedule.

    `fitted` is the fitted curve around the minimum, for drawing; empty where nothing was fitted.
    `runs` and `full_run_equivalents` count the search alone: all its trials, the short ones included.
    """

    batch_size: int
    schedule: str
    status: OptimumStatus
    optimal_lr: Estimate | None
    expected_loss: Estimate | None
    initial_loss: float
    expected_regret: float | None
    runs: int
    full_run_equivalents: float
    curve: tuple[CurvePoint, ...]
    fitted: tuple[FittedPoint, ...] = ()
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What was chosen when the search ended, kept as it was: what is trained for it, no later fit chooses otherwise.

    `schedule` is the one to recommend at `batch_size`, for the `reason` given; `peak_lrs` has the best rate there of
    every schedule, on which they are compared.
    """

    batch_size: int
    schedule: str
    peak_lrs: dict[str, float]
    reason: str

    @property
    def peak_lr(self) -> float:
        """The best rate of the schedule to recommend."""
        return self.peak_lrs[self.schedule]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The choice, trained on fresh seeds beside the better of the optimizer's defaults on the same seeds.

    `gain` is by how much the default's loss is higher, seed by seed; an interval that holds 0 is no gain to speak of.
    `reason` says why it was chosen, `verdict` what was gained in training and validation loss, or that nothing was.
    """

    batch_size: int
    peak_lr: float
    schedule: str
    loss: Estimate
    default_loss: Estimate
    gain: Estimate
    default_lr: float
    train_loss: Estimate
    default_train_loss: Estimate
    metrics: dict[str, Estimate] = field(default_factory=dict)
    default_metrics: dict[str, Estimate] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    reason: str = ""
    verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What was spent. A full-run equivalent is the examples processed over those of one full run at that batch size."""

    runs: int
    full_run_equivalents: float
    search: float
    verification: float
    examples: int
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyResult:
    """A finished (or cut short) study. `trials` are all trained trials, in the order of their keys.

    `contest` is the choice that was compared and verified; None before there is one.
    `gradient_noise` is B_simple at the initial weights; over B it is the gradient's relative variance at batch size B.
    """

    task: str
    metric: str
    optimizer: str
    train_examples: int
    optima: tuple[Optimum, ...]
    laws: tuple[BatchLaw, ...]
    recommended: Recommendation | None
    cost: Cost
    trials: tuple[TrialResult, ...]
    engine: str
    notes: tuple[str, ...] = ()
    contest: Contest | None = None
    gradient_noise: Estimate | None = None

    def to_json(self) -> dict[str, Any]:
        """The study as `summary.json` has it (schema lrscope/study/1)."""
        law = self.laws[0] if self.laws else None
        return {
            "schema": "lrscope/study/1",
            "task": self.task,
            "metric": self.metric,
            "optima": [_optimum_json(optimum) for optimum in self.optima],
            "law": None if law is None else law.to_json(),
            "recommended": None if self.recommended is None else _recommendation_json(self.recommended),
            "cost": {
                "runs": self.cost.runs,
                "full_run_equivalents": self.cost.full_run_equivalents,
                "search": self.cost.search,
                "verification": self.cost.verification,
                "examples": self.cost.examples,
                "seconds": self.cost.seconds,
            },
            "engine": self.engine,
            "notes": list(self.notes),
        }


def _optimum_json(optimum: Optimum) -> dict[str, Any]:
    return {
        "batch_size": optimum.batch_size,
        "schedule": optimum.schedule,
        "status": optimum.status,
        "optimal_lr": optimum.optimal_lr and optimum.optimal_lr.to_json(),
        "expected_loss": optimum.expected_loss and optimum.expected_loss.to_json(),
        "initial_loss": optimum.initial_loss,
        "expected_regret": optimum.expected_regret,
        "runs": optimum.runs,
        "full_run_equivalents": optimum.full_run_equivalents,
        "curve": [{"lr": point.lr, "loss": point.loss, "regime": point.regime} for point in optimum.curve],
        "advice": optimum.advice,
    }


def _recommendation_json(choice: Recommendation) -> dict[str, Any]:
    return {
        "batch_size": choice.batch_size,
        "peak_lr": choice.peak_lr,
        "schedule": choice.schedule,
        "loss": choice.loss.to_json(),
        "default_loss": choice.default_loss.to_json(),
        "gain": choice.gain.to_json(),
        "default_lr": choice.default_lr,
        "train_loss": choice.train_loss.to_json(),
        "default_train_loss": choice.default_train_loss.to_json(),
        "metrics": {name: value.to_json() for name, value in choice.metrics.items()},
        "default_metrics": {name: value.to_json() for name, value in choice.default_metrics.items()},
        "reason": choice.reason,
        "verdict": choice.verdict,
    }
