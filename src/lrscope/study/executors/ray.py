"""Jobs on a Ray cluster (Ray core, not Tune: the study keeps its own record of what is finished)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from lrscope.errors import LrscopeError, MissingExtra, WorkFailed
from lrscope.study.engines.base import EngineSpec
from lrscope.study.executors.base import RETRIES, Executor, Job, train_job
from lrscope.study.load import TaskSource
from lrscope.study.trial import TrialResult

try:
    import ray
except ImportError:
    raise MissingExtra("ray", "ray") from None


class RayExecutor(Executor):
    """One Ray task a job, of one CPU and if asked one GPU, on the cluster of RAY_ADDRESS, or on this machine."""

    def __init__(self, source: TaskSource, engine: EngineSpec, workers: int, *, on_gpu: bool = False) -> None:
        super().__init__(source, engine, workers)
        self._started = not ray.is_initialized()
        if self._started:
            own = None if "RAY_ADDRESS" in os.environ else workers
            ray.init(num_cpus=own, include_dashboard=False, log_to_driver=False)
        self._source = ray.put(source)
        self._train = ray.remote(num_cpus=1, num_gpus=int(on_gpu), max_retries=RETRIES)(train_job)
        self._references: list[Any] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[list[TrialResult]]:
        """Jobs as they end; Ray itself tries again what a dead worker left."""
        self._references = [self._train.remote(self._source, self.engine, job) for job in jobs]
        while self._references:
            (done, *_), self._references = ray.wait(self._references, num_returns=1)
            try:
                yield ray.get(done)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, LrscopeError):
                    raise error.cause from None
                raise WorkFailed(f"A job failed on the cluster: {error.cause!r}.") from None
            except ray.exceptions.RayError as error:
                raise WorkFailed(f"The cluster could not do a job: {str(error).splitlines()[0]}") from None

    def close(self) -> None:
        """Cancel what runs; shut Ray down if it was started here."""
        for reference in self._references:
            ray.cancel(reference, force=True)
        if self._started:
            ray.shutdown()
