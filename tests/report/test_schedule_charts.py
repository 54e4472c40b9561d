"""Charts of schedules: what they show, and that they draw."""

import numpy as np

from lrscope.report.charts.schedules import bound_chart, corner_steps, forecast_chart, refinement_chart, schedule_chart
from lrscope.report.save import save_chart
from lrscope.schedules.bound import convex_bound
from lrscope.schedules.forecast import LossForecast, scheduled_run
from lrscope.schedules.refine import refine_schedule

STEP = np.arange(5000)
LINEAR = 1 - STEP / 5000


def test_a_jump_stays_upright_however_long_the_run():
    rates = np.where(STEP < 3210, 1.0, 0.1)
    drawn = corner_steps(rates)
    assert {3209, 3210} <= set(drawn)
    assert len(drawn) < 800


def test_all_charts_draw(tmp_path):
    runs = [scheduled_run("measured", STEP[1:], LINEAR[1:], 3 - STEP[1:] / 5000)]
    ahead = LossForecast(step=STEP * 1.0, loss=3 - LINEAR, low=2.9 - LINEAR, high=3.1 - LINEAR)
    charts = {
        "one": schedule_chart(["linear"], STEP, [LINEAR]),
        "two": schedule_chart(["linear", "constant"], STEP, [LINEAR, np.ones(5000)], peak_lr=3e-4),
        "refined": refinement_chart(refine_schedule(1 + np.exp(-STEP / 300)), LINEAR),
        "bound": bound_chart(["linear", "constant"], [convex_bound(LINEAR), convex_bound(np.ones(5000))]),
        "forecast": forecast_chart(ahead, "linear", runs),
    }
    for name, chart in charts.items():
        svg = save_chart(chart, tmp_path / f"{name}.svg").read_text()
        assert "<path" in svg
    assert "forecast: linear" in (tmp_path / "forecast.svg").read_text()
