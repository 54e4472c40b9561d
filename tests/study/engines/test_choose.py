"""The choice of an engine: asked for, measured, stored, kept."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lrscope.errors import InvalidInput, InvalidTask, StudyMismatch
from lrscope.study import run
from lrscope.study.bench import Bench
from lrscope.study.engines import choose
from lrscope.study.engines.base import Stacking, make_engine
from lrscope.study.engines.certify import certify_compiled
from lrscope.study.engines.choose import EngineChoice, Load, choose_engine, expected_loads, fastest
from lrscope.study.engines.measure import certifying_seconds
from lrscope.study.engines.program import Programs
from lrscope.study.result import StudyResult
from lrscope.study.run import load_study, run_study
from lrscope.study.trial import Trial

Benches = Callable[[str], Bench]


def loads(*sizes: int, trials: int = 4, updates: float = 5000) -> list[Load]:
    """What is worth a measurement where an update takes 20 ms, and not worth a compiler."""
    return [Load(batch_size=size, updates={trials: updates}) for size in sizes]


def plant(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> list[list[int]]:
    """Let an update of a stack take as long as `seconds` says (0: the loop); returns what was measured."""
    asked: list[list[int]] = []

    def measure(updates: Mapping[int, Callable[[], None]], for_seconds: float) -> dict[int, list[float]]:
        asked.append(list(updates))
        return {name: [seconds(name)] * 3 for name in updates}

    monkeypatch.setattr(choose, "measure", measure)
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


def test_an_error_of_the_tasks_own_while_updates_are_measured_is_said_with_its_place(tiny: ModuleType) -> None:
    updates: list[int] = []

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        updates.append(1)
        if len(updates) > 3:
            raise ValueError("my own words")
        return (outputs - targets).square().mean()

    made = Bench(tiny.regression(loss=loss))
    with pytest.raises(InvalidTask, match=r"Training failed: ValueError: my own words \(.*test_choose\.py:\d+\)"):
        choose_engine(made, "auto", loads(8))


def test_what_cannot_be_stacked_is_said_in_one_line_and_looped(bench: Benches, tiny: ModuleType) -> None:
    made = Bench(tiny.regression(optimizer=lambda parameters, lr: torch.optim.Adagrad(parameters, lr)))
    choice = choose_engine(made, "vmap", loads(8))
    (all_of_them,) = choose_engine(made, "vmap", loads(8, 16, 32)).notes
    assert all_of_them.startswith("Batch sizes 8, 16 and 32 are trained by the plain loop, as its optimizer Adagrad")
    assert (str(choice), choice.spec) == ("loop", "loop")
    (note,) = choice.notes
    assert note == "Batch size 8 is trained by the plain loop, as its optimizer Adagrad has no stacked form."
    assert choice.serves("vmap")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda trials: 0.005 * trials or 0.02, 4),  # four times as fast, at any width
        (lambda trials: 0.03 * trials or 0.02, None),  # slower
        (lambda trials: 0.0198 * trials or 0.02, None),  # the same
        (lambda trials: {0: 0.02, 4: 0.04}.get(trials, 0.03 * trials), 4),  # four is best
        (lambda trials: {0: 0.02, 8: 0.01}.get(trials, 0.03 * trials), None),  # fast only where no round is as wide
    ],
)
def test_auto_takes_the_fastest(
    bench: Benches, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float], expected: int | None
) -> None:
    plant(monkeypatch, seconds)
    stacking = fastest(bench("regression"), *loads(32, trials=4))
    assert (None if stacking is None else stacking.widths[-1]) == expected


@pytest.mark.parametrize(("singles", "stacked"), [(0, True), (4000, True), (14_000, False)])
def test_auto_weighs_how_often_trials_come_alone(
    bench: Benches, monkeypatch: pytest.MonkeyPatch, singles: float, stacked: bool
) -> None:
    monkeypatch.setattr(choose, "COMPILING_SECONDS", math.inf)
    plant(monkeypatch, lambda trials: {0: 0.01, 1: 0.012, 2: 0.015}[trials])  # alone 1.2, in a pair 0.75
    load = Load(batch_size=8, updates={2: 7000} | ({1: singles} if singles else {}))
    assert load.total == 7000 + singles
    assert (fastest(bench("regression"), load) is not None) == stacked


def test_costs_that_lie_close_are_measured_longer(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plant(monkeypatch, lambda trials: 0.0195 * trials or 0.02)
    fastest(bench("regression"), *loads(8))
    assert asked == [[0], [0, 4], [0, 4]]
    asked = plant(monkeypatch, lambda trials: 0.005 * trials or 0.02)
    fastest(bench("regression"), *loads(8))
    assert asked == [[0], [0, 4]]


def test_a_check_that_takes_longer_than_it_may_is_not_made(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, lambda trials: 0.005 * trials or 0.02)
    monkeypatch.setattr(choose, "certifying_seconds", lambda *_: 3.1)  # more than 3 % of 100 s
    choice = choose_engine(bench("regression"), "auto", loads(8))
    (note,) = choice.notes
    assert note.startswith("Batch size 8 is trained by the plain loop, as a check whether its trials can be stacked")
    assert choose_engine(bench("regression"), "auto", loads(8, updates=6000)).notes == ()


def test_what_a_check_takes_is_foreseen_from_a_few_updates(bench: Benches, tiny: ModuleType) -> None:
    few, many = (certifying_seconds(bench("batch_norm"), 16, widths) for widths in (1, 100))
    assert 0 < few < many < 30
    assert certifying_seconds(Bench(tiny.regression(loss=lambda outputs, _: outputs.mean().item())), 8, 1) == 0


def test_auto_does_not_measure_what_cannot_pay(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plant(monkeypatch, lambda trials: 0.001)
    assert fastest(bench("regression"), *loads(8, trials=1)) is None
    assert asked == []
    assert fastest(bench("regression"), *loads(8, updates=100)) is None
    asked = plant(monkeypatch, lambda trials: 5.0)
    assert fastest(bench("regression"), *loads(8)) is None
    assert asked == [[0]]


def test_a_real_measurement_ends_in_a_choice(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "COMPILING_SECONDS", math.inf)
    stacking = fastest(bench("regression"), *loads(8, trials=8, updates=1e9))
    assert stacking is None or stacking.widths[-1] in range(2, 9)


@pytest.mark.parametrize(
    ("compiled_seconds", "compiling", "expected"),
    [(0.03, 1.0, True), (0.0395, 1.0, False), (0.1, 1.0, False), (0.03, 200.0, False)],
)
def test_a_long_study_is_compiled_where_that_is_clearly_faster_and_saves_more_than_it_takes(
    bench: Benches, monkeypatch: pytest.MonkeyPatch, compiled_seconds: float, compiling: float, expected: bool
) -> None:
    plant(monkeypatch, lambda trials: compiled_seconds if trials < 0 else 0.01 * trials or 0.02)
    certified: list[Stacking] = []
    times = iter([0.0, compiling])
    monkeypatch.setattr(choose.time, "perf_counter", lambda: next(times))

    def certify_compiled(programs: object, batch_size: int, width: int) -> Stacking:
        certified.append(Stacking(widths=(width,), compiled=True))
        return certified[-1]

    monkeypatch.setattr(choose, "certify_compiled", certify_compiled)
    monkeypatch.setattr(choose, "stack_update", lambda *_: None)
    stacking = fastest(bench("regression"), *loads(8, updates=35_000))
    assert certified == [Stacking(widths=(4,), compiled=True)]
    assert (stacking == certified[0]) == expected
    assert stacking is not None


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler: compiled stacks are not tested")
def test_a_compiled_stack_trains_as_the_loop_does_bit_for_bit_alike_in_any_company(bench: Benches) -> None:
    made = bench("regression")
    stacking = certify_compiled(Programs(made, "compiled"), 8, 2)
    asked = [
        Trial(batch_size=8, peak_lr=lr, schedule="cosine", seed=0, total_steps=30, stop_at=30)
        for lr in (0.01, 0.1, 1e30)
    ]
    engine = make_engine({"8": asdict(stacking)})
    together, alone = engine.train(made, asked), engine.train(made, asked[:1])
    for fast, plain in zip(together, make_engine("loop").train(made, asked), strict=True):
        assert (fast.status, fast.diverged_at) == (plain.status, plain.diverged_at)
        assert fast.loss == pytest.approx(plain.loss, rel=1e-3, nan_ok=True)
    assert together[0].loss.tobytes() == alone[0].loss.tobytes()
    assert together[0].val_loss == alone[0].val_loss


def test_a_missing_compiler_costs_nothing_but_the_speed(bench: Benches, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_without(*_: object, **__: object) -> None:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", compile_without)
    plant(monkeypatch, lambda trials: 0.01 * trials or 0.02)
    stacking = fastest(bench("regression"), *loads(8, updates=35_000))
    assert stacking is not None
    assert not stacking.compiled


def test_a_load_is_what_a_round_deals_out() -> None:
    round_ = [
        Trial(batch_size=size, peak_lr=lr, schedule="constant", seed=0, total_steps=100, stop_at=100)
        for size in (8, 32)
        for lr in (0.1, 0.2, 0.3, 0.4)
    ]
    assert expected_loads([(round_, 2.0)], workers=1) == [Load(batch_size=size, updates={4: 800.0}) for size in (8, 32)]
    assert expected_loads([(round_, 1.0), (round_[:1], 3.0)], workers=2) == [
        Load(batch_size=8, updates={4: 200.0, 1: 150.0}), Load(batch_size=32, updates={2: 200.0})
    ]  # fmt: skip


def test_an_adaptive_study_is_expected_to_ask_for_pairs_and_single_trials(
    tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[Load]] = []

    def choose_engine(bench: Bench, name: str, loads: list[Load]) -> EngineChoice:
        asked.append(loads)
        return EngineChoice(asked=name, stackings={})

    monkeypatch.setattr(run, "choose_engine", choose_engine)
    run_study(tiny.regression(), executor="serial", max_runs=1, lr=(1e-3, 1.0))
    (loads_,) = asked
    assert all(set(load.updates) == {1, 2} for load in loads_)
    run_study(tiny.regression(), executor="serial", max_runs=1, lr=(1e-3, 1.0), search="grid")
    assert min(min(load.updates) for load in asked[1]) > 2


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
    task, options = reference("batch_norm"), {"engine": "vmap", "search": "grid", "lr": (1e-2, 1e-1), "seeds": 2}
    here = study_here(task, **options)
    there = run_study(task, executor="local", workers=2, **options)  # type: ignore[arg-type]
    assert answers(there) == answers(here)
