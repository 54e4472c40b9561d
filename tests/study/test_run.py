"""The study, end to end: kept whatever happens, the same whoever does the work, and refused when it is another."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lrscope.errors import InvalidInput, StudyMismatch
from lrscope.report.extract.schedules import rank_schedules
from lrscope.study import cell_fit, run
from lrscope.study.plan import StudyPlan
from lrscope.study.result import StudyResult
from lrscope.study.run import load_study, run_study
from lrscope.study.search import next_trials
from lrscope.study.trial import Trial, TrialResult

Study = Callable[..., StudyResult]
FAILING = Path(__file__).with_name("files") / "failing.py"


class Watch:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.plan: StudyPlan | None = None
        self.kept: list[Trial] = []
        self.rounds: list[tuple[str, list[Trial]]] = []
        self.trained_: list[Trial] = []

    def begin(self, plan: StudyPlan, finished: dict[Trial, TrialResult], notes: Sequence[str]) -> None:
        self.plan, self.kept = plan, list(finished)

    def asked(self, trials: Sequence[Trial], stage: str) -> None:
        self.rounds.append((stage, list(trials)))

    def trained(self, result: TrialResult) -> None:
        self.trained_.append(result.trial)


def answers(result: StudyResult) -> dict[str, Any]:
    """The result without what a clock measured."""
    document = result.to_json()
    document["cost"].pop("seconds")
    return document


def test_a_study_finds_an_optimum_for_each_batch_size_and_verifies_the_best(
    study_here: Study, tiny: ModuleType
) -> None:
    watch = Watch()
    result = study_here(tiny.regression(), progress=watch)
    assert [optimum.batch_size for optimum in result.optima] == [8, 32]
    for optimum in result.optima:
        assert optimum.status in ("found", "edge")
        assert optimum.optimal_lr is not None
        assert optimum.expected_loss is not None
        assert optimum.expected_loss.value < 0.2 * optimum.initial_loss
    choice = result.recommended
    assert choice is not None
    assert choice.loss.value <= choice.default_loss.value
    assert choice.default_lr in (0.001, 0.01)
    verified = [run for run in result.trials if run.trial.seed in choice.seeds]
    assert {run.trial.peak_lr for run in verified} == {choice.peak_lr, 0.001, 0.01}
    assert not set(choice.seeds) & {run.trial.seed for run in result.trials if run not in verified}
    assert len(watch.trained_) == len(set(watch.trained_)) == result.cost.runs == len(result.trials)
    assert [stage for stage, _ in watch.rounds] == sorted(stage for stage, _ in watch.rounds)
    spent = sum(run.examples / (run.trial.batch_size * {8: 48, 32: 12}[run.trial.batch_size]) for run in result.trials)
    assert result.cost.full_run_equivalents == pytest.approx(spent)
    assert result.cost.full_run_equivalents == pytest.approx(result.cost.search + result.cost.verification)
    assert sum(optimum.full_run_equivalents for optimum in result.optima) == pytest.approx(result.cost.search)
    assert result.cost.examples == sum(run.examples for run in result.trials)


def test_the_same_seed_gives_the_same_study_and_another_seed_another(study_here: Study, tiny: ModuleType) -> None:
    first, again, other = (study_here(tiny.regression(), seed=seed) for seed in (0, 0, 5))
    assert answers(first) == answers(again)
    for one, same in zip(first.trials, again.trials, strict=True):
        assert one.trial == same.trial
        assert one.loss.tobytes() == same.loss.tobytes()
        assert one.update_ratio.tobytes() == same.update_ratio.tobytes()
    assert {run.trial.seed for run in first.trials}.isdisjoint({run.trial.seed for run in other.trials})


def test_a_study_that_is_done_is_read_not_trained(
    study_here: Study, reference: Callable[[str], str], tmp_path: Path
) -> None:
    first = study_here(reference("regression"), out=tmp_path)
    watch = Watch()
    again = study_here(reference("regression"), out=tmp_path, progress=watch)
    assert watch.trained_ == []
    assert len(watch.kept) == first.cost.runs
    assert answers(again) == answers(first) == answers(load_study(tmp_path))
    assert again.cost.seconds == first.cost.seconds


def test_what_was_verified_is_kept_when_a_later_fit_would_choose_otherwise(
    study_here: Study, reference: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"schedules": ("cosine", "constant"), "batch_sizes": (32,)}
    first = study_here(reference("regression"), out=tmp_path, **options)
    assert first.recommended is not None
    choose = cell_fit.choose_lr
    monkeypatch.setattr(cell_fit, "choose_lr", lambda fitted: 0.9 * (choose(fitted) or 0.0))
    later = load_study(tmp_path)
    assert later.optima != first.optima
    assert (later.recommended, later.contest) == (first.recommended, first.contest)
    assert [row.measured for row in rank_schedules(later)] == [True, True]
    monkeypatch.setattr(run, "next_trials", lambda space, seen: next_trials(space, seen) if not seen else [])
    watch = Watch()
    again = study_here(reference("regression"), out=tmp_path, progress=watch, **options)
    assert again.recommended == first.recommended
    assert [stage for stage, trials in watch.rounds if trials] in ([], ["illustration"])


def test_schedules_are_compared_before_the_best_of_them_is_verified(study_here: Study, tiny: ModuleType) -> None:
    watch = Watch()
    result = study_here(tiny.regression(), progress=watch, schedules=("cosine", "constant"), batch_sizes=(32,))
    stages = list(dict.fromkeys(stage for stage, trials in watch.rounds if trials))
    assert stages[:3] == ["search", "comparison", "verification"]
    assert result.contest is not None
    assert result.recommended is not None
    assert result.recommended.schedule == result.contest.schedule
    assert set(result.contest.peak_lrs) == {"cosine", "constant"}
    assert result.recommended.seeds == (1000, 1001, 1002)


def test_a_study_goes_on_where_max_runs_cut_it_short(
    study_here: Study, reference: Callable[[str], str], tmp_path: Path
) -> None:
    whole = study_here(reference("regression"))
    counts = []
    for most in (1, 4, 9, None):
        watch = Watch()
        cut = study_here(reference("regression"), out=tmp_path, max_runs=most, progress=watch)
        counts.append(len(watch.trained_))
        assert most is None or cut.cost.runs == most
        assert set(watch.kept).isdisjoint(watch.trained_)
    assert counts == [1, 3, 5, whole.cost.runs - 9]
    assert answers(cut) == answers(whole)


def test_workers_give_the_same_study_as_none(study_here: Study, reference: Callable[[str], str]) -> None:
    alone = study_here(reference("unseeded"), batch_sizes=[32])
    together = run_study(reference("unseeded"), batch_sizes=[32], seeds=2, executor="local", engine="loop", workers=2)
    assert answers(together) == answers(alone)
    assert all(a.loss.tobytes() == b.loss.tobytes() for a, b in zip(alone.trials, together.trials, strict=True))


def test_a_grid_trains_every_rate_and_seed(study_here: Study, tiny: ModuleType) -> None:
    result = study_here(tiny.without_validation(), search="grid", lr=(0.01, 0.16), batch_sizes=[8], seeds=2)
    searched = [run.trial for run in result.trials if run.trial.seed < 2]
    rates = sorted({one.peak_lr for one in searched})
    assert np.diff(np.log2(rates)) == pytest.approx(np.full(8, 0.5))
    assert len(searched) == 18
    assert result.optima[0].full_run_equivalents == 18


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 3}, "seed: 0 there, 3 now"),
        ({"seeds": 3}, "seeds: 2 there, 3 now"),
        ({"tolerance": 0.02}, "tolerance: 0.01 there, 0.02 now"),
        ({"batch_sizes": [8]}, r"batch sizes: \[8, 32\] there, \[8\] now"),
        ({"schedules": ["linear"]}, r"schedules: \['warmup\(5%\) -> cosine'\] there, \['linear'\] now"),
        ({"lr": (1e-4, 1.0)}, "lr range: "),
        ({"metric": "train_loss"}, "metric: val_loss there, train_loss now"),
        ({"search": "grid"}, "search: adaptive there, grid now"),
    ],
)
def test_another_option_is_refused_with_the_difference(
    study_here: Study, reference: Callable[[str], str], tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    study_here(reference("regression"), out=tmp_path, max_runs=1)
    with pytest.raises(StudyMismatch, match=words) as caught:
        study_here(reference("regression"), out=tmp_path, **options)
    assert "To start anew, delete that folder or give another (--out)." in str(caught.value)
    assert study_here(reference("regression"), out=tmp_path, max_runs=1).cost.runs == 1


def test_another_task_data_or_training_version_is_refused(
    study_here: Study, tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_here(tiny.regression(), out=tmp_path, max_runs=1)
    inputs, targets = tiny.regression().train
    for changes, words in (
        ({"train": (inputs + 1, targets)}, "training data: 96 examples, .* there, 96 examples, .* now"),
        ({"epochs": 5}, "total steps, 8: `48` there, `60` now"),
        ({"optimizer": "adamw"}, "optimizer: sgd there, adamw now"),
        ({"name": "other"}, "task: regression there, other now"),
    ):
        with pytest.raises(StudyMismatch, match=words):
            study_here(tiny.regression(**changes), out=tmp_path)
    monkeypatch.setattr("lrscope.study.fingerprint.TRAINING_VERSION", 99)
    with pytest.raises(StudyMismatch, match=r"training version: \d+ there, 99 now"):
        study_here(tiny.regression(), out=tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_runs": 0}, r"--max-runs must be >= 1. Got 0"),
        ({"workers": 0}, r"--workers must be >= 1. Got 0"),
        ({"workers": 10**6, "executor": "local"}, r"--workers must be at most \d+, 8 for each core here. Got 1000000"),
        ({"engine": "gpu"}, r"--engine must be one of auto, loop, vmap. Got 'gpu'"),
        ({"executor": "threads"}, "executor must be one of local, serial, ray. Got 'threads'"),
        ({"lr": (0.1, 0.01)}, "--lr must be LOW:HIGH"),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    study_here: Study, tiny: ModuleType, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        study_here(tiny.regression(), **options)


@pytest.mark.parametrize(
    "name", ["without_validation", "batch_norm", "dataset", "loader", "dicts", "bfloat16", "negative", "near_zero"]
)
def test_tasks_of_every_kind_end_in_an_answer(study_here: Study, reference: Callable[[str], str], name: str) -> None:
    result = study_here(reference(name))
    for optimum in result.optima:
        assert optimum.status in ("found", "edge", "inconclusive")
        assert optimum.advice
        assert optimum.optimal_lr is not None
    assert result.recommended is not None
    assert result.recommended.verdict.endswith(".")
    json.dumps(result.to_json())


def test_a_task_that_always_diverges_ends_in_advice(study_here: Study, reference: Callable[[str], str]) -> None:
    result = study_here(reference("nan_later"))
    assert {optimum.status for optimum in result.optima} == {"all_diverged"}
    for optimum in result.optima:
        assert optimum.optimal_lr is None
        assert optimum.expected_loss is None
        assert optimum.advice.startswith("Every run diverged, down to")
    assert result.recommended is None
    assert result.laws == ()


def test_one_batch_size_and_a_batch_of_all_data_are_enough(study_here: Study, tiny: ModuleType) -> None:
    result = study_here(tiny.regression(), batch_sizes=[96])
    assert [optimum.batch_size for optimum in result.optima] == [96]
    assert result.laws == ()
    assert all(len(run.loss) <= 4 for run in result.trials)
    assert result.notes == ()


def test_the_short_batch_that_is_dropped_is_said(study_here: Study, tiny: ModuleType) -> None:
    (note,) = study_here(tiny.regression(), batch_sizes=[20], max_runs=1).notes
    assert note.startswith("An epoch leaves out the examples of its last, short batch")
    assert note.endswith("16 at batch size 20 of 96.")


def test_there_is_no_study_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no study in"):
        load_study(tmp_path)


def start(out: Path, task: str = f"{FAILING}:slow", *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lrscope", "study", task, "--out", str(out), "--json", *options]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def trained(out: Path) -> int:
    """How many trials the study's database holds, at this moment."""
    if not (out / "study.db").exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{out / 'study.db'}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM trial").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def wait_for(process: subprocess.Popen[str], out: Path, count: int) -> None:
    """Until so many trials are finished, or the study has ended."""
    while process.poll() is None and trained(out) < count:
        time.sleep(0.01)


@pytest.mark.parametrize("executor", ["serial", "local"])
def test_kills_at_random_moments_change_nothing(study_here: Study, tmp_path: Path, executor: str) -> None:
    options = ("--executor", executor, "--seeds", "2", "--engine", "loop")
    expected = answers(study_here(f"{FAILING}:slow", engine="loop"))
    dice, kills, before = random.Random(executor), 0, 0
    while True:
        process = start(tmp_path, f"{FAILING}:slow", *options)
        wait_for(process, tmp_path, before + dice.randint(1, 5))
        time.sleep(dice.uniform(0, 0.08))
        done = process.poll() is not None or kills == 3
        if not done:
            process.send_signal(signal.SIGKILL)
            kills += 1
        output, errors = process.communicate()
        assert trained(tmp_path) >= before
        before = trained(tmp_path)
        if done:
            break
    assert process.returncode == 0, errors
    assert kills == 3
    document = json.loads(output)
    document["cost"].pop("seconds")
    assert document == json.loads(json.dumps(expected))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_in_a_sentence_within_seconds_and_loses_nothing(tmp_path: Path, end: signal.Signals) -> None:
    process = start(tmp_path, f"{FAILING}:slow", "--workers", "2")
    wait_for(process, tmp_path, 1)
    finished = trained(tmp_path)
    started = time.monotonic()
    process.send_signal(end)
    output, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 20
    assert process.returncode == 1
    assert output == ""
    assert errors.splitlines()[-1].startswith(f"Stopped: what was finished is kept in '{tmp_path}'")
    assert "Traceback" not in errors
    assert trained(tmp_path) >= finished >= 1
    assert not (tmp_path / "summary.json").exists()


def test_workers_end_when_their_driver_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, f"{FAILING}:sleeps", "--workers", "2", "--search", "grid", "--lr", "0.1:0.2")
    wait_for(process, tmp_path, 1)
    workers = [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == process.pid]
    assert workers
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(_parent(str(worker)) is not None for worker in workers):
        time.sleep(0.1)
    assert [worker for worker in workers if _parent(str(worker)) is not None] == []


def _parent(process: str) -> int | None:
    """The parent of a process; None where it has ended."""
    try:
        fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[1])


def test_a_second_process_is_refused_in_one_sentence(tmp_path: Path) -> None:
    first = start(tmp_path, f"{FAILING}:sleeps", "--executor", "serial")
    while not (tmp_path / "study.db").exists():
        time.sleep(0.02)
    second = start(tmp_path, f"{FAILING}:sleeps", "--executor", "serial")
    output, errors = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert output == ""
    assert errors.splitlines()[-1].startswith("Error: Another process is working on the study in")
