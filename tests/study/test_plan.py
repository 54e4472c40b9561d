"""A plan: options checked against the task, stored, and compared with what a study was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrscope.errors import InvalidInput, StudyMismatch
from lrscope.study.bench import Bench
from lrscope.study.load import TaskSource
from lrscope.study.plan import StudyPlan, check_same, make_plan

Plan = Callable[..., StudyPlan]


@pytest.fixture(scope="module")
def plan(reference: Callable[[str], str]) -> Plan:
    """The plan of a tiny task under options."""

    def make(name: str = "regression", **changes: Any) -> StudyPlan:
        source = TaskSource(reference=reference(name))
        options: dict[str, Any] = {
            "batch_sizes": None, "schedules": ("cosine",), "lr": None, "metric": None, "seeds": 3, "seed": 0,
            "search": "adaptive", "tolerance": 0.01,
        }  # fmt: skip
        return make_plan(Bench(source.load()), source, (0.001, 0.01), **(options | changes))

    return make


def test_what_is_not_said_comes_from_the_task(plan: Plan) -> None:
    made = plan()
    assert [(cell.batch_size, cell.schedule) for cell in made.space.cells] == [(8, "cosine"), (32, "cosine")]
    assert made.space.total_steps == {8: 48, 32: 12}
    assert made.metric == "val_loss"
    assert plan("without_validation").metric == "train_loss"
    assert plan(metric="train_loss").metric == "train_loss"


def test_every_batch_size_meets_every_schedule_once(plan: Plan) -> None:
    cells = plan(batch_sizes=[32, 8, 8], schedules=["linear", "cosine", "linear"]).space.cells
    assert [(cell.batch_size, cell.schedule) for cell in cells] == [
        (8, "linear"), (8, "cosine"), (32, "linear"), (32, "cosine"),
    ]  # fmt: skip


def test_the_store_gives_the_plan_back(plan: Plan) -> None:
    made = plan(lr=(1e-4, 1.0), seeds=2, seed=7, search="grid", tolerance=0.05, schedules=["linear", "cosine"])
    again = StudyPlan.from_facts(made.to_facts())
    assert again.space == made.space
    assert (again.task, again.optimizer, again.train_examples) == ("regression", "sgd", 96)
    assert (again.metric, again.defaults) == ("val_loss", (0.001, 0.01))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch_sizes": [0]}, r"A batch size of the option --batch-sizes must be a whole number >= 1. Got 0"),
        ({"batch_sizes": [-4]}, "Got -4"),
        ({"batch_sizes": [97]}, "Batch size 97 is larger than the training data of task 'regression', which has 96"),
        ({"schedules": ["cosines"]}, "cosines"),
        ({"lr": (0.1, 0.01)}, r"--lr must be LOW:HIGH with 0 < LOW <= HIGH. Got 0.1:0.01"),
        ({"lr": (0.0, 0.01)}, "Got 0:0.01"),
        ({"lr": (-1.0, 0.01)}, "Got -1:0.01"),
        ({"lr": (0.1, float("inf"))}, "Got 0.1:inf"),
        ({"lr": (float("nan"), 1.0)}, "Got nan:1"),
        ({"metric": "accuracy"}, "--metric must be val_loss or train_loss. Got 'accuracy'"),
        ({"seeds": 0}, "--seeds must lie between 1 and 1000. Got 0"),
        ({"schedules": []}, "The schedules of a study must be a list of at least one text. Got .."),
        ({"schedules": "cosine"}, "The schedules of a study must be a list of at least one text. Got 'cosine'"),
        ({"seed": -1}, "--seed must lie between 0 and "),
        ({"search": "random"}, "--search must be one of adaptive, grid. Got 'random'"),
        ({"tolerance": 0.0}, "--tolerance must lie between 0 and 1. Got 0"),
        ({"tolerance": float("nan")}, "--tolerance must lie between 0 and 1. Got nan"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_a_sentence(plan: Plan, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence.replace("(", r"\(")):
        plan(**options)


def test_a_validation_loss_needs_validation_data(plan: Plan) -> None:
    with pytest.raises(InvalidInput, match=r"--metric must be train_loss, as the task has no validation data"):
        plan("without_validation", metric="val_loss")


def test_a_difference_is_named_with_both_values_and_the_way_out() -> None:
    there = {
        "seed": 0, "task code": {"a.py": "x = 1\ny = 2", "b.py": "z = 3"}, "total steps": {"8": 48}, "torch": "2",
        "training version": 1,
    }  # fmt: skip
    check_same(there, dict(there), Path("out"))
    check_same({}, there, Path("out"))
    now = {**there, "seed": 1, "task code": {"a.py": "x = 1\ny = 5", "b.py": "z = 3"}, "training version": 2}
    with pytest.raises(StudyMismatch) as caught:
        check_same(there, now, Path("out"))
    assert str(caught.value) == (
        "The study in 'out' was made from something else (seed: 0 there, 1 now; task code, a.py: `y = 2` there, "
        "`y = 5` now; training version: 1 there, 2 now). To start anew, delete that folder or give another (--out)."
    )


@pytest.mark.parametrize(
    ("there", "now", "words"),
    [
        ({"a.py": "x"}, {"a.py": "x\ny"}, "a.py: nothing there, `y` now"),
        ({"a.py": "x"}, {"a.py": "x", "b.py": "y"}, "b.py: nothing there, `y` now"),
        ({"8": 48}, {"8": 96}, "8: `48` there, `96` now"),
        ("v" * 100, "w", "v… there, w now"),
    ],
)
def test_a_difference_is_short(there: object, now: object, words: str) -> None:
    with pytest.raises(StudyMismatch, match=words):
        check_same({"fact": there}, {"fact": now}, Path("out"))
