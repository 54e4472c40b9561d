"""A pool of worker processes on this machine; a worker that is killed costs its job a retry, not the study."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager

from lrscope.errors import MissingExtra, WorkFailed
from lrscope.numbers import format_number
from lrscope.study.engines.base import EngineSpec
from lrscope.study.executors.base import RETRIES, Executor, Job, train_job
from lrscope.study.load import TaskSource
from lrscope.study.trial import TrialResult

try:
    from pebble import ProcessExpired, ProcessPool
except ImportError:
    raise MissingExtra("pebble", "study") from None


class LocalExecutor(Executor):
    """Spawned processes of one thread each, kept for the whole study."""

    def __init__(self, source: TaskSource, engine: EngineSpec, workers: int) -> None:
        super().__init__(source, engine, workers)
        self._pool = ProcessPool(
            max_workers=workers, initializer=_start_worker, context=multiprocessing.get_context("spawn")
        )

    def run(self, jobs: Sequence[Job]) -> Iterator[list[TrialResult]]:
        """Jobs as they end; one whose worker died is given to another."""
        pending: dict[Future[list[TrialResult]], tuple[Job, int]] = {}
        for job in jobs:
            pending[self._submit(job)] = (job, 0)
        while pending:
            ended, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in ended:
                job, tries = pending.pop(future)
                try:
                    yield future.result()
                except ProcessExpired as death:
                    if tries >= RETRIES:
                        lr = format_number(job[0].peak_lr)
                        raise WorkFailed(
                            f"A worker died {tries + 1} times (exit code {death.exitcode}) while it trained batch size "
                            f"{job[0].batch_size} at learning rate {lr}: is there enough memory for "
                            f"{self.workers} workers? What is finished is kept; try fewer --workers. (A script that "
                            'calls run_study must do so under `if __name__ == "__main__":`.)'
                        ) from None
                    pending[self._submit(job)] = (job, tries + 1)

    def _submit(self, job: Job) -> Future[list[TrialResult]]:
        with _ctrl_c_ignored():  # the first job starts the workers
            future: Future[list[TrialResult]] = self._pool.schedule(train_job, args=[self.source, self.engine, job])
        return future

    def close(self) -> None:
        """End the workers, also in the middle of a job."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """What is started meanwhile ignores Ctrl-C from its first instruction on, as the workers do once they are up."""
    if threading.current_thread() is not threading.main_thread():  # which alone may say so
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # standard output is the driver's, for the answer alone
    threading.Thread(target=_leave_with_the_driver, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _leave_with_the_driver() -> None:
    """End in mid-trial when the driver is gone: nobody would keep the result."""
    driver = multiprocessing.parent_process()
    assert driver is not None  # a worker is a child
    driver.join()
    os._exit(1)
