"""What each rule says of a learning rate at another batch size, and which one is taken."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrscope import scale_learning_rate
from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.scaling.batch_law import fit_batch_law
from lrscope.scaling.rules import Batch


def said(scaled):
    return {rule.name: rule.lr for rule in scaled.rules}


def test_each_rule_by_its_formula():
    rules = said(scale_learning_rate(0.1, 64, 256, "sgd", noise_scale=128))
    assert rules["keep"] == 0.1
    assert rules["linear"] == pytest.approx(0.4)
    assert rules["square-root"] == pytest.approx(0.2)
    assert rules["noise-scale"] == pytest.approx(0.1 * (1 + 128 / 64) / (1 + 128 / 256))
    assert rules["surge"] == pytest.approx(0.1 * 1.0)  # 64 and 256 lie alike on either side of 128
    adam = said(scale_learning_rate(0.1, 64, 256, "adam", noise_scale=128))
    assert adam["noise-scale"] == pytest.approx(0.1 * math.sqrt(3 / 1.5))


@pytest.mark.parametrize(
    ("optimizer", "options", "taken"),
    [
        ("sgd", {}, "linear"),
        ("adam", {}, "square-root"),
        ("adamw", {}, "square-root"),
        ("sgd", {"noise_scale": 100.0}, "noise-scale"),
        ("adamw", {"noise_scale": 100.0}, "noise-scale"),
    ],
)
def test_the_rule_that_is_taken_says_why(optimizer, options, taken):
    scaled = scale_learning_rate(0.1, 32, 128, optimizer, **options)
    assert scaled.rule == taken
    assert scaled.reason.endswith(".")
    assert scaled.lr.low < scaled.lr.value < scaled.lr.high
    assert scaled.lr.value == pytest.approx(said(scaled)[taken])


@given(st.floats(1e-5, 1), st.integers(1, 4096), st.integers(1, 4096))
def test_there_and_back_again(lr, one, other):
    there = scale_learning_rate(lr, one, other, "adamw", beta2=0.95)
    back = scale_learning_rate(there.lr.value, other, one, "adamw", beta2=min(there.beta2, 1 - 1e-12))
    assert back.lr.value == pytest.approx(lr)
    if 1e-6 < there.beta2 < 1 - 1e-6:
        assert back.beta2 == pytest.approx(0.95, abs=1e-4)


def test_beta2_keeps_its_half_life_in_examples():
    scaled = scale_learning_rate(3e-4, 256, 1024, "adamw", beta2=0.95)
    assert 256 / math.log(0.95) == pytest.approx(1024 / math.log(scaled.beta2))
    assert scale_learning_rate(0.1, 256, 1024, "sgd").beta2 is None


def test_spreading_the_same_examples_differently_keeps_the_rate():
    one, other = Batch(per_device=64), Batch(per_device=4, devices=8, accumulation_steps=2)
    scaled = scale_learning_rate(0.1, one, other, "sgd")
    assert (scaled.rule, scaled.lr.value, scaled.steps_factor) == ("keep", 0.1, 1.0)
    wider = scale_learning_rate(0.1, one, Batch(per_device=64, devices=8), "sgd")
    assert (wider.to_batch, wider.lr.value) == (512, pytest.approx(0.8))


def test_measured_optima_beat_every_rule():
    optima = [Estimate(x, x / 1.1, x * 1.1) for x in (0.01, 0.0115, 0.0132, 0.0152)]  # a power of 0.2
    scaled = scale_learning_rate(0.02, 16, 128, "sgd", laws=fit_batch_law([16, 32, 64, 128], optima))
    assert scaled.rule == "fitted laws"
    assert scaled.lr.value == pytest.approx(0.02 * 8**0.2, rel=0.1)


def test_the_document_is_plain():
    document = scale_learning_rate(0.1, 32, 4096, "sgd", noise_scale=64).to_json()
    assert set(document) == {
        *("lr", "rule", "reason", "from_batch", "to_batch"),
        *("rules", "beta2", "steps_factor", "advice"),
    }
    assert any("beyond the noise scale" in sentence for sentence in document["advice"])
    assert any("far" in sentence for sentence in document["advice"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((-0.1, 1, 2, "sgd"), "'lr'"),
        ((0.1, 0, 2, "sgd"), "'from_batch'"),
        ((0.1, 1, float("inf"), "sgd"), "'to_batch'"),
        ((0.1, 1, 2, "lion"), "sgd, adam or adamw. Got 'lion'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says):
    with pytest.raises(InvalidInput, match=says):
        scale_learning_rate(*arguments)
    with pytest.raises(InvalidInput, match="'per_device' parameter of Batch must be an int >= 1"):
        Batch(per_device=0)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((0.1, 0.5, 8), {}, "'from_batch' .* whole number of examples"),
        ((0.1, 8, 64.5), {}, "'to_batch' .* whole number of examples"),
        ((0.1, True, 8), {}, "'from_batch' .* positive and finite. Got True"),
        ((0.1, "8", 16), {}, "'from_batch' .* positive and finite. Got '8'"),
        ((0.1, 8, None), {}, "'to_batch' .* positive and finite. Got None"),
        (("0.1", 8, 16), {}, "'lr' .* positive and finite. Got '0.1'"),
        ((0.1, 8, 16), {"noise_scale": Estimate(9.0, 8.0, 10.0)}, "'noise_scale' .* Got Estimate"),
        ((0.1, 8, 16), {"beta2": "0.9"}, "'beta2' .* between 0 and 1. Got '0.9'"),
    ],
)
def test_what_is_no_number_is_refused_by_name(arguments, options, says):
    with pytest.raises(InvalidInput, match=says):
        scale_learning_rate(*arguments, **options)
