"""What a schedule costs, beside its peers: stepping a scheduler, and drawing a whole curve.

    python benchmarks/schedules.py

Every contestant is timed in the same process, in turns, so that what else the machine does falls on all of them alike.
Prints one Markdown table and writes it to benchmarks/results/schedules.md.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import os
import platform
import sys
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from lrscope.integrations.torch.schedule import ScheduledLR
from lrscope.schedules.text import parse_schedule

RESULT = Path(__file__).parent / "results" / "schedules.md"
TOTAL = 1_000_000
REPEATS = 25
STEPS = 2_000
LOOPED = 20_000  # a torch scheduler's loop over 1,000,000 steps is timed on its first 20,000 and scaled up

Work = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One way to do the work; a call's time is divided by `units`. `work` is None where the peer is missing."""

    name: str
    work: Work | None
    units: float = 1.0
    why: str = ""


def optimizer_of(groups: int) -> torch.optim.Optimizer:
    """An optimizer with so many param groups; its own step costs nothing, for it holds no gradient."""
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)], lr=0.1)


def stepping(make: Callable[[torch.optim.Optimizer], Callable[[int], object]], groups: int) -> Work:
    """STEPS steps of a new scheduler."""

    def work() -> float:
        optimizer = optimizer_of(groups)
        step = make(optimizer)
        optimizer.step()
        begin = time.perf_counter()
        for number in range(1, STEPS + 1):
            step(number)
        return time.perf_counter() - begin

    return work


def plain(scheduler: Any) -> Callable[[int], object]:
    """`scheduler.step` without its number: what a training loop calls."""
    step = scheduler.step
    return lambda number: step()


def lrscope_step(optimizer: torch.optim.Optimizer) -> Callable[[int], object]:
    """ScheduledLR, with what the optimizer's own step tells it at every update."""
    scheduler = ScheduledLR(optimizer, parse_schedule("cosine", total_steps=TOTAL))
    watch = scheduler._watch
    step = scheduler.step

    def call(number: int) -> None:
        watch.updated = True
        step()

    return call


def torch_lambda(optimizer: torch.optim.Optimizer) -> Callable[[int], object]:
    return plain(
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5 * (1 + math.cos(math.pi * min(t / TOTAL, 1.0))))
    )


def torch_sequential(optimizer: torch.optim.Optimizer) -> Callable[[int], object]:
    schedulers = torch.optim.lr_scheduler
    return plain(
        schedulers.SequentialLR(
            optimizer,
            [schedulers.LinearLR(optimizer, 0.1, total_iters=100), schedulers.CosineAnnealingLR(optimizer, TOTAL)],
            [100],
        )
    )


@cache
def timm_cosine() -> Any:
    """timm's cosine scheduler. Its schedulers need nothing else of timm, whose own import wants torchvision."""
    spec = importlib.util.find_spec("timm")
    if spec is None:
        return None
    package = types.ModuleType("timm")
    package.__path__ = list(spec.submodule_search_locations or [])
    sys.modules.setdefault("timm", package)
    from timm.scheduler.cosine_lr import CosineLRScheduler

    return CosineLRScheduler


def steppers(groups: int) -> list[Contestant]:
    """Every way to step one scheduler over `groups` param groups; seconds a step."""
    schedulers = torch.optim.lr_scheduler
    cosine = timm_cosine()
    makers: dict[str, Callable[[torch.optim.Optimizer], Callable[[int], object]] | None] = {
        "lrscope ScheduledLR": lrscope_step,
        "torch CosineAnnealingLR": lambda o: plain(schedulers.CosineAnnealingLR(o, TOTAL)),
        "torch LambdaLR": torch_lambda,
        "torch SequentialLR": torch_sequential,
        "torch OneCycleLR": lambda o: plain(schedulers.OneCycleLR(o, 0.1, TOTAL)),
        "timm CosineLRScheduler.step_update": (
            None if cosine is None else lambda o: cosine(o, t_initial=TOTAL, t_in_epochs=False).step_update
        ),
        "transformers cosine (LambdaLR)": None,
    }
    if importlib.util.find_spec("transformers"):
        from transformers import get_cosine_schedule_with_warmup

        makers["transformers cosine (LambdaLR)"] = lambda o: plain(get_cosine_schedule_with_warmup(o, 0, TOTAL))
    return [
        Contestant(name=name, work=make and stepping(make, groups), units=STEPS, why="not installed")
        for name, make in makers.items()
    ]


def curves() -> list[Contestant]:
    """Every way to get a cosine of 1,000,000 steps as an array; seconds a curve."""
    schedule = parse_schedule("cosine", total_steps=TOTAL)
    steps = np.arange(TOTAL)

    def loop() -> float:
        optimizer = optimizer_of(1)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TOTAL)
        optimizer.step()
        begin = time.perf_counter()
        for _ in range(LOOPED):
            optimizer.param_groups[0]["lr"]
            scheduler.step()
        return time.perf_counter() - begin

    contestants = [
        Contestant(name="lrscope schedule(steps)", work=timed(lambda: schedule(steps))),
        Contestant(name="bare NumPy formula", work=timed(lambda: 0.5 * (1 + np.cos(np.pi * (steps / (TOTAL - 1)))))),
        Contestant(name="torch CosineAnnealingLR, looped", work=loop, units=LOOPED / TOTAL),
    ]
    if importlib.util.find_spec("optax") is None:
        return [*contestants, Contestant(name="optax cosine, jit", work=None, why="not installed")]
    import jax
    import optax

    from lrscope.integrations.optax import OptaxSchedule

    counts = jax.numpy.arange(TOTAL)
    peer = jax.jit(optax.cosine_decay_schedule(1.0, TOTAL - 1))
    ours = jax.jit(OptaxSchedule(schedule, total_steps=TOTAL))
    for compiled in (peer, ours):
        compiled(counts).block_until_ready()
    return [
        *contestants,
        Contestant(name="optax cosine, jit (float32)", work=timed(lambda: peer(counts).block_until_ready())),
        Contestant(name="lrscope OptaxSchedule, jit (float32)", work=timed(lambda: ours(counts).block_until_ready())),
    ]


def timed(call: Callable[[], object]) -> Work:
    """The seconds of one call."""

    def work() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return work


def rows(title: str, contestants: list[Contestant]) -> list[str]:
    """One line per contestant: median and quartiles of its time and of its ratio to lrscope's, turn by turn."""
    present = [one for one in contestants if one.work is not None]
    seconds = np.empty((len(present), REPEATS))
    for repeat in range(-1, REPEATS):  # the first turn warms up
        for index in np.random.default_rng(repeat + 1).permutation(len(present)):
            one = present[index]
            gc.collect()
            seconds[index, repeat] = float(one.work()) / one.units  # type: ignore[misc, arg-type]
    lines = []
    for one in contestants:
        if one.work is None:
            lines.append(f"| {title} | {one.name} | {one.why} | – | – |")
            continue
        mine = seconds[present.index(one)]
        low, middle, high = np.percentile(mine, [25, 50, 75])
        ratio_low, ratio, ratio_high = np.percentile(mine / seconds[0], [25, 50, 75])
        lines.append(
            f"| {title} | {one.name} | {shown(middle)} [{shown(low)}, {shown(high)}] "
            f"| {ratio:.2f} [{ratio_low:.2f}, {ratio_high:.2f}] | {REPEATS} |"
        )
    return lines


def shown(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    return (
        f"{seconds * 1e6:.2f} µs"
        if seconds < 1e-3
        else f"{seconds * 1e3:.1f} ms"
        if seconds < 1
        else f"{seconds:.2f} s"
    )


def hardware() -> str:
    """The machine and the versions, in one line."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"torch {torch.__version__}; {time.strftime('%Y-%m-%d')}"
    )


def main() -> None:
    """Runs everything and writes the table."""
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
    torch.set_num_threads(1)
    lines = [
        "# What a schedule costs",
        "",
        f"`python benchmarks/schedules.py` on {hardware()}.",
        "All contestants in one process, in turns; a ratio above 1 is a contestant slower than lrscope.",
        "",
        "| work | who | time: median [quartiles] | times lrscope's: median [quartiles] | n |",
        "|---|---|---|---|---|",
        *rows("one step, 1 param group", steppers(1)),
        *rows("one step, 100 param groups", steppers(100)),
        *rows("curve of 1,000,000 steps", curves()),
    ]
    text = "\n".join([*lines, ""])
    print(text)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
