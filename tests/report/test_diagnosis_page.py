"""The diagnosis's page: every run, what was seen on it, and the four-curve figure from the user's own runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lrscope.curves.curve import Curve
from lrscope.diagnosis.compare import compare
from lrscope.diagnosis.diagnose import diagnose
from lrscope.report.charts.diagnosis import all_runs, four_curves, run_chart
from lrscope.report.diagnosis import diagnosis_page, write_diagnosis

STEP = np.arange(300)
FINAL = {0.001: 2.0, 0.1: 0.30, 1.0: 1.2, 5.0: 2.35}


def sweep() -> list[Curve]:
    rng = np.random.default_rng(0)
    return [
        Curve(
            name=f"lr={lr}",
            step=STEP,
            loss=final + (2.3 - final) * np.exp(-STEP / 20) + 0.01 * rng.normal(size=300),
            lr=np.full(300, lr),
        )
        for lr, final in FINAL.items()
    ]


def texts(chart: object) -> str:
    return str(chart.to_dict())  # type: ignore[attr-defined]


def test_the_four_curves_are_drawn_from_the_runs_at_hand() -> None:
    curves = sweep()
    figure = four_curves(curves, compare(curves))
    assert figure is not None
    for regime in ("very high", "high", "good", "low"):
        assert f"{regime}: lr=" in texts(figure)
    assert four_curves(curves[:1], compare(curves)[:1]) is None


def test_what_was_seen_is_marked_on_the_curve() -> None:
    curves = sweep()
    verdicts = compare(curves)
    assert "still falling" in texts(run_chart(curves[0], verdicts[0]))
    assert "plateau" in texts(run_chart(curves[2], verdicts[2]))
    spiky = curves[1].loss.copy()
    spiky[[100, 200]] += 5.0
    curve = Curve(name="spiky", step=STEP, loss=spiky, val_step=STEP[::50], val_loss=spiky[::50])
    chart = texts(run_chart(curve, diagnose(curve)))
    assert "spike" in chart
    assert "validation" in chart


def test_a_page_names_every_run_and_every_advice(tmp_path: Path) -> None:
    curves = [*sweep(), Curve(name="lost", step=STEP, loss=np.where(STEP < 3, 2.3, np.nan), lr=np.full(300, 50.0))]
    verdicts = compare(curves)
    page = diagnosis_page(curves, verdicts).write(tmp_path / "page.html").read_text()
    for verdict in verdicts:
        assert verdict.name in page
        assert verdict.advice.split(":")[0] in page
    assert "The learning rate and the curve" in page


def test_curves_without_a_finite_loss_are_drawn_too(tmp_path: Path) -> None:
    curves = [Curve(name=str(k), step=STEP, loss=np.full(300, np.nan), lr=np.full(300, 1.0)) for k in range(2)]
    verdicts = [diagnose(curve) for curve in curves]
    assert all_runs(curves, verdicts) is not None
    assert write_diagnosis(curves, verdicts, tmp_path / "page.html").exists()
    assert write_diagnosis(curves[:1], verdicts[:1], tmp_path / "one.svg").exists()
