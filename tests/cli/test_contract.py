"""Each command's document on real output, field by field: keys, nesting, types, order and nulls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

TINY = f"{Path(__file__).parents[1] / 'study' / 'files' / 'tiny.py'}:regression"
FAST = ("--executor", "serial", "--seeds", 1)

NUMBER = (int, float)
ESTIMATE = {"value": NUMBER, "low": (*NUMBER, None), "high": (*NUMBER, None)}
POINT = {"lr": NUMBER, "loss": (*NUMBER, None), "regime": (str,)}
OPTIMUM = {
    "batch_size": (int,),
    "schedule": (str,),
    "status": ("found", "edge", "inconclusive", "all_diverged"),
    "optimal_lr": ESTIMATE,
    "expected_loss": ESTIMATE,
    "initial_loss": NUMBER,
    "runs": (int,),
    "full_run_equivalents": NUMBER,
    "curve": [POINT],
}
PREDICTION = {"batch_size": (int,), "optimal_lr": ESTIMATE}
LAW = {"name": (str,), "formula": (str,), "parameters": {}}


def check(value: Any, shape: Any, place: str = "document") -> None:
    """Hold a value to a shape: a dict's keys must be there, a list's items are alike, a tuple lists what may be."""
    if isinstance(shape, Mapping):
        assert isinstance(value, dict), place
        for key, inner in shape.items():
            assert key in value, f"{place} has no '{key}'"
            check(value[key], inner, f"{place}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), place
        assert value, f"{place} is empty"
        for index, item in enumerate(value):
            check(item, shape[0], f"{place}[{index}]")
    else:
        kinds = tuple(kind for kind in shape if isinstance(kind, type))
        fits = (isinstance(value, kinds) and not isinstance(value, bool)) if kinds else False
        assert fits or value in [kind for kind in shape if not isinstance(kind, type)], f"{place} is {value!r}"


def document(ran: Any) -> Any:
    """The one JSON document of a command that succeeded."""
    assert ran.code == 0, ran.err
    return json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with all that the commands on logs read."""
    rows = [f"{i},{2 / (1 + i / 20) + 0.01 * (i % 7)},{0.1 * (1 - i / 200)},{1 / (1 + i / 50)}" for i in range(200)]
    (tmp_path / "run.csv").write_text("step,loss,lr,grad_norm\n" + "\n".join(rows) + "\n")
    return tmp_path / "run.csv"


def test_study_and_what_reads_its_folder(run: Any, tmp_path: Path) -> None:
    found = document(run("study", TINY, "--out", tmp_path, "--json", *FAST))
    check(
        found,
        {
            "schema": ("lrscope/study/1",),
            "task": ("regression",),
            "metric": ("val_loss", "train_loss"),
            "optima": [OPTIMUM],
            "law": LAW | {"predictions": (list,)},
            "recommended": {
                "batch_size": (int,),
                "peak_lr": NUMBER,
                "schedule": (str,),
                **dict.fromkeys(("loss", "default_loss", "train_loss", "default_train_loss"), ESTIMATE),
            },
            "cost": {
                "runs": (int,),
                "examples": (int,),
                **dict.fromkeys(("full_run_equivalents", "search", "verification", "seconds"), NUMBER),
            },
        },
    )
    keys = [(optimum["batch_size"], optimum["schedule"]) for optimum in found["optima"]]
    assert keys == sorted(keys)
    cost = found["cost"]
    assert cost["full_run_equivalents"] == pytest.approx(cost["search"] + cost["verification"])
    assert cost["search"] == pytest.approx(sum(optimum["full_run_equivalents"] for optimum in found["optima"]))
    assert {"study.db", "summary.json", "report.html"} <= {path.name for path in tmp_path.iterdir()}
    assert run("report", tmp_path / "study.db").code == 0
    optima = document(run("scale", tmp_path, "--json"))["groups"][0]["optima"]
    assert [optimum["optimal_lr"] for optimum in optima] == [optimum["optimal_lr"] for optimum in found["optima"]]


@pytest.mark.parametrize(
    ("value", "shape"),
    [({}, {"a": NUMBER}), ({"a": True}, {"a": NUMBER}), ([1, "x"], [NUMBER]), ([], [NUMBER]), (None, ESTIMATE)],
)
def test_the_check_itself_can_fail(value: Any, shape: Any) -> None:
    with pytest.raises(AssertionError):
        check(value, shape)


def test_find(run: Any) -> None:
    found = document(run("find", TINY, "--batch-size", 8, "--json"))
    shape = {"schema": ("lrscope/find/1",), "task": ("regression",), "batch_size": (8,), "status": (str,)}
    check(found, shape | {"suggested_lr": ESTIMATE, "full_run_equivalents": NUMBER, "seconds": NUMBER})


def test_noise(run: Any, tmp_path: Path) -> None:
    found = document(run("noise", TINY, "--out", tmp_path, "--batch-size", 8, "--json"))
    shape = {"schema": ("lrscope/noise/1",), "task": ("regression",), "batch_size": (8,)}
    estimates = dict.fromkeys(("initial", "noise_scale", "critical_batch_size"), ESTIMATE)
    check(found, shape | estimates | {"trajectory": [{"step": (int,), "noise_scale": (*NUMBER, None)}]})


def test_diagnose_and_watch(run: Any, log: Path) -> None:
    regimes = ("very_high", "high", "good", "low")
    for ran in (run("diagnose", log, "--json"), run("watch", log, "--once", "--json")):
        found = document(ran)
        evidence = [{"what": (str,), "value": (*NUMBER, None), "says": (str,)}]
        one = {"name": ("run",), "regime": (*regimes, "inconclusive"), "lr_factor": ESTIMATE, "advice": (str,)}
        one |= {"probabilities": dict.fromkeys(regimes, NUMBER), "evidence": evidence}
        check(found, {"schema": ("lrscope/diagnosis/1",), "runs": [one]})
        assert sum(found["runs"][0]["probabilities"].values()) == pytest.approx(1.0)
    regime = found["runs"][0]["regime"]
    failed = run("diagnose", log, "--json", "--fail-on", regime)
    assert (failed.code, json.loads(failed.out)) == (3, found)


def test_scale(run: Any, tmp_path: Path) -> None:
    rows = [
        f"{2.0**k};{b};{0.5 + 0.05 * (k + 5 - b.bit_length() / 2) ** 2}" for b in (16, 64, 256) for k in range(-9, 1)
    ]
    (tmp_path / "sweep.csv").write_text("lr;batch_size;loss\n" + "\n".join(rows).replace(".", ",") + "\n")
    found = document(run("scale", tmp_path / "sweep.csv", "--predict", "1024,4096", "--json"))
    optimum = OPTIMUM | {"schedule": (str, None), "initial_loss": (*NUMBER, None)}
    group = {"group": {}, "optima": [optimum], "laws": [LAW | {"weight": NUMBER}], "predictions": [PREDICTION]}
    group |= {"next_run": {"batch_size": (int,), "lr": NUMBER, "why": (str,)}}
    check(found, {"schema": ("lrscope/scale/1",), "groups": [group]})
    (group,) = found["groups"]
    weights = [law["weight"] for law in group["laws"]]
    assert weights == sorted(weights, reverse=True)
    assert [row["batch_size"] for row in group["predictions"]] == [1024, 4096]


def test_the_schedule_commands(run: Any, log: Path) -> None:
    found = document(run("schedule", "warmup(5%) -> cosine", "--total-steps", 40, "--peak-lr", 0.1, "--json"))
    entry = {"text": (str,), "resolved": ("warmup(2) -> cosine(38)",), "json": {}, "highest_lr": (0.1,)}
    check(found, {"schema": ("lrscope/schedule/1",), "total_steps": (40,), "peak_lr": (0.1,), "schedules": [entry]})
    table = log.with_name("rates.csv")
    assert run("schedule", "cosine", "--total-steps", 3, "--out", table).code == 0
    assert table.read_text().splitlines() == ["step,lr", "0,1.0", "1,0.5", "2,0.0"]
    found = document(run("transfer", "--from", "constant", "--to", "linear", "--lr", 0.1, "--json"))
    check(found, {"schema": ("lrscope/transfer/1",), "lr": (0.1,), "peak_lr": ESTIMATE})
    found = document(run("refine", log, "--json"))
    check(
        found, {"schema": ("lrscope/refine/1",), "run": ("run",), "total_steps": (200,), "schedule": {"step": [(int,)]}}
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("schedule", "cosine", "--total-steps=abc"), "--total-steps must be a whole number. Got 'abc'."),
        (("transfer", "--from", "a", "--to", "b", "--lr", "x"), "--lr must be a number. Got 'x'."),
        (("schedule", "cosine", "--total-steps", 2**60), "must be an int from 0 to 2^53. Got 1152921504606846976."),
        (("reprot",), "No such command 'reprot'. Did you mean 'report'? See `lrscope --help`."),
        (("study", __file__), "Name the function of '"),
        (("report", ".", "--out", "page.pdf"), "--out must name a file that ends in .html. Got 'page.pdf'."),
        (("diagnose", "{empty}"), "cannot be read as a training log (as CSV: the file is empty)"),
        (("diagnose", "{answer}"), "cannot be read as a training log (as JSON: an answer of lrscope's own"),
        (("scale", "{words}"), "must hold numbers. Got 'fine' in run 1."),
        (("scale", "{binary}"), "is no text: a table must be CSV, TSV or Parquet."),
    ],
)
def test_bad_input_is_named_in_one_line(run: Any, tmp_path: Path, arguments: tuple[Any, ...], sentence: str) -> None:
    files = {"empty": "", "answer": '{"schema": "lrscope/study/1"}', "words": "lr,loss\n0.1,fine\n", "binary": "\0,\0"}
    for name, text in files.items():
        (tmp_path / f"{name}.{'json' if name == 'answer' else 'csv'}").write_text(text)
    paths = {f"{{{path.stem}}}": path for path in tmp_path.iterdir()}
    ran = run(*(paths.get(argument, argument) if isinstance(argument, str) else argument for argument in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert len(ran.err.splitlines()) == 1
