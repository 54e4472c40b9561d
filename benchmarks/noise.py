"""How true the noise scale is, on linear regression with a chosen gradient and covariance.

    python benchmarks/noise.py

Inputs x ~ N(0, A), targets y = w·x + ε, at weights off by δ: an example's gradient is x(x·δ − ε), its mean G = Aδ, and
Σ = (δᵀAδ + σ²)A + GGᵀ. So G, tr Σ and B_simple = tr Σ/|G|² are chosen, and every estimator is asked for them.
Prints the table and writes it to benchmarks/results/noise.md.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from lrscope.noise.noise_scale import NoiseScale
from lrscope.noise.one_place import noise_scale_from_gradients
from lrscope.noise.pairs import RunningNoiseScale, noise_scale_from_pairs

DIMENSION = 30
TRUTHS = (20.0, 200.0)
SEEDS = 200
Sampler = Callable[[np.random.Generator, int], np.ndarray]


def linear_regression(noise_scale: float) -> tuple[Sampler, np.ndarray]:
    """A sampler of per-example gradients whose noise scale is exactly `noise_scale`, and Σ's diagonal for Adam's."""
    spectrum = 1.0 / np.arange(1, DIMENSION + 1)  # A, a decaying spectrum
    gradient = spectrum / np.sqrt((spectrum**2).sum())  # |G| = 1
    delta = gradient / spectrum
    # tr Σ = (δᵀAδ + σ²) tr A + |G|² = noise_scale
    target_variance = (noise_scale - 1.0) / spectrum.sum() - delta @ (spectrum * delta)

    def sample(rng: np.random.Generator, examples: int) -> np.ndarray:
        x = rng.normal(size=(examples, DIMENSION)) * np.sqrt(spectrum)
        residual = x @ delta - rng.normal(size=examples) * np.sqrt(target_variance)
        return x * residual[:, None]  # (examples, dimension)

    second_moment = (noise_scale - 1.0) / spectrum.sum() * spectrum + 2.0 * gradient**2
    return sample, second_moment


def by_pairs(sample: Sampler, rng: np.random.Generator) -> NoiseScale:
    """A small batch of 8 and another, big one of 64, at each of 600 updates."""
    small = [float(np.sum(sample(rng, 8).mean(axis=0) ** 2)) for _ in range(600)]
    big = [float(np.sum(sample(rng, 64).mean(axis=0) ** 2)) for _ in range(600)]
    return noise_scale_from_pairs(small, big, 8, 64)


def by_microbatches(sample: Sampler, rng: np.random.Generator) -> NoiseScale:
    """8 microbatches of 8 at each of 200 updates, as gradient accumulation and data-parallel ranks give them."""
    parts = sample(rng, 200 * 64).reshape(200, 8, 8, DIMENSION).mean(axis=2)  # (updates, K, dimension)
    return noise_scale_from_pairs((parts**2).sum(axis=2), (parts.mean(axis=1) ** 2).sum(axis=1), 8, 64)


def by_large_microbatches(sample: Sampler, rng: np.random.Generator) -> NoiseScale:
    """8 microbatches of 32 at each of 50 updates."""
    parts = sample(rng, 50 * 256).reshape(50, 8, 32, DIMENSION).mean(axis=2)
    return noise_scale_from_pairs((parts**2).sum(axis=2), (parts.mean(axis=1) ** 2).sum(axis=1), 32, 256)


def by_large_pairs(sample: Sampler, rng: np.random.Generator) -> NoiseScale:
    """A small batch of 32 and another, big one of 256, at each of 100 updates."""
    small = [float(np.sum(sample(rng, 32).mean(axis=0) ** 2)) for _ in range(100)]
    big = [float(np.sum(sample(rng, 256).mean(axis=0) ** 2)) for _ in range(100)]
    return noise_scale_from_pairs(small, big, 32, 256)


def by_moving_average(sample: Sampler, rng: np.random.Generator) -> NoiseScale:
    """The same, as the running average of a loop (decay 0.99) after 600 updates."""
    parts = sample(rng, 600 * 64).reshape(600, 8, 8, DIMENSION).mean(axis=2)
    running = RunningNoiseScale(decay=0.99)
    for group in parts:
        running.add(
            float((group**2).sum(axis=1).mean()), float(np.sum(group.mean(axis=0) ** 2)), small_batch=8, big_batch=64
        )
    return running.result()


def by_one_accumulation(sample: Sampler, rng: np.random.Generator) -> NoiseScale:
    """128 microbatches of 32 at one place."""
    return noise_scale_from_gradients(sample(rng, 128 * 32).reshape(128, 32, DIMENSION).mean(axis=1), 32)


def by_example(sample: Sampler, rng: np.random.Generator) -> NoiseScale:
    """3,000 per-example gradients at one place."""
    return noise_scale_from_gradients(sample(rng, 3000))


ESTIMATORS: dict[str, Callable[[Sampler, np.random.Generator], NoiseScale]] = {
    "pairs of batches, 600 updates": by_pairs,
    "microbatches, 200 updates": by_microbatches,
    "microbatches, moving average": by_moving_average,
    "microbatches, one place": by_one_accumulation,
    "per-example gradients": by_example,
}


LARGE: dict[str, Callable[[Sampler, np.random.Generator], NoiseScale]] = {
    "microbatches of 32, 50 updates": by_large_microbatches,
    "pairs of 32 and 256, 100 updates": by_large_pairs,
}
"""Batches for noisier gradients, too."""
LARGE_TRUTHS = (20.0, 200.0, 1500.0)


def measure(name: str, truth: float, seeds: int) -> str:
    """One row of the table: the estimator's median over the truth, and how often its interval holds the truth."""
    sample, _ = linear_regression(truth)
    estimator = (ESTIMATORS | LARGE)[name]
    estimates = [estimator(sample, np.random.default_rng(seed)).estimate for seed in range(seeds)]
    return _row(name, truth, [e.value for e in estimates], [truth in e for e in estimates], [e.high for e in estimates])


def measure_preconditioned(truth: float, seeds: int) -> str:
    """The same for Adam's variant, preconditioned by the root of the true second moment."""
    sample, second_moment = linear_regression(truth)
    weight = 1.0 / np.sqrt(second_moment)
    spectrum = 1.0 / np.arange(1, DIMENSION + 1)
    gradient_sq = spectrum**2 / (spectrum**2).sum()
    expected = float(((second_moment - gradient_sq) * weight**2).sum() / (gradient_sq * weight**2).sum())
    estimates = [
        noise_scale_from_gradients(sample(np.random.default_rng(seed), 3000), preconditioner=weight).estimate
        for seed in range(seeds)
    ]
    held = [expected in e for e in estimates]
    return _row("per-example, Adam's", expected, [e.value for e in estimates], held, [e.high for e in estimates])


def _row(name: str, truth: float, values: list[float], held: list[bool], highs: list[float | None]) -> str:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    opened = np.mean([end is None for end in highs])
    return (
        f"| {name} | {truth:.0f} | {middle / truth:.3f} | {low / truth:.2f}–{high / truth:.2f} "
        f"| {np.mean(held):.1%} | {opened:.1%} |"
    )


def main() -> None:
    """Measure every estimator at every truth, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "noise.md")
    arguments = parser.parse_args()
    lines = [
        "| estimator | true B_simple | median / truth | 80 % of values / truth | 80 % interval holds | open end |",
        "|---|---|---|---|---|---|",
    ]
    for truth in TRUTHS:
        lines += [measure(name, truth, arguments.seeds) for name in ESTIMATORS]
        lines.append(measure_preconditioned(truth, arguments.seeds))
    lines += [measure(name, truth, arguments.seeds) for truth in LARGE_TRUTHS for name in LARGE]
    table = "\n".join(lines)
    print(table)
    arguments.out.parent.mkdir(exist_ok=True)
    heading = "# Noise scale on a problem with a known answer\n\n"
    command = (
        f"`python benchmarks/noise.py`: linear regression in {DIMENSION} dimensions, {arguments.seeds} seeds a row, "
        f"Python {platform.python_version()}, NumPy {np.__version__}.\n\n"
    )
    arguments.out.write_text(heading + command + table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
