"""The stacked engine against its readable twin, the loop, member by member; and what stacking must not do."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lrscope.study.bench import Bench
from lrscope.study.engines.base import NotStackable, Stacking, make_engine
from lrscope.study.engines.certify import certify
from lrscope.study.engines.loop import LoopEngine
from lrscope.study.engines.program import Programs
from lrscope.study.engines.vmap import VmapEngine
from lrscope.study.task import Task
from lrscope.study.trial import Trial, TrialResult
from lrscope.tasks.digits import digits, digits_adamw
from lrscope.tasks.text import pydoc_text

SCHEDULE = "warmup(5%) -> cosine"
RATES = (0.001, 0.004, 0.015)


def digits_batch_norm() -> Task:
    """The digits under convolutions with BatchNorm, clipped, with Nesterov momentum."""
    return replace(
        digits(),
        model=lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10)
        ),
        optimizer=lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9, nesterov=True),
        clip_norm=0.5,
    )


def digits_rmsprop() -> Task:
    """The digits under an MLP and an optimizer of the user's, a loss of the whole batch in place of outputs."""
    return replace(
        digits(),
        model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)),
        optimizer=lambda parameters, lr: torch.optim.RMSprop(parameters, 0.1 * lr),
        loss=None,
        batch_loss=lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]),
        metrics={},
    )


TASKS: dict[str, Callable[[], Task]] = {
    "a CNN": digits,
    "an MLP with dropout": digits_adamw,
    "BatchNorm, clipped": digits_batch_norm,
    "a batch loss": digits_rmsprop,
    "text": pydoc_text,
}


@pytest.fixture(scope="module")
def benches() -> dict[str, Bench]:
    """Each task's bench, opened once."""
    return {name: Bench(make()) for name, make in TASKS.items()}


def trials(rates: tuple[float, ...] = RATES, **key: object) -> list[Trial]:
    """One trial for each rate."""
    base = {"batch_size": 32, "schedule": SCHEDULE, "seed": 0, "total_steps": 40, "stop_at": 40} | key
    return [Trial(peak_lr=lr, **base) for lr in rates]  # type: ignore[arg-type]


def same(one: TrialResult, other: TrialResult) -> bool:
    """Whether two results are alike bit for bit, but for the time they took."""
    arrays = ("loss", "lr", "grad_norm", "update_ratio", "eval_loss")
    numbers = ("trial", "status", "diverged_at", "train_loss", "val_loss", "metrics", "engine")
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in numbers
    )


@pytest.mark.parametrize("name", TASKS)
def test_every_member_trains_as_the_loop_trains_it(benches: dict[str, Bench], name: str) -> None:
    asked = [*trials(), *trials((0.01,), schedule="linear", total_steps=60), *trials((0.01,), seed=1)]
    stacked = VmapEngine().train(benches[name], asked)
    for fast, plain in zip(stacked, LoopEngine().train(benches[name], asked), strict=True):
        assert (fast.engine, plain.engine) == ("vmap", "loop")
        assert np.array_equal(fast.lr, plain.lr)
        assert np.array_equal(fast.probe_step, plain.probe_step)
        assert np.array_equal(fast.eval_step, plain.eval_step)
        assert (fast.status, fast.examples) == (plain.status, plain.examples)
        for series in ("loss", "grad_norm", "update_ratio", "eval_loss"):
            assert getattr(fast, series) == pytest.approx(getattr(plain, series), rel=2e-3, abs=1e-5), series
        assert fast.train_loss == pytest.approx(plain.train_loss, rel=1e-3)
        assert fast.val_loss == pytest.approx(plain.val_loss, rel=1e-3)
        assert fast.metrics == pytest.approx(plain.metrics, abs=0.01)


@pytest.mark.parametrize("name", TASKS)
def test_a_member_is_the_same_bit_for_bit_in_any_company(benches: dict[str, Bench], name: str) -> None:
    bench, asked = benches[name], trials((0.001, 0.002, 0.004, 0.008, 0.015))
    together = VmapEngine().train(bench, asked)
    turned = VmapEngine().train(bench, asked[::-1])[::-1]
    pair = VmapEngine().train(bench, asked[1:3])
    (alone,) = VmapEngine().train(bench, asked[1:2])
    beside_other_seeds = VmapEngine().train(bench, [*trials(seed=3), asked[1], *trials(seed=4)])[3]
    assert all(map(same, together, turned))
    assert all(map(same, pair, together[1:3]))
    assert same(alone, together[1])
    assert same(beside_other_seeds, together[1])
    assert alone.engine == "vmap"


@pytest.mark.parametrize("name", TASKS)
def test_a_member_that_diverges_or_ends_leaves_and_the_others_keep_their_bits(
    benches: dict[str, Bench], name: str
) -> None:
    bench = benches[name]
    calm = trials()
    mixed = [calm[0], *trials((1e9, 1e38)), *trials((0.004,), stop_at=7), *calm[1:]]
    together = VmapEngine().train(bench, mixed)
    assert [together[place].status for place in (0, 2, 3)] == ["finished", "diverged", "finished"]
    assert len(together[3].loss) == 7
    assert len(together[2].loss) == together[2].diverged_at + 1 < 40  # type: ignore[operator]
    kept = [together[0], *together[4:]]
    assert all(map(same, kept, VmapEngine().train(bench, calm)))


def test_jobs_keep_every_worker_busy_and_no_stack_too_wide() -> None:
    engine = VmapEngine()
    assert sorted(map(len, engine.jobs(trials(), workers=2))) == [1, 2]
    assert sorted(map(len, engine.jobs(trials(), workers=1))) == [3]
    many = trials(tuple(np.geomspace(1e-4, 1, 18).tolist()))
    assert sorted(map(len, engine.jobs(many, workers=1))) == [6, 6, 6]
    assert sorted(map(len, engine.jobs(many, workers=4))) == [4, 4, 5, 5]
    sizes = [*trials(batch_size=16), *trials(batch_size=64)]
    jobs = engine.jobs(sizes, workers=2)
    assert all(len({trial.batch_size for trial in job}) == 1 for job in jobs)
    assert jobs[0][0].batch_size == 64


def test_seeds_share_a_stack_where_nothing_is_drawn_and_bits_stay_the_same(benches: dict[str, Bench]) -> None:
    assert certify(Programs(benches["a batch loss"]), 32).mixes_seeds
    assert not certify(Programs(benches["an MLP with dropout"]), 32).mixes_seeds


def test_a_batch_size_without_stacking_is_trained_by_the_loop(benches: dict[str, Bench]) -> None:
    engine = make_engine({"32": None, "16": {"widths": [2, 4, 8], "mixes_seeds": False}})
    results = engine.train(benches["a CNN"], [*trials(), *trials(batch_size=16)])
    assert [result.engine for result in results] == ["loop"] * 3 + ["vmap"] * 3
    assert sorted(map(len, engine.jobs(trials(), workers=1))) == [1, 1, 1]


def test_a_lone_trial_may_stand_in_several_rows(benches: dict[str, Bench]) -> None:
    one, padded = (
        VmapEngine({32: Stacking(widths=widths)}).train(benches["text"], trials((0.01,))) for widths in ((1,), (3, 8))
    )
    assert same(one[0], padded[0])


class _Counting(nn.Linear):
    """A model whose scale follows a count that it keeps in Python."""

    calls = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(inputs.flatten(1)) / self.calls


class _Skipping(nn.Linear):
    """A model that draws from Python's random numbers."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs.flatten(1)) * (1.0 if random.random() < 0.5 else 2.0)


class _Branching(nn.Linear):
    """A model that looks at its numbers."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = super().forward(inputs.flatten(1))
        return outputs if outputs.mean() > 0 else 2 * outputs


@pytest.mark.parametrize(
    ("model", "optimizer", "says"),
    [
        (lambda: _Counting(64, 10), "sgd", "keeps count outside"),
        (lambda: _Skipping(64, 10), "sgd", "draws random numbers"),
        (lambda: _Branching(64, 10), "sgd", "cannot be vectorised"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), torch.optim.Adadelta, "Adadelta"),
    ],
)
def test_what_cannot_be_stacked_is_refused_and_trained_by_the_loop(
    model: Callable[[], nn.Module], optimizer: object, says: str
) -> None:
    made = optimizer if isinstance(optimizer, str) else lambda parameters, lr: optimizer(parameters, lr)  # type: ignore[operator]
    task = replace(digits(), model=model, optimizer=made)
    with pytest.raises(NotStackable, match=says):
        certify(Programs(Bench(task)), 32)
    asked = trials(total_steps=10, stop_at=10)
    expected = LoopEngine().train(Bench(task), asked)
    assert all(map(same, VmapEngine().train(Bench(task), asked), expected))


@pytest.mark.parametrize("activation", [nn.SiLU, nn.Softplus, nn.Tanh])
@pytest.mark.parametrize(("units", "batch_size"), [(12, 5), (12, 16)])
def test_what_is_certified_on_a_few_updates_holds_on_many(
    activation: type[nn.Module], units: int, batch_size: int
) -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, units), activation(), nn.Linear(units, units), activation())

    programs = Programs(Bench(replace(digits(), model=model, optimizer="adamw", metrics={})))
    try:
        widths = certify(programs, batch_size).widths
    except NotStackable as reason:
        pytest.skip(f"this machine certifies no width of it, as {reason}")
    asked = trials((0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008), batch_size=batch_size, schedule="constant")
    whole = VmapEngine({batch_size: Stacking()}).train(programs.bench, asked)
    for width in widths:
        narrow = VmapEngine({batch_size: Stacking(widths=(width,))}).train(programs.bench, asked[:width])
        assert all(map(same, narrow, whole)), width
