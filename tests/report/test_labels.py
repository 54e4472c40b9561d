"""Labels that would lie on each other."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from lrscope.report.charts.batch_law import rate_against_batch
from lrscope.report.charts.labels import readable
from lrscope.report.charts.u_curve import loss_against_rate
from lrscope.report.theme import CATEGORY_COLORS, order_colors
from lrscope.study.result import StudyResult


def texts(chart: Any) -> list[str]:
    """The labels that a chart shows."""
    spec = chart.to_dict()
    layers = [layer for layer in spec["layer"] if "text" in layer["encoding"]]
    return [row["text"] for layer in layers for row in layer.get("data", spec.get("data"))["values"] if row["text"]]


def test_of_labels_on_one_spot_the_first_choice_stands() -> None:
    places = [(0.5, 0.5), (0.51, 0.5), (0.52, 0.5), (0.9, 0.5)]
    assert readable(places) == [True, False, False, True]
    assert readable(places, first=[2]) == [False, False, True, True]
    assert readable([]) == []


def test_few_optima_keep_their_labels(study: StudyResult) -> None:
    assert len(texts(loss_against_rate(study.optima, "val_loss"))) == len(study.optima)
    assert len(texts(rate_against_batch(study.optima, ()))) == len(study.optima)


def test_many_optima_on_one_spot_do_not_write_over_each_other(fake: ModuleType) -> None:
    many = fake.fake_study(batch_sizes=tuple(range(512, 536)), seeds=1).optima
    assert 0 < len(texts(loss_against_rate(many, "val_loss"))) < 6
    assert 2 <= len(texts(rate_against_batch(many, ()))) < len(many)


def test_a_batch_size_too_many_for_the_house_colours_still_has_one_of_its_own() -> None:
    assert order_colors(3) == CATEGORY_COLORS[:3]
    many = order_colors(40)
    assert len(set(many)) == 40
