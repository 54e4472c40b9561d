"""One job after the other, in this process: for debuggers, and for accelerators that one process fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrscope.study.executors.base import Executor, Job, train_job
from lrscope.study.trial import TrialResult


class SerialExecutor(Executor):
    """Runs each job when its results are asked for."""

    def run(self, jobs: Sequence[Job]) -> Iterator[list[TrialResult]]:
        """The jobs in their order."""
        for job in jobs:
            yield train_job(self.source, self.engine, job)

    def close(self) -> None:
        """Nothing to let go of."""
