"""What the fitted cells say of another one: a power law, offsets between schedules, alike curvatures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrscope.scaling.u_curve import fit_u_curve
from lrscope.study.placement import SCATTER, expect
from lrscope.study.space import Cell


def fitted(optimum: float, curvature: float = 0.05):
    octaves = np.arange(-3.0, 4.0) + 0.1
    return fit_u_curve(optimum * 2.0**octaves, 0.2 + curvature * octaves**2 / 2, initial_loss=2.2)


def cell(batch_size: int, schedule: str = "cosine") -> Cell:
    return Cell(batch_size=batch_size, schedule=schedule)


def test_nothing_known_says_nothing():
    assert expect(cell(64), {}) is None
    assert expect(cell(64), {cell(64): fitted(0.1)}) is None


def test_one_cell_gives_its_own_place_and_a_gentle_power():
    prior = expect(cell(256), {cell(64): fitted(0.1)}, 2.0)
    assert 0.2 <= prior.minimum - math.log2(0.1) <= 1.2
    assert prior.minimum_sd > SCATTER


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_several_cells_show_the_power(exponent):
    cells = {cell(size): fitted(0.01 * (size / 16) ** exponent) for size in (16, 32, 64, 128, 256)}
    prior = expect(cell(1024), cells, 2.0)
    assert prior.minimum == pytest.approx(math.log2(0.01) + 6 * exponent, abs=1.0)


def test_more_cells_make_it_surer():
    one = expect(cell(128), {cell(64): fitted(0.1)}, 2.0)
    two = expect(cell(128), {cell(64): fitted(0.1), cell(256): fitted(0.2)}, 2.0)
    assert two.minimum_sd < one.minimum_sd


def test_a_schedule_s_offset_is_learned_from_other_batch_sizes():
    cells = {cell(16): fitted(0.01), cell(64): fitted(0.02), cell(16, "constant"): fitted(0.0025)}
    with_offset = expect(cell(64, "constant"), cells, 2.0)
    assert with_offset.minimum < math.log2(0.02) - 0.75


def test_curvatures_are_carried_as_shares_of_the_gain():
    prior = expect(cell(128), {cell(64): fitted(0.1, curvature=0.08)}, 4.0)
    assert prior.log_curvature == pytest.approx(math.log(0.08 / 2.0 * 4.0), abs=0.4)
    assert expect(cell(128), {cell(64): fitted(0.1)}).log_curvature is None
