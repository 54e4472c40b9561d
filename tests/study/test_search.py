"""The search as a pure function, on planted curves and on recorded tables."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrscope.study.cell_fit import Choice, choose_lr, fit_cells, judge
from lrscope.study.search import next_trials
from lrscope.study.space import Cell, Observation, SearchSpace
from lrscope.study.trial import Trial

COSINE = "warmup(5%) -> cosine"
TRUTH = Path(__file__).parents[2] / "benchmarks" / "truth"
INITIAL = 2.3


def make_space(batch_sizes: tuple[int, ...] = (16, 64, 256), schedules: tuple[str, ...] = (COSINE,), **options):
    cells = tuple(Cell(batch_size=size, schedule=text) for size in batch_sizes for text in schedules)
    return SearchSpace(cells=cells, total_steps={size: 64_000 // size for size in batch_sizes}, **options)


@dataclass
class Planted:
    """A job whose loss is known: a U with a cliff `cliff` octaves right of an optimum that goes as √B."""

    optimum: float = 0.05  # at batch size 64
    cliff: float = 2.5
    noise: float = 0.0
    short_excess: float = 1.0  # octaves that short runs do best above full runs
    trained: list[Trial] = field(default_factory=list)

    def best(self, batch_size: int) -> float:
        return self.optimum * math.sqrt(batch_size / 64)

    def loss(self, trial: Trial) -> float:
        full = trial.total_steps == 64_000 // trial.batch_size
        octaves = math.log2(trial.peak_lr / self.best(trial.batch_size)) - (0 if full else self.short_excess)
        if octaves > self.cliff:
            return math.inf
        noise = self.noise * np.random.default_rng([trial.seed, int(1e6 * trial.peak_lr)]).standard_normal()
        return 0.2 + 2.1 * (1 - math.exp(-0.04 * octaves**2)) + float(noise)

    def observe(self, trial: Trial) -> Observation:
        self.trained.append(trial)
        loss = self.loss(trial)
        return Observation(trial=trial, loss=loss, train_loss=loss, initial_loss=INITIAL, initial_train_loss=INITIAL)

    def regret(self, batch_size: int, lr: float) -> float:
        octaves = math.log2(lr / self.best(batch_size))
        return 1 - math.exp(-0.04 * octaves**2) if octaves <= self.cliff else 1.0


@dataclass
class Elsewhere(Planted):
    """A planted job with another loss."""

    function: Callable[[Trial], float] = lambda trial: INITIAL

    def loss(self, trial: Trial) -> float:
        return self.function(trial)


def drive(space: SearchSpace, world: Planted, limit: int = 40) -> list[Observation]:
    """Ask and answer until the search is finished."""
    seen: list[Observation] = []
    for _ in range(limit):
        asked = next_trials(space, seen)
        if not asked:
            return seen
        assert len(set(asked)) == len(asked)
        assert not {ran.trial for ran in seen} & set(asked), "a finished trial was asked for again"
        seen += [world.observe(trial) for trial in asked]
    raise AssertionError(f"not finished after {limit} rounds")


def choices(space: SearchSpace, seen: list[Observation]) -> dict[Cell, float | None]:
    fits = fit_cells(space, seen)
    return {cell: None if cell not in fits else choose_lr(fits[cell]) for cell in space.cells}


def verdict(space: SearchSpace, seen: list[Observation]) -> Choice:
    """The verdict on the only cell."""
    return judge(fit_cells(space, seen)[space.cells[0]], space)


@pytest.mark.parametrize("optimum", [3e-5, 0.002, 0.05, 1.0])
@pytest.mark.parametrize("cliff", [0.75, 2.5, 9.0])
def test_finds_a_planted_optimum_wherever_it_is(optimum, cliff):
    space, world = make_space(), Planted(optimum=optimum, cliff=cliff)
    for cell, choice in choices(space, drive(space, world)).items():
        assert world.regret(cell.batch_size, choice) <= (0.02 if cliff > 1 else 0.05)


@given(st.floats(-14, 0), st.floats(0.5, 6), st.sampled_from([0.0, 0.003]), st.floats(-0.5, 1.5))
@settings(max_examples=25, deadline=None)
def test_regret_and_cost_are_bounded(octave, cliff, noise, short_excess):
    space = make_space((64,))
    world = Planted(optimum=2.0**octave, cliff=cliff, noise=noise, short_excess=short_excess)
    seen = drive(space, world)
    (choice,) = choices(space, seen).values()
    assert world.regret(64, choice) <= 0.05
    assert sum(trial.stop_at / 1000 for trial in world.trained) <= 9


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_order_of_observations_does_not_matter(shuffler: random.Random):
    space, world = make_space(), Planted(noise=0.01)
    seen: list[Observation] = []
    while asked := next_trials(space, seen):
        shuffled = list(seen)
        shuffler.shuffle(shuffled)
        assert sorted(next_trials(space, shuffled)) == sorted(asked)
        seen += [world.observe(trial) for trial in asked]


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_a_killed_search_ends_as_one_that_was_not(seed):
    space, world = make_space(), Planted(noise=0.01)
    uninterrupted = drive(space, world)
    store: dict[Trial, Observation] = {}
    killing = random.Random(seed)
    finished = False
    while not finished:  # each life of the driver walks through what is stored, then trains until it is killed
        seen: list[Observation] = []
        left = killing.randint(1, 6)
        while left > 0:
            asked = next_trials(space, seen)
            finished = not asked
            if finished:
                break
            for trial in asked:
                if trial not in store and left > 0:
                    store[trial] = world.observe(trial)
                    left -= 1
            if not all(trial in store for trial in asked):
                break
            seen += [store[trial] for trial in asked]
    key = lambda ran: ran.trial  # noqa: E731
    assert sorted(seen, key=key) == sorted(uninterrupted, key=key)


def test_widens_until_the_optimum_is_enclosed():
    for optimum in (2.0**-17.5, 2.0**1.5):
        space, world = make_space((64,)), Planted(optimum=optimum, cliff=9)
        seen = drive(space, world)
        choice = verdict(space, seen)
        assert choice.status == "found"
        assert world.regret(64, choice.optimal_lr.value) <= 0.01


def test_everything_diverges():
    space = make_space()
    world = Elsewhere(function=lambda trial: math.inf)
    drive(space, world)
    assert sum(trial.stop_at * trial.batch_size for trial in world.trained) <= 3 * 64_000
    assert all(choice is None for choice in choices(space, drive(space, world)).values())


def test_all_but_very_small_rates_diverge():
    space, world = make_space((64,)), Planted(optimum=4e-6, cliff=1.0)
    (choice,) = choices(space, drive(space, world)).values()
    assert world.regret(64, choice) <= 0.02


def test_two_points_are_all_the_range_there_is():
    space, world = make_space((64,), lr_low=0.1, lr_high=0.1001), Planted()
    seen = drive(space, world)
    assert seen
    assert verdict(space, seen).status != "found"


def test_nothing_is_ever_learned():
    space = make_space()
    seen = drive(space, Elsewhere(function=lambda trial: INITIAL))
    for fitted in fit_cells(space, seen).values():
        assert judge(fitted, space).status != "found"


def test_the_loss_falls_to_the_end_of_the_range():
    falling = Elsewhere(function=lambda trial: 1.0 - 0.05 * math.log2(trial.peak_lr))
    space = make_space((64,), lr_low=1e-4, lr_high=0.1)
    assert verdict(space, drive(space, falling)).status == "edge"
    rising = Elsewhere(function=lambda trial: 1.0 + 0.05 * math.log2(trial.peak_lr / 1e-5))
    assert verdict(space, drive(space, rising)).status == "edge"


@given(st.floats(1e-6, 1.0), st.floats(1.0, 1e4))
@settings(max_examples=25, deadline=None)
def test_never_leaves_the_range(low, ratio):
    space, world = make_space((16, 64), lr_low=low, lr_high=low * ratio), Planted()
    drive(space, world)
    assert world.trained
    for trial in world.trained:
        assert low * (1 - 1e-9) <= trial.peak_lr <= low * ratio * (1 + 1e-9)


def test_more_batch_sizes_cost_less_each():
    def cost(sizes: tuple[int, ...]) -> float:
        space, world = make_space(sizes), Planted()
        drive(space, world)
        return sum(trial.examples for trial in world.trained) / 64_000 / len(sizes)

    assert cost((16, 32, 64, 128, 256, 512, 1024, 2048)) - 0.1 <= cost((16, 64, 256)) <= cost((64,))


def test_every_schedule_gets_its_own_optimum():
    space, world = make_space((16, 64), (COSINE, "linear", "constant")), Planted()
    seen = drive(space, world)
    for cell, choice in choices(space, seen).items():
        assert world.regret(cell.batch_size, choice) <= 0.01
    assert {ran.trial.schedule for ran in seen} == {COSINE, "linear", "constant"}


def test_seeds_start_at_the_base_seed_and_are_no_more_than_allowed():
    space, world = make_space(seeds=2, base_seed=40, tolerance=1e-6), Planted(noise=0.05)
    drive(space, world)
    assert {trial.seed for trial in world.trained} == {40, 41}


def test_grid_is_every_rate_and_seed_in_one_round():
    space, world = make_space((16, 64), lr_low=0.01, lr_high=0.16, method="grid"), Planted()
    asked = next_trials(space, [])
    assert len(asked) == 2 * 9 * 3
    rates = sorted({trial.peak_lr for trial in asked})
    assert np.allclose(np.diff(np.log2(rates)), 0.5)
    assert next_trials(space, [world.observe(trial) for trial in asked]) == []


def test_a_single_batch_size_that_trains_for_a_few_steps_only():
    space = replace(make_space((64,)), total_steps={64: 20})
    seen = drive(space, Elsewhere(function=lambda trial: 0.2 + 0.1 * math.log2(trial.peak_lr / 0.03) ** 2))
    (choice,) = choices(space, seen).values()
    assert abs(math.log2(choice / 0.03)) <= 0.6


@dataclass
class Recorded(Planted):
    """A dense grid as it was measured, read between its rates along their logarithm; its short runs are planted."""

    task: str = "digits"

    def __post_init__(self) -> None:
        with (TRUTH / f"{self.task}.csv").open() as file:
            self.rows = list(csv.DictReader(file))

    def curve(self, batch_size: int, seeds: set[int]) -> tuple[np.ndarray, np.ndarray]:
        table: dict[float, list[float]] = {}
        for row in self.rows:
            if int(row["batch_size"]) == batch_size and int(row["seed"]) in seeds:
                table.setdefault(math.log2(float(row["lr"])), []).append(float(row["val_loss"]))
        octaves = np.array(sorted(table))
        return octaves, np.array([np.mean(table[octave]) for octave in octaves])

    def read(self, batch_size: int, seeds: set[int], octave: float) -> float:
        octaves, losses = self.curve(batch_size, seeds)
        if octave > octaves[-1]:
            return math.inf
        slope = (losses[1] - losses[0]) / (octaves[1] - octaves[0])
        beyond = min(slope, 0.0) * (octave - octaves[0])
        return float(np.interp(octave, octaves, losses)) + (min(beyond, 0.5) if octave < octaves[0] else 0.0)

    def loss(self, trial: Trial) -> float:
        full = trial.total_steps == 64_000 // trial.batch_size
        return self.read(trial.batch_size, {trial.seed % 3}, math.log2(trial.peak_lr) - (0 if full else 1))

    def regret(self, batch_size: int, lr: float) -> float:
        _, losses = self.curve(batch_size, {0, 1, 2})
        initial = float(self.rows[0]["initial_val_loss"])
        chosen = self.read(batch_size, {0, 1, 2}, math.log2(lr))
        return (chosen - losses.min()) / (initial - losses.min())


@pytest.mark.parametrize("task", ["digits", "digits-adamw", "pydoc-text"])
def test_recorded_tables(task):
    space, world = make_space(), Recorded(task=task)
    for cell, choice in choices(space, drive(space, world)).items():
        assert world.regret(cell.batch_size, choice) <= 0.05
    assert sum(trial.examples for trial in world.trained) / 64_000 <= 20
