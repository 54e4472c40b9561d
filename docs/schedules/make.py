"""Makes the pages of this folder: `python docs/schedules/make.py` writes one page and one picture per schedule family.

A family that the installed lrscope does not have is left out, and said.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrscope.errors import InvalidInput
from lrscope.report.charts.schedules import bound_chart, schedule_chart
from lrscope.report.save import save_chart
from lrscope.schedules import Schedule, parse_schedule
from lrscope.schedules.bound import convex_bound

HERE = Path(__file__).resolve().parent
STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Page:
    """One family's page: what it is, its formula (t: the phase's update, N: its length), and where it is from."""

    name: str
    title: str
    examples: tuple[str, ...]
    formula: str
    source: str
    about: str


PAGES = (
    Page(
        name="constant",
        title="Constant",
        examples=("warmup(5%) -> constant",),
        formula="α(t) = 1",
        source="The plain method; what the others are measured against.",
        about="One rate throughout. It never settles: the noise of the gradients keeps the loss above what a decay "
        "reaches. Useful in front of another phase, and to find the range of rates that work.",
    ),
    Page(
        name="warmup",
        title="Linear warm-up",
        examples=("warmup(10%) -> constant", "warmup(10%, offset=0) -> constant"),
        formula="α(t) = (t + 1) / w for t < w; with `offset=0`, t / w",
        source="Goyal 2017, arXiv 1706.02677. Length for Adam when nothing else is known: 2 / (1 − β₂) updates, Ma & "
        "Yarats 2021.",
        about="The first updates of a network see large, quickly changing gradients; a rate that grows over them "
        "allows a higher peak afterwards. lrscope counts from one, so that no update is wasted at a rate of zero.",
    ),
    Page(
        name="step",
        title="Step decay",
        examples=("step(30%)", "step(20%, gamma=0.5)"),
        formula="α(t) = γ^⌊t/s⌋",
        source="He 2015, arXiv 1512.03385: ×0.1 at epochs 30, 60 and 90, so 0.1 → 0.01 → 0.001 → 0.0001.",
        about="The rate falls by a constant factor every s updates. Each drop brings a sudden gain; where the drops "
        "belong must be known beforehand.",
    ),
    Page(
        name="multistep",
        title="Multi-step decay",
        examples=("multistep([50%, 75%])",),
        formula="α(t) = γ^(number of milestones ≤ t)",
        source="He 2015, arXiv 1512.03385.",
        about="Step decay with its drops at chosen milestones.",
    ),
    Page(
        name="exponential",
        title="Exponential decay",
        examples=("exponential",),
        formula="α(t) = f^p, p the share done",
        source="Classic; as the cool-down of a stable phase in Hu 2024, arXiv 2404.06395.",
        about="The same factor in every update: much of the run is spent at low rates.",
    ),
    Page(
        name="linear",
        title="Linear decay",
        examples=("warmup(5%) -> linear", "warmup(5%) -> linear(end_factor=0.1)"),
        formula="α(t) = 1 − (1 − f) p, p = t / (N − 1)",
        source="Defazio 2023, arXiv 2310.07831; to zero with a tuned peak the strongest single default known for "
        "language models: Bergsma 2025, arXiv 2502.15938.",
        about="A straight line down. Among the usual schedules it has the smallest convex bound, and refinement from "
        "constant gradient norms gives just this line.",
    ),
    Page(
        name="cosine",
        title="Cosine decay",
        examples=("warmup(5%) -> cosine", "warmup(5%) -> cosine(end_factor=0.1)"),
        formula="α(t) = f + (1 − f) · ½ (1 + cos π p), p = t / (N − 1)",
        source="Loshchilov & Hutter 2016, arXiv 1608.03983.",
        about="Slow at both ends, fastest half-way. Its length is part of its shape: a run stopped early has not "
        "decayed. lrscope reaches the end value at the last update; `end_at` gives the other conventions.",
    ),
    Page(
        name="restarts",
        title="Cosine with restarts",
        examples=("restarts(25%)",),
        formula="A cosine over each cycle; cycle lengths T₀, T₀·m, T₀·m², …",
        source="SGDR: Loshchilov & Hutter 2016, arXiv 1608.03983.",
        about="Every cycle ends in an annealed model that can be kept, and then starts over at the peak.",
    ),
    Page(
        name="polynomial",
        title="Polynomial decay",
        examples=("polynomial(power=2)",),
        formula="α(t) = f + (1 − f)(1 − p)^power",
        source="Mishra & Sarawagi 2019, arXiv 1903.00861, among others.",
        about="Linear decay bent: a power above one spends more of the run at low rates.",
    ),
    Page(
        name="inverse_sqrt",
        title="Inverse square root",
        examples=("warmup(5%) -> inverse_sqrt(5%)",),
        formula="α(t) = √(τ / max(t, τ))",
        source="Vaswani 2017, arXiv 1706.03762 (with warm-up: the Noam schedule).",
        about="Needs no end: the run may go on for as long as one likes, and a cool-down can follow at any time.",
    ),
    Page(
        name="inverse_time",
        title="Inverse time decay",
        examples=("inverse_time(10%)",),
        formula="α(t) = 1 / (1 + t/τ)",
        source="Robbins & Monro 1951.",
        about="Falls faster than the inverse square root, and has no end either.",
    ),
    Page(
        name="wsd",
        title="Warm-up, stable, decay",
        examples=("warmup(5%) -> wsd(decay_steps=20%)",),
        formula="1, then a cool-down over the last part: linear, cosine, 1 − √p, 1 − p², exponential or mirror-cosine",
        source="Hu 2024, arXiv 2404.06395; cool-down shapes: Hägele 2024, arXiv 2405.18392.",
        about="The plateau can be extended before the cool-down begins, so one run serves several lengths.",
    ),
    Page(
        name="one_cycle",
        title="One cycle",
        examples=("one_cycle",),
        formula="Cosine up over 30 %, cosine down to nearly zero",
        source="Smith & Topin 2017, arXiv 1708.07120.",
        about="A long warm-up and one long decay.",
    ),
    Page(
        name="cyclic",
        title="Cyclic",
        examples=("cyclic(10%)",),
        formula="Triangles between a lower rate and the peak",
        source="Smith 2015, arXiv 1506.01186.",
        about="The rate goes up and down for as long as the run lasts.",
    ),
    Page(
        name="rex",
        title="REX",
        examples=("rex",),
        formula="α(t) = (1 − p) / (½ + ½ (1 − p))",
        source="Chen 2021, arXiv 2107.04197.",
        about="Holds the rate longer than linear decay, then falls steeply.",
    ),
)


def make_page(page: Page) -> str:
    """Write one family's page and picture. Returns its line in the index."""
    schedules = [parse_schedule(text, total_steps=STEPS) for text in page.examples]
    steps = np.arange(STEPS)
    shares = [schedule(steps) for schedule in schedules]
    chart = schedule_chart(page.examples, steps, shares, height=240)
    save_chart(chart, HERE / f"{page.name}.svg")
    (HERE / f"{page.name}.md").write_text(page_text(page, schedules[0], shares[0]), encoding="utf-8")
    return f"- [{page.title}]({page.name}.md): {page.formula}"


def page_text(page: Page, schedule: Schedule, share: np.ndarray) -> str:
    """The page in Markdown."""
    linear = convex_bound(1 - np.arange(STEPS) / STEPS)
    bound = convex_bound(share)
    shown = [0, 100, 500, 999]
    commands = " ".join(f'"{text}"' for text in page.examples)
    return f"""# {page.title}

![{page.title}]({page.name}.svg)

{page.about}

**Formula.** {page.formula}.

**Source.** {page.source}

In theory (convex bound, each at its own best peak rate, {STEPS} updates), `{page.examples[0]}` ends
×{bound.value / linear.value:.3f} as high as linear decay to zero, with
×{bound.best_base / linear.best_base:.2f} its peak rate.

```bash
lrscope schedule {commands} --total-steps {STEPS} --peak-lr 0.1
```

```python
>>> from lrscope.schedules import parse_schedule
>>> schedule = parse_schedule("{page.examples[0]}", total_steps={STEPS})
>>> print(schedule)
{schedule}
>>> [round(share, 4) for share in schedule({shown}).tolist()]
{[round(float(value), 4) for value in schedule(np.array(shown))]}

```
"""


def make_index(lines: list[str]) -> None:
    """Write the index with the comparison of the usual shapes by the bound."""
    texts = ["linear", "cosine", "constant"]
    bounds = [convex_bound(parse_schedule(text, total_steps=STEPS)(np.arange(STEPS))) for text in texts]
    save_chart(bound_chart(texts, bounds), HERE / "bound.svg")
    index = "\n".join(lines)
    text = (HERE / "index.template.md").read_text(encoding="utf-8").replace("{families}", index)
    (HERE / "README.md").write_text(text, encoding="utf-8")


def main() -> None:
    lines = []
    for page in PAGES:
        try:
            lines.append(make_page(page))
        except InvalidInput as error:
            sys.stderr.write(f"left out {page.name}: {error}\n")
    make_index(lines)


if __name__ == "__main__":
    main()
