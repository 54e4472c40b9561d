"""The store: nothing finished is lost or changed, older studies open, and two writers never meet."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscope.errors import InvalidInput, StudyMismatch, WorkFailed
from lrscope.study.run import load_study
from lrscope.study.store import CHUNK, SCHEMA_VERSION, open_store, read_store
from lrscope.study.trial import Trial, TrialResult

GOLDEN = Path(__file__).with_name("golden")
NUMBERS = ("initial_train_loss", "train_loss", "seconds", "eval_seconds")

Make = Callable[..., TrialResult]


@pytest.fixture(scope="session")
def make(trial: Callable[..., Trial]) -> Make:
    """A result of so many updates, with anything in it changed."""

    def make_(updates: int = 5, **changes: object) -> TrialResult:
        series = np.linspace(2, 1, updates).astype(np.float32).astype(np.float64)
        result = TrialResult(
            trial=trial(total_steps=updates, stop_at=updates), status="finished", diverged_at=None,
            initial_train_loss=2.5, initial_val_loss=2.75, train_loss=0.5, val_loss=0.75, metrics={"accuracy": 0.875},
            loss=series, lr=series / 4, probe_step=np.array([0, updates - 1]), grad_norm=np.array([1.0, 0.5]),
            update_ratio=np.array([0.25, 0.125]), eval_step=np.array([updates]), eval_loss=np.array([0.75]),
            eval_metrics={"accuracy": np.array([0.875])}, seconds=1.5, eval_seconds=0.25, examples=8 * updates,
        )  # fmt: skip
        return replace(result, **changes)  # type: ignore[arg-type]

    return make_


def assert_same(one: TrialResult, other: TrialResult) -> None:
    for name in (field.name for field in fields(TrialResult)):
        np.testing.assert_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_a_result_comes_back_as_it_was_also_in_a_later_process(tmp_path: Path, make: Make) -> None:
    results = [make(), make(3 * CHUNK + 7), make(CHUNK, initial_val_loss=None, val_loss=None, metrics={})]
    with open_store(tmp_path) as store:
        for result in results:
            store.add(result)
        store.put_fact("metric", {"a": [1, None]})
    with open_store(tmp_path) as store:
        assert store.facts() == {"metric": {"a": [1, None]}}
        again = store.trials()
    assert list(again) == sorted(result.trial for result in results)
    for result in results:
        assert_same(again[result.trial], result)


odd = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.5, 1e-300, 1e300])
odd32 = st.lists(st.floats(width=32), min_size=1, max_size=9)


@settings(deadline=None, max_examples=30)
@given(numbers=st.lists(odd, min_size=4, max_size=4), val=st.one_of(st.none(), odd), series=odd32, metric=odd)
def test_nan_and_infinity_survive(
    make: Make, numbers: list[float], val: float | None, series: list[float], metric: float
) -> None:
    array = np.array(series, dtype=np.float64)
    changes = dict(zip(NUMBERS, [*numbers[:2], 1.0, 0.0], strict=True))
    result = make(
        len(series), **changes, initial_val_loss=val, val_loss=numbers[3], metrics={"m": metric}, loss=array, lr=array,
        eval_loss=array, eval_step=np.arange(len(series)), eval_metrics={"m": array},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        with open_store(Path(folder)) as store:
            store.add(result)
        with read_store(Path(folder)) as store:
            assert_same(store.trials()[result.trial], result)


def test_a_trial_that_is_there_stays_as_it_was(tmp_path: Path, make: Make) -> None:
    with open_store(tmp_path) as store:
        store.add(make())
        store.add(make(train_loss=99.0, loss=np.zeros(5)))
        (kept,) = store.trials().values()
        assert_same(kept, make())


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
@pytest.mark.parametrize("way", [open_store, read_store], ids=["written", "read"])
def test_an_older_study_opens(tmp_path: Path, version: int, way: Callable[..., object]) -> None:
    before = sqlite3.connect(tmp_path / "study.db")
    before.executescript((GOLDEN / f"schema{version}.sql").read_text())
    before.close()
    with way(tmp_path) as store:  # type: ignore[attr-defined]
        facts, trials = store.facts(), list(store.trials().values())
    assert facts == {"task": "old", "metric": "val_loss"}
    whole, short, diverged = sorted(trials, key=lambda result: result.trial.peak_lr)
    assert (whole.train_loss, whole.val_loss, whole.metrics) == (0.5, 0.75, {"accuracy": 0.875})
    assert whole.loss.tolist() == [2.5, 2.0, 1.0, 0.5]
    assert whole.eval_metrics["accuracy"].tolist() == [0.875]
    assert (whole.engine, whole.eval_seconds) == ("loop", 0.25 if version > 1 else 0.0)
    assert (short.initial_val_loss, short.val_loss) == (None, None)
    assert (diverged.train_loss, diverged.val_loss, diverged.diverged_at) == (math.inf, math.inf, 1)
    assert math.isnan(diverged.loss[1])
    assert math.isnan(diverged.metrics["accuracy"])
    (kept,) = sqlite3.connect(tmp_path / "study.db").execute("PRAGMA user_version").fetchone()
    assert kept == (SCHEMA_VERSION if way is open_store else version)


def test_a_newer_study_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path):
        pass
    db = sqlite3.connect(tmp_path / "study.db")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    for way in (open_store, read_store):
        with (
            pytest.raises(StudyMismatch, match=f"written by a newer lrscope: its schema is {SCHEMA_VERSION + 1}"),
            way(tmp_path),
        ):
            pass


@pytest.mark.parametrize("way", [open_store, read_store], ids=["written", "read"])
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, way: Callable[..., object]) -> None:
    (tmp_path / "study.db").write_text("not a database " * 100)
    with pytest.raises(InvalidInput, match=r"study.db' is not a study's database"), way(tmp_path):  # type: ignore[attr-defined]
        pass


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "study.db")
    db.execute("CREATE TABLE trials (a)")
    db.commit()
    for way in (open_store, read_store):
        with pytest.raises(InvalidInput, match="is not a study's database: it holds other tables"), way(tmp_path):
            pass
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("trials",)]


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"Cannot keep a study in '.*file.a'"), open_store(tmp_path / "file" / "a"):
        pass
    with pytest.raises(InvalidInput, match="There is no study in"), read_store(tmp_path):
        pass


def test_a_second_writer_is_refused_in_one_sentence_and_a_reader_is_not(tmp_path: Path, make: Make) -> None:
    code = (
        "import sys; from pathlib import Path; from lrscope.study.store import open_store\n"
        "try:\n    open_store(Path(sys.argv[1])).__enter__()\nexcept Exception as error: print(error)"
    )
    with open_store(tmp_path) as store:
        store.add(make())
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"Another process is working on the study in '{tmp_path}': wait for it")
        assert done.stdout.count("\n") == 1
        with read_store(tmp_path) as reader:
            assert len(reader.trials()) == 1
    with open_store(tmp_path) as store:
        assert len(store.trials()) == 1


def test_a_writer_that_was_killed_leaves_no_lock_and_no_half_a_trial(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from lrscope.study.store import open_store\n"
        "opened = open_store(Path(sys.argv[1])); store = opened.__enter__(); store.put_fact('a', 1)\n"
        "store._db.execute(\"INSERT INTO fact VALUES ('b', '2')\")\nos.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert killed.returncode == -9
    with open_store(tmp_path) as store:
        assert store.facts() == {"a": 1}


def test_a_key_is_what_tells_trials_apart(tmp_path: Path, make: Make) -> None:
    first = make()
    changes = {"batch_size": 16, "peak_lr": 0.1, "schedule": "cosine", "seed": 1, "total_steps": 9, "stop_at": 4}
    with open_store(tmp_path) as store:
        store.add(first)
        for name, value in changes.items():
            store.add(replace(first, trial=replace(first.trial, **{name: value})))
        assert len(store.trials()) == 1 + len(changes)
        assert set(asdict(first.trial)) == set(changes)


def test_a_full_disk_is_said_in_a_sentence_and_what_was_written_stays(tmp_path: Path, make: Make) -> None:
    first, second = make(5), make(50_000)
    with open_store(tmp_path) as store:
        store.add(first)
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")  # as if the disk had no room for another page
        with pytest.raises(
            WorkFailed, match=r"Cannot write study\.db: database or disk is full\. What it holds is kept"
        ):
            store.add(second)
    with read_store(tmp_path) as store:
        assert list(store.trials()) == [first.trial]


def test_a_folder_that_cannot_be_written_to_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(tmp_path) as store:
        store.put_fact("metric", "train_loss")
    asked: list[str] = []
    connect = sqlite3.connect

    def noted(database: Any, **options: Any) -> sqlite3.Connection:
        asked.append(str(database))
        return connect(database, **options)

    monkeypatch.setattr("sqlite3.connect", noted)
    with read_store(tmp_path) as store:
        assert store.facts() == {"metric": "train_loss"}
    assert asked[-1].endswith("study.db?immutable=1")  # nothing is written beside it


def test_a_study_that_lacks_a_fact_says_which(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.put_fact("metric", "train_loss")
    with pytest.raises(InvalidInput, match="does not say its batch sizes: run it again"):
        load_study(tmp_path)
