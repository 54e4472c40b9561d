"""Learning-rate finders and tuning-free optimizers, run on a task's own model and data as their users run them.

Each function returns the rate that it suggests (None where it gives none) and the updates that it made. The seed fixes
weights and data order as it does for lrscope's own trials. fastai is not in the extra `bench`: it brings a torchvision
that a CPU build of PyTorch cannot load. Installed by hand, without torchvision, it runs; where absent it is left out.
An older Lightning beside the installed one: `pip install --no-deps --target FOLDER lightning==2.5.2`, and FOLDER in the
environment variable LRSCOPE_OLD_LIGHTNING; it runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from importlib.util import find_spec

import torch
from benchmarks.tasks import TASKS
from torch import nn

from lrscope.study.bench import BatchOrder, Bench
from lrscope.study.find import find_lr
from lrscope.study.load import TaskSource
from lrscope.study.task import Task

Suggestion = tuple[float | None, int]
OLD_LIGHTNING = os.environ.get("LRSCOPE_OLD_LIGHTNING", "")


class Loader:
    """The batches of a task in a seed's order, epoch after epoch, as a finder's DataLoader."""

    def __init__(self, bench: Bench, batch_size: int, seed: int) -> None:
        self.order = BatchOrder(bench.train_examples, batch_size, seed, bench.device)
        self.bench = bench
        self.batch_size = batch_size
        self.given = 0

    def __len__(self) -> int:
        return self.order.batches_per_epoch

    def __iter__(self) -> Iterator[object]:
        for _ in range(len(self)):
            yield self.bench.train.batch(self.order[self.given])
            self.given += 1


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What peers print and warn of is kept off the terminal."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def torch_lr_finder(bench: Bench, batch_size: int, seed: int) -> Suggestion:
    """torch-lr-finder 0.2.2: 100 iterations from 1e-7 to 10, the steepest gradient."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from torch_lr_finder import LRFinder, TrainDataLoaderIter

    class Batches(TrainDataLoaderIter):
        def __init__(self, loader: Loader) -> None:
            self.data_loader, self._iterator, self.auto_reset = loader, iter(loader), True

        def inputs_labels_from_batch(self, batch: object) -> object:
            return batch

    model = bench.make_model(seed)
    loader = Loader(bench, batch_size, seed)
    finder = LRFinder(model, bench.make_optimizer(model, 1e-7), bench.task.loss, device="cpu")
    try:
        finder.range_test(Batches(loader), end_lr=10, num_iter=100)
        figure, axes = pyplot.subplots()
        _, rate = finder.plot(suggest_lr=True, ax=axes)
        pyplot.close(figure)
    except (ValueError, IndexError):
        rate = None
    return rate, loader.given


def lightning_lr_find(bench: Bench, batch_size: int, seed: int) -> Suggestion:
    """Lightning's Tuner.lr_find: 100 steps from 1e-8 to 1, its suggestion."""
    import lightning
    from lightning.pytorch.tuner import Tuner

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = bench.make_model(seed), 1e-3

        def training_step(self, batch: object) -> torch.Tensor:
            return bench.batch_loss(self.model, batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return bench.make_optimizer(self.model, self.lr)

    loader = Loader(bench, batch_size, seed)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            max_epochs=-1, accelerator="cpu", default_root_dir=folder, gradient_clip_val=bench.task.clip_norm,
        )  # fmt: skip
        found = Tuner(trainer).lr_find(Module(), train_dataloaders=loader)
    return None if found is None else found.suggestion(), loader.given


def old_lightning_lr_find(bench: Bench, batch_size: int, seed: int) -> Suggestion:
    """The same with the Lightning of another folder, asked in another process."""
    command = [sys.executable, "-m", "benchmarks.finders", bench.task.name, str(batch_size), str(seed)]
    path = os.pathsep.join([OLD_LIGHTNING, *sys.path])
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True, text=True)
    rate, updates = json.loads(ran.stdout.splitlines()[-1])
    return rate, updates


def fastai_lr_find(bench: Bench, batch_size: int, seed: int) -> Suggestion:
    """fastai's Learner.lr_find: 100 iterations from 1e-7 to 10, the valley."""
    import fastai.callback.progress
    import fastai.callback.schedule  # noqa: F401 (gives Learner lr_find)
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    model, loader = bench.make_model(seed), Loader(bench, batch_size, seed)

    def optimizer(parameters: object, lr: float, **_: object) -> OptimWrapper:
        return OptimWrapper(opt=bench.make_optimizer(model, lr))

    learner = Learner(DataLoaders(loader, loader), model, loss_func=bench.task.loss, opt_func=optimizer)
    try:
        with learner.no_bar():
            rate = float(learner.lr_find(show_plot=False)[0])
    except (IndexError, RuntimeError, ValueError):
        rate = None
    return rate, loader.given


def lrscope_find(bench: Bench, batch_size: int, seed: int) -> Suggestion:
    """lrscope find at its default budget."""
    found = find_lr(bench.task, batch_size=batch_size, seed=seed)
    rate = None if found.suggested_lr is None else found.suggested_lr.value
    total = bench.task.total_steps(batch_size, bench.train_examples)
    return rate, round(found.full_run_equivalents * total)


def version_of(package: str, folder: str | None = None) -> str:
    """The version of a package, in a folder or where Python finds it."""
    found = distributions(name=package, path=[folder] if folder else sys.path)
    return next((each.version for each in found), "absent")


FINDERS: dict[str, Callable[[Bench, int, int], Suggestion]] = {
    "lrscope find": lrscope_find,
    "torch-lr-finder": torch_lr_finder,
    f"Lightning {version_of('lightning')} lr_find": lightning_lr_find,
}
if OLD_LIGHTNING:
    FINDERS[f"Lightning {version_of('lightning', OLD_LIGHTNING)} lr_find"] = old_lightning_lr_find
if find_spec("fastai"):
    FINDERS["fastai lr_find"] = fastai_lr_find


def prodigy(task: Task, model: nn.Module) -> torch.optim.Optimizer:
    """Prodigy at its defaults."""
    from prodigyopt import Prodigy

    return Prodigy(model.parameters(), lr=1.0)


def schedule_free(task: Task, model: nn.Module) -> torch.optim.Optimizer:
    """Schedule-free at its defaults: SGD where the task uses SGD, else AdamW."""
    from schedulefree import AdamWScheduleFree, SGDScheduleFree

    plain = task.optimizer == "sgd"
    return SGDScheduleFree(model.parameters()) if plain else AdamWScheduleFree(model.parameters())


TUNING_FREE: dict[str, Callable[[Task, nn.Module], torch.optim.Optimizer]] = {
    "Prodigy": prodigy,
    "schedule-free": schedule_free,
}


def train_free(bench: Bench, batch_size: int, seed: int, method: str, metric: str) -> float:
    """The final loss of a full run with a tuning-free optimizer at a constant rate; inf where it diverged."""
    model = bench.make_model(seed)
    optimizer = TUNING_FREE[method](bench.task, model)
    steps = bench.task.total_steps(batch_size, bench.train_examples)
    order = BatchOrder(bench.train_examples, batch_size, seed, bench.device)
    switch = getattr(optimizer, "eval", None)
    if switch is not None:
        optimizer.train()
    model.train()
    with bench.training_rng(seed):
        for step in range(steps):
            optimizer.zero_grad()
            loss = bench.batch_loss(model, bench.train.batch(order[step]))
            if not math.isfinite(float(loss.detach())):
                return math.inf
            loss.backward()
            if bench.task.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), bench.task.clip_norm)
            optimizer.step()
    if switch is not None:
        optimizer.eval()
    examples = bench.train if metric == "train_loss" or bench.validation is None else bench.validation
    loss, _ = bench.evaluate(model, examples)
    return loss if math.isfinite(loss) else math.inf


def main(name: str, batch_size: int, seed: int) -> None:
    """Print what this process's Lightning suggests for a task of the benchmark."""
    with quiet():
        suggestion = lightning_lr_find(Bench(TaskSource.of(TASKS[name].reference).load()), batch_size, seed)
    print(json.dumps(suggestion))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
