"""The diagnosis's figures: on left-out tasks, on third-party curves, its calibration, and beside its peers.

    nice -n 10 python -m benchmarks.diagnosis.evaluate --runs .cache/diagnosis --data ../shared/data [--peers DIR]

Writes benchmarks/results/diagnosis.md and diagnosis_reliability.svg. Verdicts for a task are those of a model that
never saw it; its thresholds, temperature and intervals were chosen on the other tasks' left-out predictions. DIR is
where `pip install --no-deps --target DIR training-doctor trainspotter torchmortem` has put the peers.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from benchmarks.diagnosis.dataset import Labelled, read_all, read_constant_lr_curves
from benchmarks.diagnosis.peers import peers, regime_of
from benchmarks.diagnosis.train import (
    Calibration,
    Table,
    as_logged,
    calibrate,
    folds,
    kept_left_out,
    make_table,
    read_table,
    score,
    spared,
)

from lrscope.diagnosis.diagnose import BOUNDS, FEWEST_POINTS, decide
from lrscope.diagnosis.model import VARIANTS, load_model
from lrscope.diagnosis.regime import REGIMES

RESULTS = Path(__file__).parents[1] / "results/diagnosis.md"
FACTOR_3 = np.log10(3.0)
NAMES = {
    "loss": "the loss alone",
    "lr": "and the learning rate",
    "gradient": "and the gradient norm",
    "monitor": "and the monitor's series",
}
EVERY, LONGEST = 150, 5000
"""Every so many curves of the left-out tasks, of so many points at most, are shown to the peers: some are slow."""


@dataclass(frozen=True)
class Judged:
    """Verdicts, probabilities, log10 factors and their intervals of the rows of a table."""

    verdict: np.ndarray
    probabilities: np.ndarray
    factor: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def rows(self, chosen: np.ndarray) -> Judged:
        """The chosen rows."""
        return Judged(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def judge(table: Table, chosen: Calibration, raw: np.ndarray, by_regime: np.ndarray) -> Judged:
    """What `diagnose` would say, from raw probabilities (temperature 1) and log10 factors by regime."""
    probabilities = chosen.probabilities(table, raw)
    verdict = decide(probabilities, doubt=chosen.doubt, good_bonus=chosen.good_bonus)
    verdict[(table.points < FEWEST_POINTS) & ~table.diverged] = len(REGIMES)
    row = np.minimum(verdict, 3)
    bounds = np.log10(np.array([BOUNDS[name] for name in REGIMES]))[row]
    log_factor = by_regime[np.arange(len(table)), row]
    factor = np.clip(log_factor, bounds[:, 0], bounds[:, 1])
    low = np.minimum(factor, log_factor + chosen.factor_spread[row, 0])
    high = np.maximum(factor, log_factor + chosen.factor_spread[row, 1])
    return Judged(verdict, probabilities, factor, low, high)


def judge_left_out(runs: Path, table: Table, variant: str) -> Judged:
    """Judge every row by a model whose training and calibration never saw the row's task."""
    raw, factor = kept_left_out(runs, table, variant)
    parts, places = [], []
    for held in folds(table):
        rest = ~held & as_logged(table, variant)
        chosen = calibrate(table.rows(rest), raw[rest], factor[rest])
        parts.append(judge(table.rows(held), chosen, raw[held], factor[held]))
        places.append(np.flatnonzero(held))
    order = np.argsort(np.concatenate(places))
    return Judged(*(np.concatenate([getattr(p, n) for p in parts])[order] for n in Judged.__dataclass_fields__))


def judge_shipped(table: Table, variant: str) -> Judged:
    """Judge rows by the shipped model."""
    model = load_model(variant)
    raw, factor = np.zeros((len(table), 4)), np.zeros((len(table), 4))
    rows = ~table.diverged
    features = table.features[rows][:, : len(VARIANTS[variant])]
    raw[rows] = replace(model, temperature=1.0).probabilities(features)
    factor[rows] = model.log_factor(features)
    chosen = Calibration(model.temperature, model.doubt, model.good_bonus, model.factor_spread)
    return judge(table, chosen, raw, factor)


def reliability(table: Table, judged: Judged) -> list[tuple[float, float, int]]:
    """The reliability diagram: mean of the largest probability, share of labels that it hit, count (bins of ≥ 2 %).

    Rows whose loss is not finite, of which a rule decides, are left out.
    """
    rows = ~table.diverged
    p = judged.probabilities[rows]
    right, confidence = table.regime[rows] == p.argmax(1), p.max(1)
    bins = []
    for low in np.arange(0.3, 1.0, 0.1):
        inside = (confidence >= low) & (confidence < low + 0.1 + 1e-9 * (low > 0.85))
        if inside.sum() >= 0.02 * len(p):
            bins.append((float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum())))
    return bins


def factor_shares(table: Table, judged: Judged) -> tuple[float, float, float]:
    """The share of factors within 3 of a good rate, of those within 3 of the best rate, and of intervals that hold."""
    rows = ~table.diverged & (judged.verdict < 4)
    gap = np.abs(judged.factor - table.log_factor)[rows]
    low, high = table.log_good[rows, 0], table.log_good[rows, 1]
    to_good = np.maximum(0.0, np.maximum(low - judged.factor[rows], judged.factor[rows] - high))
    held = (judged.low[rows] <= table.log_factor[rows]) & (table.log_factor[rows] <= judged.high[rows])
    return float((to_good <= FACTOR_3).mean()), float((gap <= FACTOR_3).mean()), float(held.mean())


HEAD = (
    "| what is read | curves | balanced accuracy | with the undecided | very high | high | good | low "
    "| good not accused | inconclusive | reliability gap | factor within 3 of a good rate | of the best rate "
    "| 80 % interval holds |\n" + "|---" * 14 + "|"
)


def line(name: str, table: Table, judged: Judged) -> str:
    """A row of the table of figures."""
    balanced, recall = score(table, judged.verdict)
    likeliest, _ = score(table, np.where(judged.verdict == 4, judged.probabilities.argmax(1), judged.verdict))
    gap = max((abs(c - a) for c, a, _ in reliability(table, judged)), default=float("nan"))
    cells = [balanced, likeliest, *recall, spared(table, judged.verdict), float((judged.verdict == 4).mean()), gap]
    cells += factor_shares(table, judged)
    return f"| {name} | {len(table)} | " + " | ".join(f"{value:.3f}" for value in cells) + " |"


def peer_lines(items: list[Labelled], table: Table) -> list[str]:
    """The peers' rows on the same curves."""
    out = []
    for name, peer in peers().items():
        verdict = np.array([regime_of(peer, item.curve) for item in items])
        balanced, recall = score(table, verdict)
        cells = [balanced, balanced, *recall, spared(table, verdict)]
        out.append(f"| {name} | {len(table)} | " + " | ".join(f"{v:.3f}" for v in cells) + " |" + " – |" * 5)
    return out


def left_out_section(table: Table, judged: dict[str, Judged], runs: Path) -> list[str]:
    """The figures on left-out tasks, by what is read, by way of logging and by task, and the peers'."""
    sweeps, tasks = len(np.unique(table.sweep)), len(np.unique(table.task))
    lines = [
        f"## Leaving whole tasks out: {tasks} tasks, {sweeps} sweeps, {len(table)} curves",
        "", "Runs are logged in several ways: every step, thinned, averaged, smoothed, evaluated, cut, begun late.", "",
        HEAD,
    ]  # fmt: skip
    for variant, found in judged.items():
        rows = as_logged(table, variant)
        lines.append(line(NAMES[variant], table.rows(rows), found.rows(rows)))
    lines += ["", "The monitor writes every step itself: its row has these logs alone."]
    lines += ["", f"Every {EVERY}th of these curves of at most {LONGEST} points, the peers beside it:", "", HEAD]
    shown = (np.arange(len(table)) % EVERY == 0) & (table.points <= LONGEST)
    lines += [line(NAMES[v], table.rows(shown), judged[v].rows(shown)) for v in ("loss", "lr")]
    items = [item for item in islice(read_all(runs), 0, None, EVERY) if len(item.curve) <= LONGEST]
    lines += peer_lines(items, table.rows(shown))
    lines += ["", "The loss alone, by way of logging and by task:", "", HEAD]
    for name in [*np.unique(table.view), *np.unique(table.task)]:
        rows = (table.view == name) | (table.task == name)
        lines.append(line(str(name), table.rows(rows), judged["loss"].rows(rows)))
    return lines


def external_section(folder: Path) -> list[str]:
    """The figures on third-party curves."""
    lines = ["", "## `constant_lr_curves` (DeepOBS baselines, never trained on, judged by the shipped model)", ""]
    lines += ["Where the log is cut to a share of the run, labels are by the whole run or by the loss at the cut.", ""]
    lines.append(HEAD)
    for kind in ("minibatch", "epochs"):
        for share, relabelled in ((1.0, False), (0.3, False), (0.3, True), (0.1, False), (0.1, True)):
            items = list(read_constant_lr_curves(folder, kind, share, relabelled))
            table = make_table(items)
            about = (
                kind if share == 1.0 else f"{kind}, first {share:.0%}, label at the {'cut' if relabelled else 'end'}"
            )
            lines += [line(f"{NAMES[v]}: {about}", table, judge_shipped(table, v)) for v in ("loss", "lr")]
            if share == 1.0:
                lines += [text.replace("| ", f"| {kind}: ", 1) for text in peer_lines(items, table)]
    return lines


def draw(table: Table, judged: dict[str, Judged], path: Path) -> None:
    """The reliability diagram of every variant beside the diagonal."""
    import altair as alt

    from lrscope.report.save import save_chart
    from lrscope.report.theme import data

    rows = [
        {"read": NAMES[variant], "said": said, "was": was, "curves": count}
        for variant, found in judged.items() for said, was, count in reliability(table, found)
    ]  # fmt: skip
    x = alt.X("said:Q", title="probability said", scale=alt.Scale(domain=[0.3, 1.0]))
    y = alt.Y("was:Q", title="share that was right", scale=alt.Scale(domain=[0.3, 1.0]))
    color = alt.Color("read:N", title="what is read", sort=list(NAMES.values()))
    points = alt.Chart(data(rows)).encode(x, y, color)
    diagonal = alt.Chart(data([{"said": 0.3, "was": 0.3}, {"said": 1.0, "was": 1.0}])).encode(x, y)
    chart = alt.layer(diagonal.mark_line(style="muted", strokeDash=[4, 4]), points.mark_line(point=True))
    save_chart(chart.properties(width=420, height=420, title="Probabilities on tasks never trained on"), path)


def main() -> None:
    """Compute every figure and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path(".cache/diagnosis"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", type=Path, help="the folder that the peers are installed in")
    arguments = parser.parse_args()
    if arguments.peers is not None:
        sys.path.append(str(arguments.peers))
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    table = read_table(arguments.runs)
    judged = {variant: judge_left_out(arguments.runs, table, variant) for variant in VARIANTS}
    machine = f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
    made_by = "Made by `python -m benchmarks.diagnosis.evaluate` after `make_runs` and `train`"
    lines = ["# Diagnosis: measured figures", "", f"{made_by}, on {machine}.", ""]
    lines += left_out_section(table, judged, arguments.runs)
    lines += ["", "Reliability on left-out tasks (probability said, share right, curves):", ""]
    for variant, found in judged.items():
        said = "; ".join(f"{c:.2f} {a:.2f} ({n})" for c, a, n in reliability(table, found))
        lines.append(f"- {NAMES[variant]}: {said}")
    lines += ["", "![Reliability diagram](diagnosis_reliability.svg)"]
    folder = arguments.data / "constant_lr_curves"
    if folder.exists():
        lines += external_section(folder)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(table, judged, RESULTS.with_name("diagnosis_reliability.svg"))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
