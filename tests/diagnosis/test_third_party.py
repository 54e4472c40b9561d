"""Third-party runs that nothing was trained on, read and judged as a person would; skipped where they are absent."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from lrscope.curves.readers import read_curves
from lrscope.diagnosis.diagnose import diagnose
from lrscope.diagnosis.regime import accepted_regimes, sweep_regimes

SHARED = Path(os.environ.get("LRSCOPE_SHARED", Path(__file__).parents[3] / "shared"))
FOLDER = SHARED / "data/constant_lr_curves"
PROBLEMS = ("cifar10_3c3d", "fmnist_2c2d", "quadratic_deep")


def labels() -> dict[str, tuple[str, frozenset[str]]]:
    """Run -> its regime by the rule of the sweep, and what else counts as right."""
    with (FOLDER / "runs.csv").open(encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for problem in PROBLEMS:
        with (FOLDER / f"epochs_{problem}.csv").open(encoding="utf-8") as file:
            initial = float(np.median([float(r["train_loss"]) for r in csv.DictReader(file) if r["epoch"] == "0"]))
        for optimizer in {run["optimizer"] for run in runs}:
            sweep = [run for run in runs if (run["problem"], run["optimizer"]) == (problem, optimizer)]
            lr = [float(run["lr"]) for run in sweep]
            final = [float("nan") if run["diverged"] != "0" else float(run["final_train_loss"]) for run in sweep]
            regimes, accepted = sweep_regimes(lr, final, initial), accepted_regimes(lr, final, initial)
            for run, regime, right in zip(sweep, regimes, accepted, strict=True):
                found[run["run"]] = (regime, frozenset(map(str, right)))
    return found


@pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the third-party curves are not here: their balanced accuracy is missed"
)
@pytest.mark.parametrize("kind", ["epochs", "minibatch"])
@pytest.mark.parametrize("variant", ["loss", None])
def test_curves_never_trained_on(kind: str, variant: str | None) -> None:
    truth, right = labels(), defaultdict(list)
    undecided = count = 0
    for problem in PROBLEMS:
        for curve in read_curves(FOLDER / f"{kind}_{problem}.csv"):
            regime, accepted = truth[curve.name.rsplit("/", 1)[1]]
            verdict = diagnose(curve, variant=variant).regime
            count += 1
            undecided += verdict == "inconclusive"
            if verdict != "inconclusive":
                right[regime].append(verdict in accepted)
    balanced = np.mean([np.mean(each) for each in right.values()])
    assert balanced > 0.78
    assert np.mean(right["good"]) > 0.9
    assert undecided <= 0.1 * count
