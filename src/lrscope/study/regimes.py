"""What trials that differ by their rate show of it: very high, high, good or low, by the rule of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from lrscope.diagnosis.regime import Regime, sweep_regimes
from lrscope.study.trial import TrialResult

LAST_SHARE = 0.05  # a regime is read off the mean training loss over this share of the updates, the last


def by_rate(results: Iterable[TrialResult]) -> dict[float, list[TrialResult]]:
    """Peak rate -> its trials, by rate and seed."""
    grouped: dict[float, list[TrialResult]] = {}
    for result in sorted(results, key=lambda result: (result.trial.peak_lr, result.trial)):
        grouped.setdefault(result.trial.peak_lr, []).append(result)
    return grouped


def regimes_of(results: Iterable[TrialResult]) -> dict[float, Regime]:
    """Peak rate -> regime, of trials of one batch size, schedule and length; seeds are averaged."""
    grouped = by_rate(results)
    if not grouped:
        return {}
    last = [float(np.mean([_last_loss(result) for result in same])) for same in grouped.values()]
    initial = float(np.mean([result.initial_train_loss for same in grouped.values() for result in same]))
    return dict(zip(grouped, sweep_regimes(list(grouped), last, initial), strict=True))


def _last_loss(result: TrialResult) -> float:
    if result.status == "diverged" or not len(result.loss):
        return math.inf
    return float(np.mean(result.loss[-max(1, int(LAST_SHARE * len(result.loss))) :]))
