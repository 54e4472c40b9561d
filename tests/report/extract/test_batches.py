"""Large against small batches: what is measured, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope.estimate import Estimate
from lrscope.report.extract.batches import compare_batches, update_cost
from lrscope.report.page import Page
from lrscope.report.sections.batches import add_large_against_small


@given(st.floats(1e-5, 1.0), st.floats(1e-7, 1e-2))
def test_a_planted_cost_comes_back_with_its_bend(overhead, per_example):
    sizes = [8, 32, 128, 512, 2048]
    cost = update_cost(sizes, [overhead + per_example * size for size in sizes])
    if 8 / 4 < overhead / per_example < 2048 * 4:
        assert cost.bend == pytest.approx(overhead / per_example, rel=1e-3)
        assert cost.examples_per_second(cost.bend) == pytest.approx(0.5 / per_example, rel=1e-3)


def test_one_batch_size_has_no_bend():
    assert update_cost([16, 16], [0.1, 0.1]) is None
    assert update_cost([16, 32], [0.1, float("nan")]) is None


def test_the_relative_variance_of_the_gradient_falls_as_one_over_b(study):
    noisy = replace(study, gradient_noise=Estimate(64.0, 48.0, None))
    rows = compare_batches(noisy).rows
    assert len(rows) > 1
    for row in rows:
        assert row.gradient_variance.mean == pytest.approx(64 / row.batch_size)
        assert row.gradient_variance.low == pytest.approx(48 / row.batch_size)
    assert all(row.gradient_variance is None for row in compare_batches(study).rows)


def test_the_page_says_where_the_throughput_bends_and_which_batches_end_better(study):
    page = Page("batches")
    add_large_against_small(page, replace(study, gradient_noise=Estimate(64.0, 48.0, 90.0)))
    text = page.html().partition("<script")[0]
    assert "relative variance of the gradient" in text
    assert "end better here" in text or "end alike here" in text
    assert "An update costs about" in text
    assert "Fastest in seconds" in text
    assert "Cheapest in examples" in text
