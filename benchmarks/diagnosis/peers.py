"""What others would say of a loss curve: their published rules, or the tools themselves, on what a loss log has.

training-doctor and trainspotter run in an environment of their own (`--peers PYTHON`), on one CSV per curve; torchmortem watches a
live model and reads no logs.

AUTOTRAINER (Zhang 2021, ICSE) and DeepChecker (Ben Braiek & Khomh 2023, TOSEM) watch a training from inside; here are their rules
on the loss with the papers' default thresholds as we read them, each symptom put to the regime that it stands for: not finite or
diverging = very high, oscillating or fluctuating = high, slow or not decreasing = low, no alarm = good.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lrscope.curves.curve import Curve
from lrscope.diagnosis.regime import REGIMES

Peer = Callable[[np.ndarray], str]


def autotrainer(loss: np.ndarray) -> str:
    """Explosion: not finite. Oscillation: over 3 % up or down in turn, in at least a fifth of the points. Slow: < 1 % in all."""
    if not np.isfinite(loss).all():
        return "very_high"
    change = np.diff(loss) / np.maximum(np.abs(loss[:-1]), 1e-12)
    turns = (change[1:] * change[:-1] < 0) & (np.abs(change[1:]) > 0.03)
    if turns.mean() >= 0.2:
        return "high"
    return "low" if (loss[0] - loss.min()) < 0.01 * abs(loss[0]) else "good"


def deepchecker(loss: np.ndarray, window: int = 5, smooth_window: int = 50) -> str:
    """Diverging: twice the lowest. Fluctuating: under half of the last 50 changes keep their sign. Not decreasing: < 5 % a window."""
    if not np.isfinite(loss).all() or (np.mean(loss[-window:]) >= 2.0 * max(loss.min(), 1e-12) and loss[-1] > loss[0]):
        return "very_high"
    signs = np.sign(np.diff(loss[-smooth_window:]))
    if (signs[1:] == signs[:-1]).mean() < 0.5:
        return "high"
    recent, before = np.mean(loss[-window:]), np.mean(loss[-2 * window : -window])
    return "low" if recent > 0.95 * before else "good"


PEERS: dict[str, Peer] = {"AUTOTRAINER's rules": autotrainer, "DeepChecker's rules": deepchecker}


WORKER = """
import sys, json, math, pathlib, warnings
warnings.simplefilter("ignore")
from training_doctor import Doctor
from trainspotter import load_run, run_all
out = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.csv")):
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    said = []
    try:
        doctor = Doctor(); doctor.set_auto_print(False)
        for step, loss in rows:
            doctor.store.log(int(step), loss=float(loss)) if hasattr(doctor.store, "log") else doctor.log(int(step), loss=float(loss))
        said = [d.detector_name for d in doctor.analyze()] + [d.detector_name for d in doctor.diagnoses]
    except Exception as error:
        said = ["error:" + repr(error)[:80]]
    try:
        spotted = [f.detector for f in run_all(load_run(path))]
    except Exception as error:
        spotted = ["error:" + repr(error)[:80]]
    out[path.stem] = [said, spotted]
json.dump(out, sys.stdout)
"""


def installed_peers(python: str, curves: list[Curve]) -> dict[str, list[int]]:
    """The verdicts of training-doctor and trainspotter as indices into REGIMES, by tool.

    training-doctor: lr_too_high = high (very high where the loss ends not finite), lr_too_low = low. trainspotter:
    divergence = very high, spikes or plateau = high. No alarm = good.
    """
    with tempfile.TemporaryDirectory() as folder:
        for i, curve in enumerate(curves):
            rows = [f"{int(s)},{float(v)}" for s, v in zip(curve.step, curve.loss, strict=True)]
            Path(folder, f"{i:06d}.csv").write_text("step,loss\n" + "\n".join(rows) + "\n")
        done = subprocess.run([python, "-c", WORKER, folder], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout[done.stdout.index("{") :])
    doctor, spotter = [], []
    for i, curve in enumerate(curves):
        first, second = said[f"{i:06d}"]
        lost = not np.isfinite(curve.loss[-1])
        doctor.append(
            ("very_high" if lost else "high") if "lr_too_high" in first else "low" if "lr_too_low" in first else "good"
        )
        plateau = "spikes" in second or "plateau" in second
        spotter.append("very_high" if "divergence" in second else "high" if plateau else "good")
    names = list(REGIMES)
    return {
        "training-doctor 0.1.0": [names.index(v) for v in doctor], "trainspotter 0.2.6": [names.index(v) for v in spotter]
    }  # fmt: skip


def regime_of(peer: Peer, curve: Curve) -> int:
    """The peer's verdict as an index into REGIMES."""
    return REGIMES.index(peer(curve.loss))  # type: ignore[arg-type]
