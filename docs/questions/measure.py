"""The measurement behind each question: its picture, and its numbers by the name that the page's template has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from pictures import against_batches, against_rates, curves, lines, spread, steps_against_batch
from runs import Outcome, Run, bench, octaves, sweep, train

from lrscope.curves.curve import Curve
from lrscope.diagnosis.advice import factor_text
from lrscope.diagnosis.diagnose import diagnose
from lrscope.estimate import Estimate
from lrscope.numbers import format_estimate, format_lr, format_number
from lrscope.report.theme import TopLevelChart
from lrscope.scaling.batch_law import fit_batch_law
from lrscope.scaling.steps_to_target import fit_steps_to_target
from lrscope.scaling.u_curve import UCurve, fit_u_curve
from lrscope.study.find import find_lr
from lrscope.study.noise import measure_noise

Answer = tuple[TopLevelChart, dict[str, str]]
EPOCHS, IMAGES = 10, 1438
CONSTANT = "constant"


def too_high_or_too_low() -> Answer:
    """Four rates of one sweep: what the sweep says of each, and what its curve alone says."""
    settings = {"steps": 440, "schedule": CONSTANT, "batch": 16}
    full = _fit(sweep(octaves(-11, 2), **settings))
    best = _best(full)
    losses, table = {}, []
    for octave in (-6, -0.5, 2, 4):
        lr = best.value * 2.0**octave
        run = train(Run(lr=lr, **settings))
        values = np.array(run.losses)
        verdict = diagnose(Curve(name="run", step=np.arange(len(values)), loss=values, batch_size=16))
        losses[f"{format_lr(lr)}: {2.0**octave:.3g} times the best"] = run.losses
        probability = verdict.probabilities.get(verdict.regime, math.nan)
        table.append(
            f"| {format_lr(lr)} | {2.0**-octave:.3g} | {verdict.regime.replace('_', ' ')} ({probability:.0%}) "
            f"| {factor_text(verdict.lr_factor)} |"
        )
    return curves(losses), {"best": format_estimate(best, lr=True), "rows": "\n".join(table)}


def plateau() -> Answer:
    """Two plateaus, one of a rate too high and one of a rate too low; half way each is kept, raised and lowered."""
    losses, numbers = {}, {}
    for name, lr in (("high", 0.3), ("low", 2.0**-9)):
        for what, then in (("keep", 1.0), ("lower", 0.1), ("raise", 10.0)):
            run = train(Run(lr=lr, steps=880, batch=16, schedule=CONSTANT, then=then))
            numbers[f"{name}_{what}"] = format_number(run.final) if math.isfinite(run.final) else "diverged"
            losses[f"{format_lr(lr)}: {what}"] = run.losses
    return curves(losses), numbers


def more_devices() -> Answer:
    """SGD with momentum at the same number of epochs: optima by batch size, and what the rules cost."""
    sizes, fits = (16, 32, 64, 128, 256), {}
    for size in sizes:
        fits[size] = _fit(sweep(octaves(-7, 2, 0.5), batch=size, steps=_updates(size), seeds=2))
    optima = {size: _best(fit) for size, fit in fits.items()}
    return against_batches(optima), {
        "small": format_estimate(optima[16], lr=True),
        "large": format_estimate(optima[256], lr=True),
        "growth": f"{optima[256].value / optima[16].value:.1f}",
        "linear": format_lr(optima[16].value * 16),
        "root": format_lr(optima[16].value * 4),
        **_law(optima),
    }


def global_batch() -> Answer:
    """One device of 64, four of 16, and four of 64 at one and the same rate."""
    runs = {
        "1 device × 64": Run(lr=0.25, batch=64),
        "4 devices × 16": Run(lr=0.25, batch=64, parts=4),
        "4 devices × 64": Run(lr=0.25, batch=256, parts=4, steps=220),
    }
    losses = {name: train(run).losses for name, run in runs.items()}
    one, four, more = (np.array(values) for values in losses.values())
    return curves(losses), {
        "apart": f"{np.max(np.abs(one - four) / one):.1e}",
        "other": f"{np.median(np.abs(one - more) / one):.0%}",
    }


def averaged_or_summed() -> Answer:
    """The gradients of eight microbatches averaged, and summed, for plain SGD and for AdamW."""
    sweeps = {}
    for optimizer, rates in (("plain", octaves(-8, 3)), ("adamw", octaves(-12, -1))):
        for summed in (False, True):
            name = f"{'SGD' if optimizer == 'plain' else 'AdamW'}, {'summed' if summed else 'averaged'}"
            sweeps[name] = sweep(rates, optimizer=optimizer, parts=8, summed=summed, seeds=2)
    fits = {name: _fit(runs) for name, runs in sweeps.items()}
    best = {name: _best(fit).value for name, fit in fits.items()}
    return against_rates(sweeps, fits), {
        "sgd": f"{best['SGD, averaged'] / best['SGD, summed']:.1f}",
        "adam": f"{best['AdamW, averaged'] / best['AdamW, summed']:.2f}",
    }


def accumulation() -> Answer:
    """A batch of 16, a batch of 64, and 4 microbatches of 16 accumulated, over the same images."""
    rates = octaves(-7, 2)
    sweeps = {
        "batch 16": sweep(rates, batch=16, steps=_updates(16)),
        "batch 64": sweep(rates, batch=64, steps=_updates(64)),
        "4 × 16 accumulated": sweep(rates, batch=64, parts=4, steps=_updates(64)),
    }
    fits = {name: _fit(runs) for name, runs in sweeps.items()}
    return against_rates(sweeps, fits), {
        name: format_estimate(_best(fits[key]), lr=True)
        for name, key in (("small", "batch 16"), ("large", "batch 64"), ("accumulated", "4 × 16 accumulated"))
    }


def adam() -> Answer:
    """AdamW at the same number of epochs: optima by batch size, and the power that they follow."""
    optima = {
        size: _best(_fit(sweep(octaves(-12, -1, 0.5), optimizer="adamw", batch=size, steps=_updates(size), seeds=2)))
        for size in (16, 32, 64, 128, 256)
    }
    growth = optima[256].value / optima[16].value
    return against_batches(optima), {
        "small": format_estimate(optima[16], lr=True),
        "large": format_estimate(optima[256], lr=True),
        "growth": f"{growth:.1f}",
        **_law(optima),
    }


def warmup() -> Answer:
    """AdamW: final losses by the length of the warm-up, at the best rate and above it."""
    best = _best(_fit(sweep(octaves(-12, -1), optimizer="adamw", seeds=2))).value
    lengths, factors, rows = (0, 2, 5, 11, 22, 44, 88), (1, 4, 16), []
    table: dict[tuple[int, int], float] = {}
    for factor in factors:
        for length in lengths:
            schedule = "cosine" if length == 0 else f"warmup({length}) -> cosine"
            runs = [train(Run(lr=best * factor, optimizer="adamw", schedule=schedule, seed=seed)) for seed in range(3)]
            table[factor, length] = float(np.mean([run.final for run in runs]))
            rows.append({
                "updates of warm-up": length, "final training loss": table[factor, length],
                "rate": f"{factor} times the best" if factor > 1 else "the best rate",
            })  # fmt: skip
    order = ["the best rate", *(f"{factor} times the best" for factor in factors[1:])]
    numbers = {f"at{factor}_{length}": format_number(table[factor, length], 2) for factor, length in table}
    least = {factor: min(lengths, key=lambda length, f=factor: table[f, length]) for factor in factors}
    chart = lines(rows, "updates of warm-up", "final training loss", "rate", order)
    return chart, {**numbers, **{f"least{factor}": str(length) for factor, length in least.items()}}


def finders() -> Answer:
    """Ten seeds of the usual range test, read in two ways, and of `lrscope find`, beside the optimum of full runs."""
    best = _best(_fit(sweep(octaves(-8, 2, 0.5), seeds=2)))
    steepest, tenth, found = [], [], []
    for seed in range(10):
        rates, losses = _range_test(seed)
        steepest.append(float(rates[int(np.argmin(np.gradient(losses, np.log(rates))))]))
        tenth.append(float(rates[int(np.argmin(losses))]) / 10)
        suggestion = find_lr(bench("sgd").task, batch_size=64, seed=seed).suggested_lr
        if suggestion is not None:
            found.append(suggestion.value)
    methods = {
        "range test, steepest slope": steepest, "range test, minimum / 10": tenth, "lrscope find": found,
    }  # fmt: skip
    numbers = {"best": format_estimate(best, lr=True)}
    for name, rates in zip(("steepest", "tenth", "find"), methods.values(), strict=True):
        off = np.median([abs(math.log2(rate / best.value)) for rate in rates])
        numbers |= {f"{name}_spread": f"{max(rates) / min(rates):.1f}", f"{name}_off": f"{2**off:.1f}"}
    return spread(methods, best), numbers


def largest_useful_batch() -> Answer:
    """Updates to a training loss of 0.3 by batch size, each at its best of seven rates; and the noise scale."""
    target, points = 0.3, []
    for size in (8, 16, 32, 64, 128, 256, 512, 1024):
        rates = octaves(-6, 0)
        reached = [_updates_to(train(Run(lr=lr, batch=size, steps=24_000 // size + 60)), target, size) for lr in rates]
        points.append((size, min(steps for steps in reached if steps is not None)))
    law = fit_steps_to_target([size for size, _ in points], [steps for _, steps in points])
    grid = np.geomspace(8, 1024, 41)
    critical = law.critical_batch_size
    noise = measure_noise(bench("sgd").task, batch_size=64, lr=0.25, steps=100)
    chart = steps_against_batch(points, list(zip(grid.tolist(), law(grid).tolist(), strict=True)), critical.value)
    steps = dict(points)
    return chart, {
        "critical": format_estimate(critical),
        "predicted": format_estimate(noise.critical_batch_size),
        "small_steps": str(steps[8]), "middle_steps": str(steps[64]), "large_steps": str(steps[1024]),
        "small_images": format_number(8 * steps[8]), "middle_images": format_number(64 * steps[64]),
        "large_images": format_number(1024 * steps[1024]),
    }  # fmt: skip


QUESTIONS: Mapping[str, Callable[[], Answer]] = {
    "regime": too_high_or_too_low,
    "plateau": plateau,
    "devices": more_devices,
    "global": global_batch,
    "averaging": averaged_or_summed,
    "accumulation": accumulation,
    "adam": adam,
    "warmup": warmup,
    "finders": finders,
    "largest": largest_useful_batch,
}


def _updates(batch: int) -> int:
    return EPOCHS * (IMAGES // batch)


def _fit(runs: list[tuple[float, float]]) -> UCurve:
    return fit_u_curve([lr for lr, _ in runs], [loss for _, loss in runs], initial_loss=math.log(10))


def _best(fit: UCurve) -> Estimate:
    if fit.optimal_lr is None:
        raise ValueError(fit.advice)
    return fit.optimal_lr


def _law(optima: Mapping[int, Estimate]) -> dict[str, str]:
    """The power that the optima follow, and the law of most weight."""
    laws = fit_batch_law(list(optima), list(optima.values()))
    power = next(law for law in laws if law.name == "power").parameters["p"]
    return {"law": laws[0].name, "weight": f"{laws[0].weight:.0%}", "power": format_estimate(power, 2)}


def _range_test(seed: int, updates: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """The loss, smoothed as usual, while the rate grows by a factor every update, until it is four times the least."""
    place = bench("sgd")
    model = place.make_model(seed)
    rates = np.geomspace(1e-4, 10, updates)
    optimizer = place.make_optimizer(model, float(rates[0]))
    generator = torch.Generator().manual_seed(seed)
    mean, losses = 0.0, []
    for update, lr in enumerate(rates):
        optimizer.param_groups[0]["lr"] = float(lr)
        optimizer.zero_grad()
        loss = place.batch_loss(model, place.train.batch(torch.randint(IMAGES, (64,), generator=generator)))
        loss.backward()
        optimizer.step()
        mean = 0.9 * mean + 0.1 * float(loss.detach())
        losses.append(mean / (1 - 0.9 ** (update + 1)))
        if not losses[-1] < 4 * min(losses):
            break
    return rates[: len(losses)], np.array(losses)


def _updates_to(outcome: Outcome, target: float, batch: int) -> int | None:
    """The update at which the mean loss over the last 512 images first falls below the target."""
    losses = np.array(outcome.losses)
    window = max(1, 512 // batch)
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    below = np.flatnonzero(smooth < target)
    return int(below[0]) + window if len(below) else None
