"""The diagnosis's figures: on left-out tasks, on third-party curves, calibration, speed, and beside its peers.

    nice -n 10 python -m benchmarks.diagnosis.evaluate --runs lrscope-out/diagnosis --data ../shared/data

Writes benchmarks/results/diagnosis.md. Verdicts for a task are those of a model that never saw it; its thresholds, temperature
and intervals were chosen on the other tasks' left-out predictions.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.diagnosis.dataset import read_constant_lr_curves
from benchmarks.diagnosis.train import Table, calibrate, folds, left_out, make_table, read_table, score, spared

from lrscope.curves.curve import Curve
from lrscope.diagnosis.diagnose import BOUNDS, decide, diagnose
from lrscope.diagnosis.model import VARIANTS, Model, load_model
from lrscope.diagnosis.regime import REGIMES

RESULTS = Path(__file__).parents[1] / "results/diagnosis.md"
FACTOR_3 = np.log10(3.0)


@dataclass(frozen=True)
class Judged:
    """Verdicts, probabilities, log10 factors and their intervals of the rows of a table."""

    verdict: np.ndarray
    probabilities: np.ndarray
    factor: np.ndarray
    low: np.ndarray
    high: np.ndarray


def judge(table: Table, model: Model, probabilities: np.ndarray, by_regime: np.ndarray) -> Judged:
    """What `diagnose` would say, from raw probabilities (temperature 1) and factors by regime."""
    logits = np.log(probabilities + 1e-12) / model.temperature
    calibrated = np.exp(logits - logits.max(1, keepdims=True))
    calibrated /= calibrated.sum(1, keepdims=True)
    calibrated[table.diverged] = (1.0, 0.0, 0.0, 0.0)
    verdict = decide(calibrated, model)
    row = np.minimum(verdict, 3)
    bounds = np.log10(np.array([BOUNDS[name] for name in REGIMES]))[row]
    raw = by_regime[np.arange(len(table)), row]
    factor = np.clip(raw, bounds[:, 0], bounds[:, 1])
    low, high = (
        np.minimum(factor, raw + model.factor_spread[row, 0]),
        np.maximum(factor, raw + model.factor_spread[row, 1]),
    )
    return Judged(verdict, calibrated, factor, low, high)


def judge_left_out(table: Table, variant: str) -> Judged:
    """Judge every row by a model whose training and calibration never saw the row's task."""
    probabilities, factor = left_out(table, variant)
    parts = np.empty(len(table), dtype=object)
    out = Judged(
        *(
            np.zeros((len(table), 4)) if n == "probabilities" else np.zeros(len(table))
            for n in Judged.__dataclass_fields__
        )
    )
    blank = load_model(variant)
    for held in folds(table):
        rest = ~held
        model = calibrate(table.rows(rest), blank, probabilities[rest], factor[rest])
        judged = judge(table.rows(held), model, probabilities[held], factor[held])
        for name in Judged.__dataclass_fields__:
            getattr(out, name)[held] = getattr(judged, name)
    del parts
    return out


def judge_external(table: Table, variant: str) -> Judged:
    """Judge third-party rows by the shipped model."""
    model = load_model(variant)
    probabilities, factor = np.zeros((len(table), 4)), np.zeros((len(table), 4))
    rows = ~table.diverged
    features = table.features[rows][:, : len(VARIANTS[variant])]
    probabilities[rows] = replace(model, temperature=1.0).probabilities(features)
    factor[rows] = model.log_factor(features)
    return judge(table, model, probabilities, factor)


def reliability(table: Table, judged: Judged) -> tuple[float, list[tuple[float, float, int]]]:
    """The largest gap of the reliability diagram (bins of ≥ 2 %), and its bins: mean confidence, accuracy, count.

    Confidence is the largest probability; rows that diverged (a rule decides) are left out.
    """
    rows = ~table.diverged
    p = judged.probabilities[rows]
    top = p.argmax(1)
    right, confidence = table.accepted[rows][np.arange(len(p)), top], p.max(1)
    bins = []
    for low in np.arange(0.3, 1.0, 0.1):
        inside = (confidence >= low) & (confidence < low + 0.1 + 1e-9 * (low > 0.85))
        if inside.sum() >= 0.02 * len(p):
            bins.append((float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum())))
    return max(abs(c - a) for c, a, _ in bins), bins


def factor_shares(table: Table, judged: Judged) -> tuple[float, float, float]:
    """The share of factors within 3 of the best rate, of those within 3 of a good rate, and of intervals that hold."""
    rows = ~table.diverged & (judged.verdict < 4)
    gap = np.abs(judged.factor - table.log_factor)[rows]
    low, high = table.log_good[rows, 0], table.log_good[rows, 1]
    to_good = np.maximum(0.0, np.maximum(low - judged.factor[rows], judged.factor[rows] - high))
    held = (judged.low[rows] <= table.log_factor[rows]) & (table.log_factor[rows] <= judged.high[rows])
    return float((gap <= FACTOR_3).mean()), float((to_good <= FACTOR_3).mean()), float(held.mean())


def line(name: str, table: Table, judged: Judged) -> str:
    """A row of the table of figures."""
    balanced, recall = score(table, judged.verdict)
    strict, _ = score(table, np.where(judged.verdict == 4, judged.probabilities.argmax(1), judged.verdict))
    opened = float((judged.verdict == 4).mean())
    best, good, held = factor_shares(table, judged)
    gap = reliability(table, judged)[0]
    cells = [balanced, strict, *recall, spared(table, judged.verdict), opened, gap, best, good, held]
    return (
        f"| {name} | {len(table)} | "
        + " | ".join(f"{value:.2f}" if i > 8 else f"{value:.3f}" for i, value in enumerate(cells))
        + " |"
    )


HEAD = (
    "| what is read | curves | balanced accuracy | undecided counted by their likeliest | very high | high | good | low | good not accused | "
    "inconclusive | reliability gap | factor within 3 of best | within 3 of a good rate | 80 % interval holds |\n"
    + "|---" * 14
    + "|"
)


def speed() -> float:
    """Seconds for 1,000 runs of 10,000 steps, from the loss and the rate."""
    rng, step = np.random.default_rng(0), np.arange(10_000)
    curves = [
        Curve(name=str(i), step=step, loss=2.3 * (1 + step) ** -rng.uniform(0.0, 0.5) + 0.1 * rng.random(10_000),
              lr=np.full(10_000, 0.1)) for i in range(1000)
    ]  # fmt: skip
    start = time.perf_counter()
    for curve in curves:
        diagnose(curve)
    return time.perf_counter() - start


def main() -> None:
    """Compute every figure and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path("lrscope-out/diagnosis"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", help="a Python with training-doctor and trainspotter installed")
    arguments = parser.parse_args()
    np.seterr(all="ignore")
    table = read_table(arguments.runs)
    sweeps, tasks = len(np.unique(table.sweep)), len(np.unique(table.task))
    lines = [
        "# Diagnosis: measured figures", "",
        "Made by `python -m benchmarks.diagnosis.evaluate` after `make_runs` and `train`.", "",
        f"## Leaving whole tasks out: {tasks} tasks, {sweeps} sweeps, {len(table)} curves (a run in up to four ways of logging)", "", HEAD,
    ]  # fmt: skip
    names = {"loss": "the loss alone", "lr": "and the learning rate", "monitor": "and the monitor"}
    judged = {variant: judge_left_out(table, variant) for variant in VARIANTS}
    lines += [line(names[variant], table, judged[variant]) for variant in VARIANTS]
    lines += ["", "The loss alone, by way of logging and task:", "", HEAD]
    for name in [*np.unique(table.view), *np.unique(table.task)]:
        rows = (table.view == name) | (table.task == name)
        part = Judged(*(getattr(judged["loss"], field)[rows] for field in Judged.__dataclass_fields__))
        lines.append(line(str(name), table.rows(rows), part))
    lines += [
        "",
        "Reliability (loss alone): "
        + "; ".join(f"said {c:.2f}, was {a:.2f} (n={n})" for c, a, n in reliability(table, judged["loss"])[1]),
    ]
    folder = arguments.data / "constant_lr_curves"
    if folder.exists():
        lines += ["", "## `constant_lr_curves` (DeepOBS baselines, never trained on)", "", HEAD]
        for kind in ("minibatch", "epochs"):
            external = make_table(read_constant_lr_curves(folder, kind))
            lines += [line(f"{names[v]}, {kind}", external, judge_external(external, v)) for v in ("loss", "lr")]
            lines += peers(folder, kind, external, arguments.peers)
    lines += ["", "## Speed", "", f"1,000 runs of 10,000 steps: {speed():.1f} s."]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def peers(folder: Path, kind: str, table: Table, python: str | None) -> list[str]:
    """The peers' verdicts on the same curves."""
    from benchmarks.diagnosis.peers import PEERS, installed_peers, regime_of

    curves = [item.curve for item in read_constant_lr_curves(folder, kind)]
    said = {name: [regime_of(peer, curve) for curve in curves] for name, peer in PEERS.items()}
    if python is not None:
        said |= installed_peers(python, curves)
    out = []
    for name, found in said.items():
        verdict = np.array(found)
        balanced, recall = score(table, verdict)
        cells = [balanced, balanced, *recall, spared(table, verdict)]
        out.append(f"| {name}, {kind} | {len(table)} | " + " | ".join(f"{v:.3f}" for v in cells) + " |" + " – |" * 5)
    return out


if __name__ == "__main__":
    main()
