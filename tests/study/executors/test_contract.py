"""What every executor must do: carry each job once, hand back its results, survive its workers, let go at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lrscope.errors import InvalidInput, InvalidTask, WorkFailed
from lrscope.study.bench import Bench
from lrscope.study.engines.base import make_engine
from lrscope.study.executors.base import EXECUTORS, Executor, default_workers, make_executor
from lrscope.study.load import TaskSource
from lrscope.study.trial import Trial, TrialResult

Open = Callable[..., Executor]
Trials = Callable[..., Trial]

OWN_PROCESSES = tuple(name for name in EXECUTORS if name != "serial")
FILES = Path(__file__).parents[1] / "files"


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray, started once for all tests of this file."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: its executor is not tested")
    environment = {"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    yield
    ray.shutdown()


@pytest.fixture
def open_executor(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Task -> the executor that the test's `name` says, closed afterwards."""
    name = request.getfixturevalue("name")
    if name == "ray":
        request.getfixturevalue("ray_here")
    opened: list[Executor] = []

    def open_(task: str, workers: int = 2) -> Executor:
        source = TaskSource(reference=f"{FILES / task}")
        opened.append(make_executor(name, source, "loop", workers))
        return opened[-1]

    yield open_
    for executor in opened:
        executor.close()


def ran(executor: Executor, trials: list[Trial]) -> dict[Trial, TrialResult]:
    jobs = make_engine("loop").jobs(trials, 2)
    return {result.trial: result for results in executor.run(jobs) for result in results}


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_gives_the_results_of_the_engine_bit_for_bit(
    open_executor: Open, trial: Trials, name: str
) -> None:
    trials = [trial(peak_lr=lr, seed=seed) for lr in (0.01, 0.1, 1e4) for seed in (0, 1)]
    executor = open_executor("tiny.py:unseeded")
    results = ran(executor, trials)
    expected = make_engine("loop").train(Bench(executor.source.load()), trials)
    assert set(results) == set(trials)
    for one in expected:
        assert results[one.trial].loss.tobytes() == one.loss.tobytes()
        assert (results[one.trial].train_loss, results[one.trial].status) == (one.train_loss, one.status)
    assert ran(executor, []) == {}
    assert set(ran(executor, trials[:1])) == set(trials[:1])


@pytest.mark.parametrize("name", EXECUTORS)
def test_an_error_in_the_users_code_is_said_with_its_place(open_executor: Open, trial: Trials, name: str) -> None:
    executor = open_executor("failing.py:raises_in_training", workers=1)
    with pytest.raises(InvalidTask, match=r"Training failed: ZeroDivisionError: .* \(.*failing.py:\d+\)"):
        ran(executor, [trial()])


@pytest.mark.parametrize("name", OWN_PROCESSES)
def test_a_worker_that_is_killed_costs_its_trial_a_retry(
    open_executor: Open, trial: Trials, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "once.py").write_text(
        (FILES / "failing.py").read_text().replace('"MARK"', repr(str(tmp_path / "mark")))
    )
    executor = open_executor(str(tmp_path / "once.py:dies_once"), workers=1)
    trials = [trial(seed=seed, total_steps=10, stop_at=10) for seed in range(4)]
    assert set(ran(executor, trials)) == set(trials)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", OWN_PROCESSES)
def test_a_job_whose_workers_die_again_and_again_ends_in_a_sentence(
    open_executor: Open, trial: Trials, name: str
) -> None:
    executor = open_executor("failing.py:dies_always", workers=1)
    with pytest.raises(WorkFailed) as caught:
        ran(executor, [trial()])
    assert "\n" not in str(caught.value)
    assert "died" in str(caught.value)


@pytest.mark.parametrize("name", OWN_PROCESSES)
def test_closing_lets_go_at_once_also_in_the_middle_of_a_job(open_executor: Open, trial: Trials, name: str) -> None:
    executor = open_executor("failing.py:sleeps")
    results = executor.run([(trial(seed=0),), (trial(seed=1),), (trial(seed=2),)])
    assert next(results)[0].trial.seed == 0  # the others sleep for ten minutes
    started = time.monotonic()
    executor.close()
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("name", ["local"])
def test_what_a_worker_prints_stays_off_standard_output(trial: Trials, name: str) -> None:
    code = (
        "from lrscope.study.executors.base import make_executor\n"
        "from lrscope.study.load import TaskSource\n"
        "from lrscope.study.trial import Trial\n"
        "if __name__ == '__main__':\n"
        f"    source = TaskSource(reference={str(FILES / 'failing.py') + ':prints'!r})\n"
        f"    with make_executor({name!r}, source, 'loop', 1) as executor:\n"
        f"        print(len(list(executor.run([({trial()!r},)]))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert "a user's own words" in done.stderr


def test_there_is_no_other_executor(reference: Callable[[str], str]) -> None:
    with pytest.raises(InvalidInput, match=r"The executor must be one of local, serial, ray. Got 'threads'"):
        make_executor("threads", TaskSource(reference=reference("regression")), "loop", 2)


def test_there_is_a_worker_for_each_core_or_one_on_an_accelerator() -> None:
    assert 1 <= default_workers(torch.device("cpu")) <= (os.cpu_count() or 1)
    assert default_workers(torch.device("cuda")) == 1
