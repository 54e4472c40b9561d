"""ScheduledLR: the right rate at every step, whatever is restored, skipped, added, pickled or compiled."""

from __future__ import annotations

import copy
import itertools
import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.schedule import ScheduledLR
from lrscope.schedules.schedule import Schedule
from lrscope.schedules.text import parse_schedule

TOTAL = 24
SCHEDULERS = torch.optim.lr_scheduler
Kind = tuple[str, Callable[[torch.optim.Optimizer], SCHEDULERS.LRScheduler]]
KINDS: dict[str, Kind] = {
    "LambdaLR": (
        "inverse_time(1)",
        lambda o: SCHEDULERS.LambdaLR(o, lambda step: 1 / (1 + step)),
    ),
    "MultiplicativeLR": ("exponential(0.9)", lambda o: SCHEDULERS.MultiplicativeLR(o, lambda step: 0.9)),
    "StepLR": ("step(7, 0.1)", lambda o: SCHEDULERS.StepLR(o, 7, 0.1)),
    "MultiStepLR": ("multistep(5, 11, 17)", lambda o: SCHEDULERS.MultiStepLR(o, [5, 11, 17])),
    "ConstantLR": ("piecewise([6], [0.25, 1])", lambda o: SCHEDULERS.ConstantLR(o, 0.25, 6)),
    "LinearLR": (
        "warmup(8, start=0.1, offset=0)",
        lambda o: SCHEDULERS.LinearLR(o, 0.1, total_iters=8),
    ),
    "ExponentialLR": ("exponential(0.9)", lambda o: SCHEDULERS.ExponentialLR(o, 0.9)),
    "SequentialLR": (
        "warmup(4, start=0.1, offset=0) -> cosine(20, end_at=total, past_end=continue)",
        lambda o: SCHEDULERS.SequentialLR(
            o, [SCHEDULERS.LinearLR(o, 0.1, total_iters=4), SCHEDULERS.CosineAnnealingLR(o, 20)], [4]
        ),
    ),
    "PolynomialLR": (
        "polynomial(20, end_at=total, power=2)",
        lambda o: SCHEDULERS.PolynomialLR(o, 20, 2.0),
    ),
    "CosineAnnealingLR": (
        "cosine(15, end_at=total, past_end=continue)",
        lambda o: SCHEDULERS.CosineAnnealingLR(o, 15),
    ),
    "ChainedScheduler": (
        "piecewise([6], [0.25, 1]) * exponential(0.9)",
        lambda o: SCHEDULERS.ChainedScheduler([SCHEDULERS.ConstantLR(o, 0.25, 6), SCHEDULERS.ExponentialLR(o, 0.9)]),
    ),
    "CyclicLR": (
        "cyclic(5, 3, base=0.1, mode=triangular2)",
        lambda o: SCHEDULERS.CyclicLR(o, [0.01, 0.03], [0.1, 0.3], 5, 3, "triangular2", cycle_momentum=False),
    ),
    "CosineAnnealingWarmRestarts": (
        "restarts(3, cycle_mult=2, end_at=total)",
        lambda o: SCHEDULERS.CosineAnnealingWarmRestarts(o, 3, 2),
    ),
    "OneCycleLR": (
        f"one_cycle({TOTAL + 1})",
        lambda o: SCHEDULERS.OneCycleLR(o, [0.1, 0.3], TOTAL + 1, cycle_momentum=False),
    ),
}
"""torch's 14 kinds of scheduler, each with lrscope's text for it."""


def make(lrs: tuple[float, ...] = (0.1, 0.3), **options: object) -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.ones(2))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=lrs[0], **options)


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def update(optimizer: torch.optim.Optimizer, scheduler: ScheduledLR) -> None:
    optimizer.step()
    scheduler.step()


def torch_rates(kind: str) -> list[list[float]]:
    """What torch's own scheduler does in a run that nothing interrupts."""
    optimizer = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = KINDS[kind][1](optimizer)
        seen = [rates(optimizer)]
        for _ in range(TOTAL):
            optimizer.step()
            scheduler.step()
            seen.append(rates(optimizer))
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_every_load_order_at_every_step_gives_the_right_rates_for_the_rest_of_training(kind: str) -> None:
    schedule, peaks = parse_schedule(KINDS[kind][0]), (0.1, 0.3)
    expected = torch_rates(kind)
    assert expected == [pytest.approx([peak * schedule(t) for peak in peaks], rel=1e-9, abs=1e-16) for t in
                        range(TOTAL + 1)]  # fmt: skip
    optimizer = make(peaks)
    scheduler = ScheduledLR(optimizer, schedule)
    wrong = compared = 0
    for step in range(TOTAL + 1):
        saved = {"optimizer": copy.deepcopy(optimizer.state_dict()), "scheduler": scheduler.state_dict()}
        for order in itertools.permutations(["make scheduler", "load scheduler", "load optimizer"]):
            if order.index("make scheduler") > order.index("load scheduler"):
                continue
            again = make(peaks)
            for action in order:
                if action == "make scheduler":
                    restored = ScheduledLR(again, schedule)
                elif action == "load scheduler":
                    restored.load_state_dict(saved["scheduler"])
                else:
                    again.load_state_dict(saved["optimizer"])
            for later in range(step, TOTAL + 1):
                wrong += rates(again) != [peak * schedule(later) for peak in peaks]
                compared += 1
                update(again, restored)
        update(optimizer, scheduler)
    assert (wrong, compared) == (0, 3 * (TOTAL + 1) * (TOTAL + 2) // 2)


def test_loading_into_a_scheduler_that_has_moved_on_takes_it_back() -> None:
    optimizer = make()
    scheduler = ScheduledLR(optimizer, "cosine", total_steps=TOTAL)
    state = scheduler.state_dict()
    assert state == {"step": 0}
    for _ in range(9):
        update(optimizer, scheduler)
    scheduler.load_state_dict(state)
    assert rates(optimizer) == [0.1, 0.3]


def test_takes_the_state_of_a_torch_scheduler() -> None:
    optimizer = make()
    old = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for _ in range(3):
        optimizer.step()
        old.step()
    new = ScheduledLR(optimizer, "linear", total_steps=7)
    new.load_state_dict(old.state_dict())
    assert rates(optimizer) == [peak * new.schedules[0](3) for peak in (0.1, 0.3)]


@pytest.mark.parametrize("state", [{}, {"step": -1}, {"step": "3"}])
def test_a_state_without_a_step_is_refused(state: dict[str, object]) -> None:
    scheduler = ScheduledLR(make(), "cosine", total_steps=TOTAL)
    with pytest.raises(InvalidInput, match="'step', an int >= 0"):
        scheduler.load_state_dict(state)


def test_construction_leaves_the_optimizer_alone() -> None:
    optimizer = make()
    before = {key: copy.copy(value) for key, value in vars(optimizer).items() if key != "param_groups"}
    step = optimizer.step.__func__
    ScheduledLR(optimizer, "warmup(4) -> cosine", total_steps=TOTAL)
    assert {key: value for key, value in vars(optimizer).items() if key != "param_groups"} == before
    assert optimizer.step.__func__ is step
    assert rates(optimizer) == [0.1 * 0.25, 0.3 * 0.25]


def test_a_dry_run_counts_calls() -> None:
    scheduler = ScheduledLR(make((1.0,)), "linear", total_steps=5)
    seen = []
    for _ in range(5):
        seen += scheduler.get_last_lr()
        scheduler.step()
    assert seen == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("zero_first", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_updates_skipped_by_a_grad_scaler_do_not_count(fused: bool, zero_first: bool) -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter], lr=1.0, fused=fused)
    scheduler = ScheduledLR(optimizer, "linear", total_steps=11)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    made = 0
    overflows = [False, True, False, False, True, True, False] if zero_first else [True, True, False, True, False]
    for overflow in overflows:
        optimizer.zero_grad()
        scaler.scale((parameter * (float("inf") if overflow else 1.0)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        if zero_first:
            optimizer.zero_grad()
        scheduler.step()
        made += not overflow
        assert scheduler.last_epoch == made
        assert rates(optimizer) == [scheduler.schedules[0](made)]


def test_groups_added_later_are_at_their_rate_from_their_first_update() -> None:
    optimizer = make((1.0,))
    scheduler = ScheduledLR(optimizer, "linear", total_steps=5)
    update(optimizer, scheduler)
    late = nn.Parameter(torch.ones(1))
    late.grad = torch.ones(1)
    optimizer.add_param_group({"params": [late], "lr": 0.4})
    optimizer.step()
    assert late.item() == pytest.approx(1 - 0.4 * 0.75)
    scheduler.step()
    assert rates(optimizer) == [0.5, 0.4 * 0.5]


def test_each_group_may_have_its_own_schedule() -> None:
    optimizer = make((1.0, 1.0))
    scheduler = ScheduledLR(optimizer, ["constant", parse_schedule("linear", total_steps=5)])
    for step in range(5):
        assert rates(optimizer) == [1.0, 1 - step / 4]
        update(optimizer, scheduler)
    with pytest.raises(InvalidInput, match=r"each of the optimizer's 2 param groups. Got 3"):
        ScheduledLR(optimizer, ["constant"] * 3)


@pytest.mark.parametrize("schedules", [["constant", "linear"], "linear"])
def test_groups_made_with_one_rate_tensor_get_one_each_where_they_differ(schedules: str | list[str]) -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(groups, lr=torch.tensor(1.0))
    peaks = [1.0, 1.0] if isinstance(schedules, list) else [1.0, 0.5]
    scheduler = ScheduledLR(optimizer, schedules, total_steps=5, peak_lr=peaks)
    for step in range(5):
        linear = 1 - step / 4
        expected = [1.0, linear] if isinstance(schedules, list) else [linear, 0.5 * linear]
        assert [group["lr"].item() for group in optimizer.param_groups] == pytest.approx(expected)
        update(optimizer, scheduler)


def test_tensor_rates_are_filled_in_place_and_nothing_is_recompiled() -> None:
    from torch._dynamo.testing import CompileCounter

    rate = torch.tensor(0.1)
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=rate)
    scheduler = ScheduledLR(optimizer, "cosine", total_steps=6)
    rate = optimizer.param_groups[0]["lr"]
    counter = CompileCounter()
    step = torch.compile(optimizer.step, backend=counter)
    parameter.grad = torch.ones(2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        for expected in range(5):
            assert optimizer.param_groups[0]["lr"] is rate
            assert rate.item() == pytest.approx(0.1 * scheduler.schedules[0](expected))
            step()
            scheduler.step()
    assert counter.frame_count == 1


def test_weight_decay_momentum_and_betas_ride_along() -> None:
    linear = parse_schedule("linear", total_steps=5)
    sgd = make((1.0,), weight_decay=0.5, momentum=0.8)
    scheduler = ScheduledLR(sgd, "constant", weight_decay=linear, momentum=linear)
    update(sgd, scheduler)
    assert (sgd.param_groups[0]["weight_decay"], sgd.param_groups[0]["momentum"]) == (0.375, 0.8 * 0.75)

    adam = torch.optim.AdamW([nn.Parameter(torch.ones(1))], betas=(0.8, 0.96))
    scheduler = ScheduledLR(adam, "constant", betas=(None, linear))
    update(adam, scheduler)
    assert adam.param_groups[0]["betas"] == (0.8, 0.96 * 0.75)
    again = torch.optim.AdamW([nn.Parameter(torch.ones(1))], betas=(0.8, 0.96))
    again.load_state_dict(adam.state_dict())
    restored = ScheduledLR(again, "constant", betas=(None, linear))
    restored.load_state_dict(scheduler.state_dict())
    update(again, restored)
    assert again.param_groups[0]["betas"] == (0.8, 0.96 * 0.5)

    ScheduledLR(adam, "constant", momentum=linear)
    with pytest.raises(InvalidInput, match=r"SGD has no 'betas' to schedule"):
        ScheduledLR(sgd, "constant", betas=(linear, None))


def test_peaks_can_be_given() -> None:
    optimizer = make()
    ScheduledLR(optimizer, "constant", peak_lr=[2.0, 3.0])
    assert rates(optimizer) == [2.0, 3.0]
    ScheduledLR(optimizer, "constant", peak_lr=5.0)
    assert rates(optimizer) == [5.0, 5.0]
    with pytest.raises(InvalidInput, match=r"each of the optimizer's 2 param groups. Got 1"):
        ScheduledLR(optimizer, "constant", peak_lr=[1.0])


def test_pickles_and_copies_with_its_optimizer() -> None:
    optimizer = make()
    scheduler = ScheduledLR(optimizer, "warmup(3) -> cosine", total_steps=TOTAL)
    update(optimizer, scheduler)
    for twin_optimizer, twin in (
        pickle.loads(pickle.dumps((optimizer, scheduler))),
        copy.deepcopy((optimizer, scheduler)),
    ):
        assert twin.optimizer is twin_optimizer
        update(twin_optimizer, twin)
        assert twin.last_epoch == 2
        twin.step()
        assert twin.last_epoch == 2
    assert scheduler.last_epoch == 1


def test_long_runs_and_jumps_equal_the_schedule() -> None:
    optimizer = make((0.3,))
    schedule: Schedule = parse_schedule("warmup(100) -> cosine", total_steps=5000)
    scheduler = ScheduledLR(optimizer, schedule)
    for step in range(5100):
        assert optimizer.param_groups[0]["lr"] == 0.3 * schedule(step)
        scheduler.step()
    for step in (17, 2048, 10**12, 4000):
        scheduler.step(step)
        assert optimizer.param_groups[0]["lr"] == 0.3 * schedule(step)


def test_is_a_torch_scheduler_that_composes_with_torchs_own() -> None:
    optimizer = make((1.0,))
    scheduler = ScheduledLR(optimizer, "constant", last_epoch=4)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert scheduler.last_epoch == 5
    assert scheduler.get_lr() == scheduler.get_last_lr() == [1.0]
    with pytest.raises(InvalidInput, match=r"needs a torch.optim.Optimizer. Got Linear"):
        ScheduledLR(nn.Linear(1, 1), "constant")  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("stop", [0, 3, 4, 5, 8, 9])
def test_a_sequence_of_torchs_with_members_of_ours_is_restored(stop: int, optimizer_first: bool) -> None:
    def made() -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.SequentialLR]:
        optimizer = make((1.0,))
        members = [
            ScheduledLR(optimizer, "linear", total_steps=5),
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step),
            ScheduledLR(optimizer, "constant(factor=0.3)"),
        ]
        return optimizer, torch.optim.lr_scheduler.SequentialLR(optimizer, members, milestones=[4, 8])

    expected = [1.0, 0.75, 0.5, 0.25, 1.0, 0.5, 0.25, 0.125, 0.3, 0.3]
    optimizer, sequence = made()
    for step in range(stop):
        assert rates(optimizer) == [expected[step]]
        update(optimizer, sequence)
    states = optimizer.state_dict(), sequence.state_dict()
    optimizer, sequence = made()
    order = [(optimizer, states[0]), (sequence, states[1])]
    for part, state in order if optimizer_first else reversed(order):
        part.load_state_dict(state)
    for step in range(stop, len(expected)):
        assert rates(optimizer) == [expected[step]]
        update(optimizer, sequence)
