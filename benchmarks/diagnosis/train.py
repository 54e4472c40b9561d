"""Fit the diagnosis's model on the trained sweeps and write src/lrscope/diagnosis/model.json.

    nice -n 10 python -m benchmarks.diagnosis.train --runs .cache/diagnosis

Everything that is chosen here (temperature, thresholds, intervals) is chosen on predictions for left-out tasks.
"""

from __future__ import annotations

import argparse
import json
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.diagnosis.dataset import Labelled, read_all
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression, Ridge

from lrscope.curves.curve import Curve
from lrscope.diagnosis.diagnose import decide, ended_not_finite
from lrscope.diagnosis.evidence import curve_rate
from lrscope.diagnosis.model import VARIANTS, Model, feature_vector
from lrscope.diagnosis.regime import REGIMES
from lrscope.diagnosis.shape import LARGEST, make_shape

MODEL = Path(__file__).parents[2] / "src/lrscope/diagnosis/model.json"
QUANTILES = (0.2, 0.5, 0.8)
"""Where the hinges of a feature stand."""
STRENGTH = 0.005
"""How far the coefficients may go (the inverse of the penalty), chosen on left-out tasks: less and more are worse."""
FOLDS = 11
MOST_ROWS = 12_000
"""What is fitted to at most, drawn from all: the views of a run are much alike, and more rows change nothing."""
CERTAIN = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Table:
    """The labelled curves as arrays, one row each; what lies in `features` is the monitor variant's vector."""

    features: np.ndarray
    diverged: np.ndarray
    regime: np.ndarray
    accepted: np.ndarray
    log_factor: np.ndarray
    log_good: np.ndarray
    task: np.ndarray
    sweep: np.ndarray
    view: np.ndarray
    decayed: np.ndarray
    survived: np.ndarray
    usual: np.ndarray
    """log10 of what counts as the usual rate of the row's optimizer."""
    points: np.ndarray
    excess: np.ndarray

    def rows(self, chosen: np.ndarray) -> Table:
        """The chosen rows."""
        return Table(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.regime)


def survived_steps(curve: Curve) -> float:
    """The steps until the loss was not finite."""
    finite = np.flatnonzero(np.abs(curve.loss) < LARGEST)
    last = int(finite[-1]) if len(finite) else 0
    return float(curve.step[min(last + 1, len(curve) - 1)] - curve.step[0])


def make_table(curves: list[Labelled] | object) -> Table:
    """Features and labels of every curve; diverged = the rule decides, no model is asked."""
    rows = []
    width = len(VARIANTS["monitor"])
    for item in curves:  # type: ignore[attr-defined]
        shape = make_shape(item.curve)
        diverged = ended_not_finite(item.curve) or shape is None
        vector = np.full(width, np.nan)
        if diverged:
            vector[VARIANTS["lr"].index("usual_rate")] = curve_rate(item.curve)
        else:
            vector = feature_vector(item.curve, shape, "monitor")
        accepted = [name in item.accepted for name in REGIMES]
        factor = np.log10(item.factor)
        rows.append(
            (vector, diverged, REGIMES.index(item.regime), accepted, factor[0], factor[1:], item.task, item.sweep,
             item.view, item.decayed, survived_steps(item.curve),
             float(np.log10(np.nanmax(item.curve.lr))) - curve_rate(item.curve), len(item.curve), item.excess)
        )  # fmt: skip
    return Table(*(np.array(column) for column in zip(*rows, strict=True)))


def read_table(folder: Path) -> Table:
    """The table of the sweeps in a folder, kept beside them."""
    cache = folder / "table.npz"
    newest = max(path.stat().st_mtime for path in folder.glob("*-[0-9][0-9].npz"))
    if cache.exists() and cache.stat().st_mtime > newest:
        with np.load(cache) as data:
            return Table(**data)
    table = make_table(read_all(folder))
    np.savez_compressed(cache, **{name: getattr(table, name) for name in table.__dataclass_fields__})
    return table


def weights(table: Table) -> np.ndarray:
    """Every regime weighs the same, as does every task within it; runs on a line weigh a third."""
    weight = np.where(table.accepted.sum(1) > 1, 0.3, 1.0)
    for k in range(len(REGIMES)):
        for task in np.unique(table.task):
            cell = (table.regime == k) & (table.task == task)
            if cell.any():
                weight[cell] /= np.sqrt(cell.sum() * (table.regime == k).sum())
        weight[table.regime == k] /= weight[table.regime == k].sum()
    return weight * len(table) / weight.sum()


def forget_facts(table: Table) -> Table:
    """Some rows as people's logs: no optimizer's name (30 %), "sgd" for momentum, steps that are epochs (30 %)."""
    rng, features = np.random.default_rng(0), table.features.copy()
    draw = rng.random(len(table))
    momentum = (draw > 0.5) & np.isin(np.round(table.usual, 3), (-2.0, -3.0))
    shift = np.where(draw < 0.3, table.usual + 2.0, 0.0) + np.where(momentum, table.usual + 1.0, 0.0)
    for name in ("usual_rate", "rate_times_steps"):
        features[:, VARIANTS["lr"].index(name)] += shift
    epochs = rng.random(len(table)) < 0.3
    for name in ("rate_times_steps", "gradient_reach", "travel", "journey"):
        features[epochs, VARIANTS["monitor"].index(name)] = np.nan
    return replace(table, features=features)


def fit(table: Table, variant: str) -> Model:
    """A variant's model, without temperature, thresholds and intervals."""
    rows = np.flatnonzero(~table.diverged)
    table = forget_facts(table.rows(np.random.default_rng(0).permutation(rows)[:MOST_ROWS]))
    features = table.features[:, : len(VARIANTS[variant])]
    low, high = np.nanquantile(features, [0.005, 0.995], axis=0)
    clipped = np.clip(features, low, high)
    spread = np.maximum(np.nanstd(clipped, axis=0), 1e-6)
    blank = Model(
        variant=variant, names=VARIANTS[variant], low=low, high=high, centre=np.nanmean(clipped, axis=0), spread=spread,
        knots=np.nanquantile(clipped, QUANTILES, axis=0), coefficients=np.zeros((4, 0)), intercept=np.zeros(4),
        temperature=1.0, factor_coefficients=np.zeros((4, 0)), factor_intercept=np.zeros(4),
        factor_spread=np.zeros((4, 2)), doubt=0.0, good_bonus=0.0,
    )  # fmt: skip
    inputs, weight = blank.inputs(features), weights(table)
    size = inputs.std(0) + 1e-9  # alike sizes: the penalty treats every input alike, and the fit is quick
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it stops short of its tolerance, it is near enough
        classifier = LogisticRegression(C=STRENGTH, max_iter=150).fit(inputs / size, table.regime, sample_weight=weight)
    factors = []
    for k in range(len(REGIMES)):
        rows = table.regime == k
        factors.append(Ridge(alpha=30.0).fit(inputs[rows] / size, table.log_factor[rows], sample_weight=weight[rows]))
    return replace(
        blank, coefficients=classifier.coef_ / size, intercept=classifier.intercept_,
        factor_coefficients=np.stack([f.coef_ / size for f in factors]),
        factor_intercept=np.array([f.intercept_ for f in factors]),
    )  # fmt: skip


def folds(table: Table) -> list[np.ndarray]:
    """The tasks in groups; each group is left out once."""
    tasks = np.random.default_rng(0).permutation(np.unique(table.task))
    return [np.isin(table.task, group) for group in np.array_split(tasks, min(FOLDS, len(tasks)))]


def left_out(table: Table, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """(rows, regimes) probabilities and log10 factors of each row by the model that never saw its task."""
    probabilities, factor = np.zeros((len(table), 4)), np.zeros((len(table), 4))
    for held in folds(table):
        model = fit(table.rows(~held), variant)
        rows = held & ~table.diverged
        features = table.features[rows][:, : len(model.names)]
        probabilities[rows], factor[rows] = model.probabilities(features), model.log_factor(features)
    probabilities[table.diverged] = CERTAIN
    return probabilities, factor


def kept_left_out(folder: Path, table: Table, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """`left_out` of the folder's table, kept beside it; made anew where the table is newer."""
    kept, made = folder / f"left_out_{variant}.npz", folder / "table.npz"
    if kept.exists() and kept.stat().st_mtime > made.stat().st_mtime:
        with np.load(kept) as data:
            return data["raw"], data["factor"]
    raw, factor = left_out(table, variant)
    np.savez_compressed(kept, raw=raw, factor=factor)
    return raw, factor


def score(table: Table, verdict: np.ndarray) -> tuple[float, np.ndarray]:
    """Balanced accuracy and recall by regime of verdicts (4 = inconclusive, which is left out of both)."""
    decided = verdict < 4
    right = table.accepted[np.arange(len(table)), np.minimum(verdict, 3)]
    recall = np.array([right[decided & (table.regime == k)].mean() for k in range(4) if (table.regime == k).any()])
    return float(recall.mean()), recall


def spared(table: Table, verdict: np.ndarray) -> float:
    """The share of good runs that are called good or inconclusive (runs on a line: what counts as right for them)."""
    good = table.regime == 2
    right = table.accepted[np.arange(len(table)), np.minimum(verdict, 3)]
    return float(((verdict == 4) | right)[good].mean())


@dataclass(frozen=True)
class Calibration:
    """What is chosen on predictions for left-out tasks."""

    temperature: float
    doubt: float
    good_bonus: float
    factor_spread: np.ndarray

    def probabilities(self, table: Table, raw: np.ndarray) -> np.ndarray:
        """(rows, regimes) raw probabilities at this temperature; certain where the loss is not finite."""
        logits = np.log(raw + 1e-12) / self.temperature
        out = np.exp(logits - logits.max(1, keepdims=True))
        out /= out.sum(1, keepdims=True)
        out[table.diverged] = CERTAIN
        return out


def as_logged(table: Table, variant: str) -> np.ndarray:
    """(rows,) whether a row is logged as what the variant reads is: the monitor writes every step itself."""
    return (table.view == "step") | (variant != "monitor")


def calibrate(table: Table, raw: np.ndarray, factor: np.ndarray) -> Calibration:
    """Temperature (likelihood of the labels), thresholds and the factor's intervals.

    Arguments: raw (rows, regimes) probabilities, factor (rows, regimes) log10 factors, both for left-out tasks.
    """
    judged = ~table.diverged
    truth = table.regime[judged]

    def surprise(temperature: float) -> float:
        calibrated = Calibration(temperature, 0, 1, np.empty(0)).probabilities(table, raw)[judged]
        return -float(np.log(calibrated[np.arange(len(truth)), truth] + 1e-9).mean())

    temperature = float(minimize_scalar(surprise, bounds=(0.5, 3.0), method="bounded", options={"xatol": 0.01}).x)
    probabilities = Calibration(temperature, 0, 1, np.empty(0)).probabilities(table, raw)
    doubt, bonus = choose_thresholds(table, probabilities)
    verdict, spread = decide(probabilities, doubt=doubt, good_bonus=bonus), []
    for k in range(len(REGIMES)):
        rows = judged & (verdict == k)  # wrong verdicts too: the interval is to hold whatever was said
        spread.append(np.quantile(table.log_factor[rows] - factor[rows, k], (0.1, 0.9)))
    return Calibration(round(temperature, 3), doubt, bonus, np.array(spread))


def choose_thresholds(table: Table, probabilities: np.ndarray) -> tuple[float, float]:
    """The doubt and bonus of the best balanced accuracy with ≤ 9 % inconclusive, ≥ 94 % of good runs not accused."""
    some = np.random.default_rng(0).permutation(len(table))[:10000]
    table, probabilities = table.rows(some), probabilities[some]
    best, chosen = -np.inf, (0.45, 1.0)
    for doubt in np.arange(0.40, 0.62, 0.02):
        for bonus in np.arange(1.0, 4.01, 0.2):
            verdict = decide(probabilities, doubt=float(doubt), good_bonus=float(bonus))
            balanced, _ = score(table, verdict)
            undecided = float((verdict == 4).mean())
            value = balanced - 0.1 * undecided - 3 * max(0.0, 0.94 - spared(table, verdict))
            value -= 3 * max(0.0, undecided - 0.09)
            if value > best:
                best, chosen = value, (round(float(doubt), 2), round(float(bonus), 2))
    return chosen


def fit_diverged(table: Table) -> dict[str, float]:
    """The rule for runs whose loss is not finite; its interval from left-out tasks."""
    names = list(VARIANTS["lr"])
    rows = table.rows(table.diverged & (table.view != "evaluated"))
    lived = np.log10(1.0 + np.maximum(0.0, rows.survived))
    rate = rows.features[:, names.index("usual_rate")]
    known = np.isfinite(rate)
    plain = Ridge(alpha=1.0).fit(lived[:, None], rows.log_factor)
    inputs = np.stack([lived, rate], 1)
    rated = Ridge(alpha=1.0).fit(inputs[known], rows.log_factor[known])
    residual = rows.log_factor[known] - rated.predict(inputs[known])
    below, above = np.quantile(residual, (0.1, 0.9))
    return {
        "intercept": float(plain.intercept_), "survived": float(plain.coef_[0]),
        "intercept_with_rate": float(rated.intercept_), "survived_with_rate": float(rated.coef_[0]),
        "rate": float(rated.coef_[1]), "below": float(below), "above": float(above),
    }  # fmt: skip


def to_json(model: Model) -> dict[str, object]:
    """A variant's part of model.json, in four significant digits."""
    out: dict[str, object] = {"names": list(model.names)}
    for name in Model.__dataclass_fields__:
        if name in ("variant", "names"):
            continue
        value = getattr(model, name)
        out[name] = (
            np.vectorize(lambda x: float(f"{x:.4g}"))(value).tolist() if isinstance(value, np.ndarray) else value
        )
    return out


def main() -> None:
    """Fit every variant and write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path(".cache/diagnosis"))
    arguments = parser.parse_args()
    np.seterr(all="ignore")
    table = read_table(arguments.runs)
    variants = {}
    for variant in VARIANTS:
        raw, factor = kept_left_out(arguments.runs, table, variant)
        rows = as_logged(table, variant)
        chosen = calibrate(table.rows(rows), raw[rows], factor[rows])
        model = replace(
            fit(table, variant), temperature=chosen.temperature, doubt=chosen.doubt, good_bonus=chosen.good_bonus,
            factor_spread=chosen.factor_spread,
        )  # fmt: skip
        variants[variant] = to_json(model)
        print(variant, "temperature", model.temperature, "doubt", model.doubt, "bonus", model.good_bonus, flush=True)
    tasks = sorted({str(task) for task in table.task})
    about = {
        "made_by": "python -m benchmarks.diagnosis.train",
        "regimes": list(REGIMES),
        "trained_on": {"tasks": tasks, "sweeps": len(np.unique(table.sweep)), "curves": len(table)},
    }
    document = {"schema": "lrscope/diagnosis-model/1", **about, "diverged": fit_diverged(table), "variants": variants}
    lines = json.dumps(document, indent=1)
    MODEL.write_text(compact(lines) + "\n", encoding="utf-8")


def compact(text: str) -> str:
    """JSON with its lists of numbers on one line each."""
    return re.sub(r"\[\s+([-0-9][^\[\]]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)


if __name__ == "__main__":
    main()
