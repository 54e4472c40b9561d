"""A short training, and the noise scales that are measured along it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from lrscope.errors import WorkFailed
from lrscope.estimate import Estimate
from lrscope.integrations.torch.gradients import adam_preconditioner
from lrscope.integrations.torch.per_example import NoiseHere, measure_noise_here
from lrscope.noise.noise_scale import NoiseScale
from lrscope.schedules.text import parse_schedule
from lrscope.study.bench import BatchOrder, Bench, one_thread
from lrscope.study.engines.loop import Training
from lrscope.study.load import run_user_code
from lrscope.study.recommend import default_lrs
from lrscope.study.seeding import isolated_rng, stream_seed

PLACES = 12
SCHEDULE = "warmup(5%) -> cosine"
FEWEST_EXAMPLES = 64
NOISE_STREAM = 500  # of a seed's random numbers: which examples are measured, dropout while they are


def initial_noise(bench: Bench, seed: int, examples: int = 1024) -> Estimate | None:
    """B_simple at the initial weights of a seed: at batch size B the gradient's relative variance is B_simple/B.

    None where it cannot be measured: too few examples, or gradients that are not finite.
    """
    if bench.train_examples < FEWEST_EXAMPLES:
        return None
    model = bench.make_model(seed)
    model.train()
    with one_thread(), isolated_rng(stream_seed(seed, NOISE_STREAM)):
        indices = torch.randperm(bench.train_examples)[:examples].to(bench.device)
        scale = measure_noise_here(model, bench.batch_loss, bench.train.batch, indices, batch_size=16).scale
    return scale.estimate if math.isfinite(scale.trace) and math.isfinite(scale.value) else None


class NoiseCourse:
    """A training, and the noise scales measured along it."""

    def __init__(self, bench: Bench, size: int, lr: float | None, seed: int, steps: int, examples: int) -> None:
        self.bench, self.size, self.seed, self.steps, self.examples = bench, size, seed, steps, examples
        self.model = bench.make_model(seed)
        self.optimizer = bench.make_optimizer(self.model, 1.0 if lr is None else lr)
        self.lr = max(default_lrs(self.optimizer)) if lr is None else lr
        if lr is None:
            self.optimizer = bench.make_optimizer(self.model, self.lr)
        self.losses: list[float] = []
        self.places: list[int] = []
        self.scales: list[NoiseScale] = []
        self.adam: list[NoiseScale] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Train, and measure at PLACES places, evenly spaced in the logarithm, and before the first update."""
        bench = self.bench
        shares = parse_schedule(SCHEDULE, total_steps=self.steps)(np.arange(self.steps))
        order = BatchOrder(bench.train_examples, self.size, self.seed, bench.device)
        wanted = set(np.unique(np.geomspace(1, self.steps, PLACES).round().astype(int)).tolist())
        training = Training(bench, self.model, self.optimizer)
        self.model.train()
        self._measure(0, 4 * self.examples)
        with bench.training_rng(self.seed):
            for step in range(self.steps):
                training.set_share(float(shares[step]))
                batch = run_user_code("The task's data", bench.train.batch, order[step])
                loss = run_user_code("The task's training", training.update, batch)
                self.losses.append(float(loss))
                if not math.isfinite(self.losses[-1]) or (step + 1 in wanted and not self._measure(step + 1)):
                    self.notes.append(f"The training diverged at update {step}; what is said is of the updates before.")
                    break

    def _measure(self, step: int, examples: int | None = None) -> bool:
        """Measure here; False where the gradients are no longer finite."""
        with isolated_rng(stream_seed(self.seed, NOISE_STREAM + step)):
            here = self._here(examples or self.examples, None)
            if not math.isfinite(here.scale.trace):
                if step == 0:
                    raise WorkFailed(f"The gradients of task '{self.bench.task.name}' are not finite before training.")
                return False
            weights = _preconditioner(self.model, self.optimizer)
            if weights is not None:
                self.adam.append(self._here(self.examples, weights).scale)
        if here.note and here.note not in self.notes:
            self.notes.append(here.note)
        self.places.append(step)
        self.scales.append(here.scale)
        return True

    def _here(self, examples: int, weights: torch.Tensor | None) -> NoiseHere:
        bench = self.bench
        indices = torch.randperm(bench.train_examples)[:examples].to(bench.device)

        def measure() -> NoiseHere:
            return measure_noise_here(
                self.model, bench.batch_loss, bench.train.batch, indices, batch_size=self.size, preconditioner=weights
            )

        here: NoiseHere = run_user_code("The task's training", measure)
        return here


def _preconditioner(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor | None:
    """What Adam multiplies each parameter's gradient by; None before its first step, and for other optimizers."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not all("exp_avg_sq" in optimizer.state.get(parameter, {}) for parameter in trained):
        return None
    weights = [adam_preconditioner(optimizer, parameter) for parameter in trained]
    return torch.cat([weight.flatten() for weight in weights if weight is not None])
