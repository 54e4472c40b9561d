"""The house theme: legible on both backgrounds, and data that JSON takes."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
import pytest

from lrscope.report.theme import (
    CATEGORY_COLORS,
    LEARNING_RATE_RAMP,
    LEARNING_RATE_RAMP_DARK,
    REGIME_COLORS,
    chart_config,
    data,
    log_axis,
    themed,
)


def luminance(color: str) -> float:
    channels = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#171b21"])
def test_marks_stand_out_on_white_and_on_black(background: str) -> None:
    for color in (*REGIME_COLORS.values(), *CATEGORY_COLORS):
        assert contrast(color, background) >= 2.2, color
    ramp = LEARNING_RATE_RAMP if background == "#ffffff" else LEARNING_RATE_RAMP_DARK
    for color in ramp:
        assert contrast(color, background) >= 2.0, color


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable(dark: bool) -> None:
    config = chart_config(dark)
    background = "#171b21" if dark else "#ffffff"
    for color in (config["axis"]["labelColor"], config["axis"]["titleColor"], config["legend"]["labelColor"]):
        assert contrast(color, background) >= 4.5


def test_a_charts_own_configuration_comes_before_the_themes() -> None:
    spec = themed(alt.Chart(data([])).mark_point().configure_axis(labelFontSize=20))
    assert spec["config"]["axis"]["labelFontSize"] == 20
    assert spec["config"]["axis"]["titleFontSize"] == chart_config()["axis"]["titleFontSize"]


def test_data_is_plain_and_has_no_infinity() -> None:
    rows = [{"a": np.float64(1 / 3), "b": np.int64(2), "c": np.array([1.0, math.nan]), "d": None, "e": True}]
    assert data(rows).to_dict() == {"values": [{"a": 0.33333, "b": 2, "c": [1.0, None], "d": None, "e": True}]}


def test_more_rows_than_altairs_limit_are_no_fault() -> None:
    assert len(themed(alt.Chart(data([{"x": k} for k in range(6000)])).mark_point())["data"]["values"]) == 6000


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.01, 1.0, [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]),
        (0.9, 3.5, [1, 1.5, 2, 3]),
        (1e-6, 1.1, [10.0**k for k in range(-6, 1)]),
    ],
)
def test_logarithmic_ticks_suit_the_range(low: float, high: float, ticks: list[float]) -> None:
    assert log_axis(low, high).to_dict()["values"] == pytest.approx(ticks)
