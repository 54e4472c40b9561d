"""What an executor is: it carries jobs to where they are done, and knows nothing of learning rates."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch

from lrscope.errors import InvalidInput, InvalidTask, LrscopeError, WorkFailed
from lrscope.study.bench import Bench
from lrscope.study.engines.base import EngineSpec, make_engine
from lrscope.study.load import TaskSource, describe_user_error
from lrscope.study.trial import Trial, TrialResult

EXECUTORS = ("local", "serial", "ray")
MOST_PER_CORE = 8
"""Worker processes that a core may be shared by: more only cost memory."""

RETRIES = 2
"""How often a job is tried again when the worker that did it died."""

Job = tuple[Trial, ...]


class Executor(ABC):
    """Runs jobs of one task on one engine. Any executor gives the same results; only their order of arrival differs."""

    def __init__(self, source: TaskSource, engine: EngineSpec, workers: int) -> None:
        self.source = source
        self.engine = engine
        self.workers = workers

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> Iterator[list[TrialResult]]:
        """Do the jobs; yield each one's results as it ends.

        Raises:
            WorkFailed: a job's workers died again and again.
            InvalidTask: the task's own code failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the workers, at once, also in the middle of a job."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def train_job(source: TaskSource, engine: EngineSpec, job: Job) -> list[TrialResult]:
    """What a worker does: load the task once, then train the job's trials."""
    try:
        return make_engine(engine).train(_bench(source), job)
    except LrscopeError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise WorkFailed(f"There is not enough memory to train batch size {job[0].batch_size}: {error}.") from None
    except (Exception, SystemExit) as error:
        raise InvalidTask(f"Training failed: {describe_user_error(error)}") from None


@lru_cache(maxsize=1)
def _bench(source: TaskSource) -> Bench:
    return Bench(source.load())


def default_workers(device: torch.device) -> int:
    """One worker for each core that this process may use; a single one where an accelerator trains: one fills it."""
    return _cores() if device.type == "cpu" else 1


def check_workers(executor: str, workers: int) -> None:
    """Refuse a number of workers that is none, or more processes than would leave this machine usable.

    Raises:
        InvalidInput: names the most that are accepted.
    """
    most = MOST_PER_CORE * _cores()
    if workers < 1:
        raise InvalidInput(f"--workers must be >= 1. Got {workers}.")
    if executor == "local" and workers > most:
        raise InvalidInput(f"--workers must be at most {most}, {MOST_PER_CORE} for each core here. Got {workers}.")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def make_executor(name: str, source: TaskSource, engine: EngineSpec, workers: int, *, on_gpu: bool = False) -> Executor:
    """The executor of a name; `on_gpu` asks a cluster for a GPU with each worker.

    Raises:
        InvalidInput: no such executor. MissingExtra: it needs a package that is not installed.
    """
    if name == "serial":
        from lrscope.study.executors.serial import SerialExecutor

        return SerialExecutor(source, engine, 1)
    if name == "local":
        from lrscope.study.executors.local import LocalExecutor

        return LocalExecutor(source, engine, workers)
    if name == "ray":
        from lrscope.study.executors.ray import RayExecutor

        return RayExecutor(source, engine, workers, on_gpu=on_gpu)
    raise InvalidInput(f"The executor must be one of {', '.join(EXECUTORS)}. Got '{name}'.")
