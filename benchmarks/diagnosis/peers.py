"""What others would say of a loss curve: the tools themselves where they are installed, and published rules.

training-doctor and trainspotter read logs; torchmortem watches a model, and its detector of loss dynamics is fed the
log's losses. AUTOTRAINER (Zhang 2021, ICSE) and DeepChecker (Ben Braiek and Khomh 2023, TOSEM) watch a training from
inside: here are their rules on the loss, with the papers' default thresholds as we read them. Each symptom is put to
the regime that it stands for: not finite or diverging = very high; oscillating, spiking or a plateau = high; slow or
not decreasing = low; no alarm = good.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from lrscope.curves.curve import Curve
from lrscope.diagnosis.regime import REGIMES

Peer = Callable[[Curve], str]


def autotrainer(curve: Curve) -> str:
    """Explosion: not finite. Oscillation: a fifth of the points turn by over 3 %. Slow: under 1 % in all."""
    loss = curve.loss
    if not np.isfinite(loss).all():
        return "very_high"
    change = np.diff(loss) / np.maximum(np.abs(loss[:-1]), 1e-12)
    turns = (change[1:] * change[:-1] < 0) & (np.abs(change[1:]) > 0.03)
    if turns.mean() >= 0.2:
        return "high"
    return "low" if (loss[0] - loss.min()) < 0.01 * abs(loss[0]) else "good"


def deepchecker(curve: Curve, window: int = 5, smooth_window: int = 50) -> str:
    """Diverging: twice the lowest. Fluctuating: under half of 50 changes keep their sign. Not decreasing: < 5 %."""
    loss = curve.loss
    if not np.isfinite(loss).all() or (np.mean(loss[-window:]) >= 2.0 * max(loss.min(), 1e-12) and loss[-1] > loss[0]):
        return "very_high"
    signs = np.sign(np.diff(loss[-smooth_window:]))
    if (signs[1:] == signs[:-1]).mean() < 0.5:
        return "high"
    recent, before = np.mean(loss[-window:]), np.mean(loss[-2 * window : -window])
    return "low" if recent > 0.95 * before else "good"


def training_doctor(curve: Curve) -> str:
    """lr_too_high = high (very high where the loss ends not finite), lr_too_low = low."""
    from training_doctor import Doctor

    doctor, rates = Doctor(), curve.lr if curve.lr is not None else np.zeros(len(curve))
    for step, loss, rate in zip(curve.step, curve.loss, rates, strict=True):
        doctor.log(int(step), loss=float(loss), lr=float(rate))
    names = {diagnosis.detector_name for diagnosis in doctor.diagnoses}
    if "lr_too_high" in names:
        return "high" if np.isfinite(curve.loss[-1]) else "very_high"
    return "low" if "lr_too_low" in names else "good"


def trainspotter(curve: Curve) -> str:
    """divergence = very high, spikes or plateau = high."""
    from trainspotter import Run, run_all

    run = Run()
    for i in range(len(curve)):
        run.add_point("loss", int(curve.step[i]), float(curve.loss[i]))
        if curve.lr is not None:
            run.add_point("lr", int(curve.step[i]), float(curve.lr[i]))
    run.finalize()
    names = {finding.detector for finding in run_all(run)}
    if "divergence" in names or not np.isfinite(curve.loss[-1]):
        return "very_high"
    return "high" if names & {"spikes", "plateau"} else "good"


def torchmortem(curve: Curve) -> str:
    """Divergence = very high, a loss plateau or a catapult = high."""
    from torchmortem.collectors.loss import LossCollector
    from torchmortem.detectors.loss_dynamics import LossDynamicsDetector
    from torchmortem.types import RunMetadata, resolve_sampling

    collector = LossCollector()
    collector.attach(None, None, resolve_sampling("thorough"))
    for step, loss in zip(curve.step, curve.loss, strict=True):
        collector.on_step(int(step), loss=float(loss))
    titles = " ".join(f.title for f in LossDynamicsDetector().analyze({"loss": collector.state()}, RunMetadata()))
    if "divergence" in titles or not np.isfinite(curve.loss[-1]):
        return "very_high"
    return "high" if "plateau" in titles or "Catapult" in titles else "good"


TOOLS: dict[str, Peer] = {
    "training-doctor": training_doctor,
    "trainspotter": trainspotter,
    "torchmortem": torchmortem,
}


def peers() -> dict[str, Peer]:
    """Every peer that can be asked here, by its name and version."""
    found = {
        f"{name} {version(name)}": peer
        for name, peer in TOOLS.items()
        if importlib.util.find_spec(name.replace("-", "_"))
    }
    return {**found, "AUTOTRAINER's rules": autotrainer, "DeepChecker's rules": deepchecker}


def regime_of(peer: Peer, curve: Curve) -> int:
    """The peer's verdict as an index into REGIMES; where it fails on a log, it has raised no alarm."""
    with np.errstate(all="ignore"):
        try:
            said = peer(curve)
        except (ValueError, ZeroDivisionError, OverflowError, IndexError, FloatingPointError):
            said = "good"
    return [str(name) for name in REGIMES].index(said)
