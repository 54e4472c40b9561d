"""A table of runs as arrays: groups, laws in company or alone, predictions, and the run to make next."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrscope.errors import InvalidInput
from lrscope.scaling.table import Runs, scale_runs, scale_steps


def runs(groups=({},), growth=0.5, sizes=(16, 32, 64, 128), shift=lambda group: 0.0, octaves=range(-3, 4)):
    """Parabolas whose optimum is 2^(-8 + shift(group)) (B/16)^growth."""
    lr, loss, batch = [], [], []
    by = {name: [] for name in groups[0]}
    for group in groups:
        for size in sizes:
            best = -8 + shift(group) + growth * math.log2(size / 16)
            for octave in octaves:
                rate = round(best) + octave
                lr.append(2.0**rate)
                loss.append(2 + 0.05 * (rate - best) ** 2)
                batch.append(float(size))
                for name, value in group.items():
                    by[name].append(value)
    return Runs(lr=np.array(lr), loss=np.array(loss), batch_size=np.array(batch), by=by)


def test_numbers_join_and_words_split():
    groups = [{"n": n, "kind": kind} for kind in ("a", "b") for n in (1.0, 2.0, 4.0)]
    scaling = scale_runs(runs(groups, shift=lambda group: -0.5 * math.log2(group["n"])), [512])
    assert scaling.covariates == ("n",)
    assert [dict(group.group) for group in scaling.groups][:2] == [{"n": 1.0, "kind": "a"}, {"n": 1.0, "kind": "b"}]
    for group in scaling.groups:
        truth = 2**-8 * group.group["n"] ** -0.5 * math.sqrt(32)
        ((size, found),) = group.predictions
        assert size == 512
        assert found.value == pytest.approx(truth, rel=0.2)
        assert "exponent of n" in group.laws[0].parameters


def test_two_and_four_times_the_largest_are_predicted_unasked():
    (group,) = scale_runs(runs()).groups
    assert [size for size, _ in group.predictions] == [256, 512]


def test_an_open_curve_is_the_run_to_make_next():
    (group,) = scale_runs(runs(octaves=range(4))).groups
    assert group.next_run.batch_size == 128
    assert group.next_run.lr < 2**-6
    assert "lowest rate tried" in group.next_run.why


def test_two_batch_sizes_say_that_they_cannot_tell():
    (group,) = scale_runs(runs(sizes=(16, 64), octaves=(-3, 0, 3), growth=0.4)).groups
    assert any("do not tell the laws apart" in note for note in group.notes)
    (group,) = scale_runs(runs(sizes=(16,))).groups
    assert any("One batch size" in note for note in group.notes)
    assert group.predictions[0][1].low < 2**-8 * math.sqrt(2) < group.predictions[0][1].high


def test_runs_that_all_diverged_predict_nothing():
    table = Runs(lr=np.array([0.1, 0.2]), loss=np.full(2, np.inf), batch_size=np.array([8.0, 8.0]), by={})
    (group,) = scale_runs(table, [64]).groups
    assert (group.laws, group.predictions) == ((), ())
    assert any("nothing can be predicted" in note for note in group.notes)


def test_steps_need_three_batch_sizes():
    by = {"model": ["a"] * 3 + ["b"] * 2}
    one, other = scale_steps(np.array([8.0, 16, 32, 8, 16]), np.array([400.0, 210, 120, 400, 200]), by).groups
    assert one.steps_law is not None
    assert other.steps_law is None
    assert "at least three" in other.notes[0]


def test_bad_input_is_one_sentence():
    with pytest.raises(InvalidInput, match="no run"):
        scale_runs(Runs(lr=np.empty(0), loss=np.empty(0), by={}))
    with pytest.raises(InvalidInput, match="batch size must be positive"):
        scale_runs(Runs(lr=np.array([0.1]), loss=np.array([1.0]), batch_size=np.array([np.nan]), by={}))
