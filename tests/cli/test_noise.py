"""`lrscope noise`: its document, its default rate, its sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TINY = f"{Path(__file__).parents[1] / 'study' / 'files' / 'tiny.py'}:regression"


def test_the_document_has_what_the_contract_says(run, tmp_path):
    ran = run("noise", TINY, "--out", tmp_path, "--batch-size", 8, "--seed", 3, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["schema"] == "lrscope/noise/1"
    assert document["task"] == "regression"
    assert document["batch_size"] == 8
    for name in ("initial", "noise_scale", "critical_batch_size"):
        assert set(document[name]) == {"value", "low", "high"}
        assert document[name]["value"] > 0
    assert document["trajectory"][0]["step"] == 0
    assert document["lr_from"] == "the optimizer's default"
    again = run("noise", TINY, "--out", tmp_path, "--batch-size", 8, "--seed", 3, "--json")
    assert {**json.loads(again.out), "seconds": 0} == {**document, "seconds": 0}


def test_the_rate_is_the_optimum_of_the_study_where_there_is_one(run, tmp_path):
    studied = run(
        "study", TINY, "--out", tmp_path, "--batch-sizes", "8", "--seeds", 1, "--executor", "serial",
        "--engine", "loop", "--json",
    )  # fmt: skip
    assert studied.code == 0, studied.err
    (optimum,) = json.loads(studied.out)["optima"]
    assert optimum["status"] == "found"
    document = json.loads(run("noise", TINY, "--out", tmp_path, "--batch-size", 8, "--json").out)
    assert document["lr"] == pytest.approx(optimum["optimal_lr"]["value"])
    assert str(tmp_path) in document["lr_from"]


def test_the_terminal_and_the_page(run, tmp_path):
    page = tmp_path / "noise.html"
    ran = run("noise", TINY, "--out", tmp_path, "--lr", 0.05, "--html", page)
    assert ran.code == 0, ran.err
    assert "Critical batch size" in ran.out
    assert page.stat().st_size > 1e5


def test_an_error_in_the_users_own_loss_is_shown_with_its_place(run):
    failing = Path(TINY.partition(":")[0]).with_name("failing.py")
    ran = run("noise", f"{failing}:raises_in_training")
    assert ran.code in (1, 2)
    assert ran.out == ""
    assert "ZeroDivisionError: division by zero" in ran.err
    assert "failing.py:" in ran.err
    assert "fault of lrscope" not in ran.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("nothing",), "There is no task 'nothing'"),
        ((TINY, "--lr", "-1"), "--lr must be a positive number"),
        ((TINY, "--batch-size", "0"), "batch size"),
        ((TINY, "--batch-size", "100000"), "larger than the training data"),
        ((TINY, "--html", "x.pdf"), "--html must name a file"),
    ],
)
def test_bad_input_is_one_sentence(run, options, says):
    ran = run("noise", *options)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.strip().splitlines()) == 1
    assert says in ran.err
