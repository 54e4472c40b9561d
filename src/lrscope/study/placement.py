"""Where an optimum is expected before its own batch size and schedule have been run: one model of all of them.

log₂ η*(B, schedule) = a + p·log₂ B + offset(schedule): a flat prior on a, a normal one on the exponent p and on each
schedule's offset. Every fitted cell is evidence with its own width, and a cell strays from the law by SCATTER.
Curvature and noise, as shares of the loss that training gains, are alike across cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lrscope.scaling.posterior import CurvePrior
from lrscope.scaling.u_curve import UCurve
from lrscope.study.space import Cell

EXPONENT, EXPONENT_SD = 0.4, 0.35
OFFSET_SD = 1.0  # octaves between schedules
SCATTER = 0.5  # octaves
LOG_SD = 0.8  # of curvature and noise, between cells


def expect(cell: Cell, fitted: Mapping[Cell, UCurve], gain: float | None = None) -> CurvePrior | None:
    """What the fitted cells say of another one's curve, whose training gains `gain`; None where they say nothing."""
    known = {other: fit for other, fit in fitted.items() if fit.posterior is not None and other != cell}
    if not known:
        return None
    schedules = list(dict.fromkeys([next(iter(known)).schedule, *(other.schedule for other in known), cell.schedule]))
    rows = np.array([_row(other, schedules) for other in known])
    found = [_summary(fit) for fit in known.values()]
    centre = np.array([one.octave for one in found])
    variance = np.array([one.variance for one in found]) + SCATTER**2
    prior_mean = np.array([0.0, EXPONENT] + [0.0] * (len(schedules) - 1))
    precision = np.diag([1e-6, EXPONENT_SD**-2] + [OFFSET_SD**-2] * (len(schedules) - 1))
    covariance = np.linalg.inv(precision + rows.T @ (rows / variance[:, None]))
    mean = covariance @ (precision @ prior_mean + rows.T @ (centre / variance))
    row = _row(cell, schedules)
    log_gain = None if gain is None or gain <= 0 else math.log(gain)
    curvature = float(np.mean([one.log_curvature_share for one in found]))
    noise = float(np.mean([one.log_noise_share for one in found]))
    return CurvePrior(
        minimum=float(row @ mean),
        minimum_sd=math.sqrt(float(row @ covariance @ row) + SCATTER**2),
        log_curvature=None if log_gain is None else curvature + log_gain,
        log_curvature_sd=LOG_SD,
        log_noise=None if log_gain is None else noise + log_gain,
        log_noise_sd=LOG_SD,
    )


def _row(cell: Cell, schedules: list[str]) -> list[float]:
    """The cell's coefficients of intercept, exponent and each schedule's offset but the first's."""
    return [1.0, math.log2(cell.batch_size), *(float(cell.schedule == schedule) for schedule in schedules[1:])]


@dataclass(frozen=True, kw_only=True)
class _Summary:
    octave: float  # median and variance of the optimum, log₂ η
    variance: float
    log_curvature_share: float  # logs of curvature and noise over the loss that training gains
    log_noise_share: float


@lru_cache(maxsize=1024)
def _summary(fitted: UCurve) -> _Summary:
    assert fitted.posterior is not None  # `expect` chose those that have one
    start = float(fitted.loss.max()) if fitted.initial_loss is None else fitted.initial_loss
    gain = np.maximum(start - fitted.posterior.bottom, 1e-12 * max(1.0, abs(start)))
    octaves = np.log2(fitted.optimal_lr_samples)
    return _Summary(
        octave=float(np.median(octaves)),
        variance=float(np.var(octaves)),
        log_curvature_share=float(np.median(np.log(fitted.posterior.curvature / gain))),
        log_noise_share=float(np.median(np.log(fitted.posterior.noise / gain))),
    )
