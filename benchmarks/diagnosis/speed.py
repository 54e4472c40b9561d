"""What diagnosing costs: reading a big event file, judging a thousand runs, and the monitor inside a loop.

    python -m benchmarks.diagnosis.speed

Every figure is measured in one run, the two sides of a ratio in turn, in seconds of the processor (of all threads),
which other work on the machine does not stretch; writes benchmarks/results/diagnosis_speed.md.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from lrscope.curves.curve import Curve
from lrscope.curves.readers import read_curves
from lrscope.diagnosis.diagnose import diagnose
from lrscope.integrations.torch.monitor import Monitor

RESULTS = Path(__file__).parents[1] / "results/diagnosis_speed.md"
SCALARS = 300_000
ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """How long the work keeps the processor busy."""
    start = time.process_time()
    work()
    return time.process_time() - start


def spread(values: list[float], form: str = ".2f") -> str:
    """The median of values, and their range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}}, n = {len(values)})"


def event_file() -> str:
    """A file of 300,000 scalars of three tags by PyTorch's writer: lrscope against TensorBoard's EventAccumulator."""
    with tempfile.TemporaryDirectory() as folder:
        writer, rng = SummaryWriter(folder), np.random.default_rng(0)
        for step in range(SCALARS // 3):
            writer.add_scalar("train/loss", 2.3 / (1 + step) ** 0.3 + 0.1 * rng.random(), step)
            writer.add_scalar("train/lr", 0.1, step)
            writer.add_scalar("train/grad_norm", rng.random(), step)
        writer.close()
        (path,) = Path(folder).glob("*tfevents*")

        def accumulator() -> None:
            EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()

        ours, ratio = [], []
        for _ in range(3):
            ours.append(seconds(lambda: read_curves(path)))
            ratio.append(seconds(accumulator) / ours[-1])
    return f"| 300,000 scalars of an event file read: times faster than EventAccumulator | {spread(ratio, '.1f')} |"


def thousand_runs() -> str:
    """1,000 runs of 10,000 steps, from the loss and the rate, in one process."""
    rng, step = np.random.default_rng(0), np.arange(10_000)
    curves = [
        Curve(
            name=str(i), step=step, loss=2.3 * (1 + step) ** -rng.uniform(0.0, 0.5) + 0.1 * rng.random(10_000),
            lr=np.full(10_000, 0.1),
        ) for i in range(1000)
    ]  # fmt: skip
    took = seconds(lambda: [diagnose(curve) for curve in curves])
    return f"| 1,000 runs of 10,000 steps diagnosed, seconds | {took:.1f} (n = 1) |"


def perceptron() -> nn.Module:
    """Three layers of 256 on 64 inputs."""
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))


def convolutions() -> nn.Module:
    """Two convolutions on 8 × 8 pictures."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2),
        nn.ReLU(), nn.Flatten(), nn.Linear(64 * 9, 10),
    )  # fmt: skip


def loop(make: Callable[[], nn.Module], batch: int, monitored: bool) -> Iterator[float]:
    """A training loop, with the monitor at its default interval or without: the seconds of every 100 steps."""
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = torch.randn(4096, 64), torch.randint(10, (4096,))
    monitor = Monitor(optimizer) if monitored else None
    while True:
        start = time.process_time()
        for _ in range(100):
            rows = torch.randint(4096, (batch,))
            inputs, targets = x[rows], y[rows]
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if monitor is not None:
                monitor.step(loss, again=lambda a=inputs, b=targets: F.cross_entropy(model(a), b))
            else:
                float(loss.detach())  # a loop without a monitor looks at its loss, too
        yield time.process_time() - start


def monitor_cost() -> list[str]:
    """The share of time that the monitor adds over 2,000 steps, a hundred with it and a hundred without in turn.

    Of each hundred the quickest of five rounds counts, since what else the machine does can only slow a round down.
    """
    lines = []
    for name, make, batch in (("a perceptron", perceptron, 128), ("convolutions", convolutions, 128)):
        rounds = np.array(
            [
                list(islice(zip(loop(make, batch, False), loop(make, batch, True), strict=True), 20))
                for _ in range(ROUNDS)
            ]
        )  # (rounds, hundreds, without | with)
        without, monitored = rounds.min(0).sum(0)
        each = 100 * (rounds[:, :, 1].sum(1) / rounds[:, :, 0].sum(1) - 1)
        added = f"{100 * (monitored / without - 1):.1f} (rounds: {each.min():.1f} to {each.max():.1f}, n = {ROUNDS})"
        lines.append(f"| monitor, {name} ({without / 2:.1f} ms a step): % added | {added} |")
    return lines


def main() -> None:
    """Measure all and write the table."""
    torch.set_num_threads(1)
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    lines = ["# Diagnosis: what it costs", "", f"Made by `python -m benchmarks.diagnosis.speed`, on {machine}."]
    lines += ["", "Times are of the processor: the median of n, and the range."]
    lines += ["", "| what | median (range) |", "|---|---|", event_file(), thousand_runs(), *monitor_cost()]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
