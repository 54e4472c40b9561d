"""The choice of an engine: asked for, measured, stored, kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lrscope.errors import InvalidInput, StudyMismatch
from lrscope.study.bench import Bench
from lrscope.study.engines import choose
from lrscope.study.engines.base import Stacking
from lrscope.study.engines.choose import EngineChoice, Load, choose_engine, expected_loads, fastest
from lrscope.study.result import StudyResult
from lrscope.study.run import load_study, run_study
from lrscope.study.trial import Trial

Benches = Callable[[str], Bench]


def loads(*sizes: int, trials: int = 4, updates: float = 1e9) -> list[Load]:
    """Plenty to train at these batch sizes."""
    return [Load(batch_size=size, trials=trials, updates=updates) for size in sizes]


def plant(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> list[list[int]]:
    """Let an update of so many trials take as long as `seconds` says (1: the loop); returns what was measured."""
    asked: list[list[int]] = []

    def measure(candidates: Mapping[int, Callable[[], None]]) -> dict[int, list[float]]:
        asked.append(list(candidates))
        return {trials: [seconds(trials)] * 3 for trials in candidates}

    monkeypatch.setattr(choose, "_measure", measure)
    return asked


def test_a_name_is_what_is_asked_for(bench: Benches) -> None:
    made = bench("regression")
    loop = choose_engine(made, "loop", loads(8, 32))
    assert (str(loop), loop.spec, loop.notes) == ("loop", "loop", ())
    vmap = choose_engine(made, "vmap", loads(8, 32))
    assert (str(vmap), vmap.notes) == ("vmap", ())
    assert set(vmap.spec) == {"8", "32"}
    with pytest.raises(InvalidInput, match=r"--engine must be one of auto, loop, vmap\. Got 'gpu'"):
        choose_engine(made, "gpu", loads(8))


def test_what_cannot_be_stacked_is_said_in_one_line_and_looped(bench: Benches, tiny: ModuleType) -> None:
    made = Bench(tiny.regression(optimizer=lambda parameters, lr: torch.optim.Adagrad(parameters, lr)))
    choice = choose_engine(made, "vmap", loads(8))
    assert (str(choice), choice.spec) == ("loop", "loop")
    (note,) = choice.notes
    assert note == "Batch size 8 is trained by the plain loop, as its optimizer Adagrad has no stacked form."
    assert choice.serves("vmap")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda trials: 0.02 if trials == 1 else 0.005 * trials, 8),  # four times as fast, at any width
        (lambda trials: 0.02 if trials == 1 else 0.03 * trials, None),  # slower
        (lambda trials: 0.02 if trials == 1 else 0.0198 * trials, None),  # the same
        (lambda trials: {1: 0.02, 4: 0.04}.get(trials, 0.019 * trials), 4),  # four is best
        (lambda trials: {1: 0.02, 8: 0.01}.get(trials, 0.03 * trials), None),  # fast only where no round is as wide
    ],
)
def test_auto_takes_the_fastest(
    bench: Benches, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float], expected: int | None
) -> None:
    plant(monkeypatch, seconds)
    stacking = fastest(bench("regression"), *loads(32, trials=4))
    assert (None if stacking is None else stacking.widths[-1]) == expected


def test_auto_does_not_measure_what_cannot_pay(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plant(monkeypatch, lambda trials: 0.001)
    assert fastest(bench("regression"), *loads(8, trials=1)) is None
    assert asked == []
    assert fastest(bench("regression"), *loads(8, updates=100)) is None
    plant(monkeypatch, lambda trials: 5.0)
    assert fastest(bench("regression"), *loads(8)) is None
    assert asked == [[1]]


def test_a_real_measurement_ends_in_a_choice(bench: Benches) -> None:
    stacking = fastest(bench("regression"), *loads(8, trials=8))
    assert stacking is None or stacking.widths[-1] in range(2, 9)


def test_a_load_is_what_a_round_deals_out() -> None:
    round_ = [
        Trial(batch_size=size, peak_lr=lr, schedule="constant", seed=0, total_steps=100, stop_at=100)
        for size in (8, 32)
        for lr in (0.1, 0.2, 0.3, 0.4)
    ]
    assert expected_loads(round_, rounds=2.0, workers=1) == [
        Load(batch_size=size, trials=4, updates=800.0) for size in (8, 32)
    ]
    assert {load.batch_size: load.trials for load in expected_loads(round_, rounds=1.0, workers=2)} == {8: 4, 32: 2}


def test_a_choice_survives_the_store_and_says_whom_it_serves() -> None:
    mixed = EngineChoice(
        asked="auto", stackings={8: Stacking(widths=(1, 4), mixes_seeds=True), 32: None, 64: None}, notes=("So.",)
    )
    assert EngineChoice.from_fact(mixed.to_fact()) == mixed
    assert str(mixed) == "vmap at batch size 8, loop at batch size 32 and 64"
    assert mixed.serves("auto")
    assert not mixed.serves("loop")
    assert not mixed.serves("vmap")
    looped = EngineChoice(asked="auto", stackings={8: None, 32: None})
    assert looped.serves("loop")
    assert not looped.serves("vmap")
    older = EngineChoice.from_fact("loop")
    assert (str(older), older.spec) == ("loop", "loop")
    assert older.serves("loop")
    assert not older.serves("vmap")


def answers(result: StudyResult) -> list[object]:
    """What a study found, and every loss on the way."""
    found = [(optimum.batch_size, optimum.status, optimum.optimal_lr, optimum.runs) for optimum in result.optima]
    return [*found, *((item.trial, item.val_loss, item.loss.tobytes()) for item in result.trials)]


def test_a_stacked_study_that_is_cut_short_ends_as_one_that_is_not(
    study_here: Callable[..., StudyResult], reference: Callable[[str], str], tmp_path: Path
) -> None:
    task, options = reference("regression"), {"engine": "vmap", "search": "grid", "lr": (1e-3, 1.0)}
    whole = study_here(task, **options)
    assert {item.engine for item in whole.trials} == {"vmap"}
    for most in (1, 4, 11):
        study_here(task, out=tmp_path, max_runs=most, **options)
    assert load_study(tmp_path).engine == "vmap"
    resumed = study_here(task, out=tmp_path, **(options | {"engine": "auto"}))
    assert answers(resumed) == answers(whole)
    with pytest.raises(StudyMismatch, match=r"engine: vmap there, loop now"):
        study_here(task, out=tmp_path, **(options | {"engine": "loop"}))


def test_workers_stack_as_one_process_does(
    study_here: Callable[..., StudyResult], reference: Callable[[str], str]
) -> None:
    task, options = reference("batch_norm"), {"engine": "vmap", "search": "grid", "lr": (1e-3, 1e-1), "seeds": 2}
    here = study_here(task, **options)
    there = run_study(task, executor="local", workers=2, **options)  # type: ignore[arg-type]
    assert answers(there) == answers(here)
    looped = study_here(task, **(options | {"engine": "loop"}))
    for stacked, plain in zip(here.trials, looped.trials, strict=True):
        assert np.allclose(stacked.loss, plain.loss, rtol=1e-3)
