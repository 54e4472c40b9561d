"""What the pages on schedules say: one family, or a few close ones, a page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: the families on it, its formula (t: the phase's update, N: its length), and where it is from."""

    name: str
    title: str
    examples: tuple[str, ...]
    formula: str
    source: str
    about: str
    families: tuple[str, ...] = ()
    """Names of the families shown; the page's own name where there is but one."""


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
        examples=("warmup(10%) -> constant", "warmup(30%) -> constant"),
        formula="α(t) = (t + 1) / w for t < w; with `offset=0`, t / w",
        source="Goyal 2017, arXiv 1706.02677. Length for Adam when nothing else is known: 2 / (1 − β₂) updates, Ma & "
        "Yarats 2021.",
        about="The first updates of a network see large, quickly changing gradients; a rate that grows over them "
        "allows a higher peak afterwards. lrscope counts from one, so that no update is wasted at a rate of zero.",
    ),
    Page(
        name="warmup_shapes",
        title="Other warm-ups",
        families=("warmup_cosine", "warmup_sqrt", "warmup_polynomial", "warmup_log"),
        examples=(
            "warmup_cosine(50%) -> constant",
            "warmup_sqrt(50%) -> constant",
            "warmup_polynomial(50%) -> constant",
            "warmup_log(50%) -> constant",
        ),
        formula="With q = (t + 1) / w: ½ (1 − cos π q), 1 − √(1 − q), q^power, ln(t + 1) / ln w",
        source="The cosine: Smith & Topin 2017, arXiv 1708.07120. 1 − √(1 − q) mirrors the cool-down of Hägele 2024, "
        "arXiv 2405.18392. The logarithm is the default of DeepSpeed.",
        about="The shape matters less than the length: a logarithm rises at once, the others spare the first updates.",
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
        examples=("multistep(50%, 75%)", "multistep(30%, 60%, 90%, gamma=0.3)"),
        formula="α(t) = γ^(number of milestones ≤ t)",
        source="He 2015, arXiv 1512.03385.",
        about="Step decay with its drops at chosen milestones.",
    ),
    Page(
        name="exponential",
        title="Exponential decay",
        examples=("exponential(0.995)", "exponential(0.5, every=10%, staircase=true)"),
        formula="α(t) = γ^(t/n), never past `end_factor` where one is given",
        source="The oldest of schedules. With γ > 1 it is the learning-rate range test: Smith 2015, arXiv 1506.01186.",
        about="The same factor in every update: much of the run is spent at low rates.",
    ),
    Page(
        name="growth",
        title="Linear growth",
        examples=("growth(10%)", "growth(10%, staircase=true)"),
        formula="α(t) = 1 + r · t / n",
        source="The linear learning-rate range test: Smith 2018, arXiv 1803.09820.",
        about="A rate that only grows: no schedule to train with, but one to see at which rate a model breaks.",
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
        examples=("restarts(cycles=4)", "restarts(15%, cycle_mult=2)"),
        formula="A cosine over each cycle; cycle lengths T₀, T₀·m, T₀·m² and so on",
        source="SGDR: Loshchilov & Hutter 2016, arXiv 1608.03983.",
        about="Every cycle ends in an annealed model that can be kept, and then starts over at the peak. Cycles are "
        "counted with whole numbers, so that each begins exactly where it should, however far into a run.",
    ),
    Page(
        name="polynomial",
        title="Polynomial decay",
        examples=("polynomial(power=2)", "polynomial(25%, power=2, past_end=cycle)"),
        formula="α(t) = f + (1 − f)(1 − p)^power",
        source="Chen 2016, arXiv 1606.00915; Mishra & Sarawagi 2019, arXiv 1903.00861.",
        about="Linear decay bent: a power above one spends more of the run at low rates. `past_end=cycle` goes on "
        "past the end, stretched to the next multiple of its length.",
    ),
    Page(
        name="tanh",
        title="Hyperbolic tangent",
        examples=("tanh", "tanh(lower=-4, upper=4)"),
        formula="α(t) = ½ (1 − tanh(l (1 − p) + u p))",
        source="Hsueh 2018, arXiv 1806.01593.",
        about="Flat, then steep, then flat again; where the fall lies is set by l and u.",
    ),
    Page(
        name="inverse_sqrt",
        title="Inverse square root",
        examples=("warmup(5%) -> inverse_sqrt",),
        formula="α(t) = √(τ / max(t, τ))",
        source="Vaswani 2017, arXiv 1706.03762 (with warm-up: the Noam schedule).",
        about="Needs no end: the run may go on for as long as one likes, and a cool-down can follow at any time. After "
        "a warm-up it takes the warm-up's length as τ.",
    ),
    Page(
        name="power",
        title="Power law",
        examples=("warmup(5%) -> power(exponent=0.5)", "warmup(5%) -> power(exponent=0.3)"),
        formula="α(t) = (τ / max(t, τ))^e",
        source="Shen 2024, arXiv 2408.13359.",
        about="The inverse square root with another exponent: slower or faster, and without an end too.",
    ),
    Page(
        name="inverse_time",
        title="Inverse time decay",
        examples=("inverse_time(10%)",),
        formula="α(t) = 1 / (1 + r · t/n)",
        source="Robbins & Monro 1951.",
        about="Falls faster than the inverse square root, and has no end either.",
    ),
    Page(
        name="wsd",
        title="Warm-up, stable, decay",
        examples=("wsd(warmup=5%, decay=20%)", "wsd(warmup=5%, decay=20%, shape=sqrt)"),
        formula="(t + 1)/w, then 1, then a cool-down over the last part",
        source="Hu 2024, arXiv 2404.06395.",
        about="The plateau can be extended before the cool-down begins, so one run serves several lengths. Two of the "
        "three lengths are enough: the third is what is left of the run.",
    ),
    Page(
        name="cooldown",
        title="Cool-downs",
        examples=tuple(
            f"constant -> cooldown(50%, shape_name={shape})"
            for shape in ("linear", "cosine", "sqrt", "square", "exponential", "mirror_cosine")
        ),
        formula="1 − p, ½ (1 + cos π p), 1 − √p, 1 − p², (0.01^p − 0.01) / 0.99, or the cosine mirrored on the line",
        source="1 − √p: Hägele 2024, arXiv 2405.18392. Exponential: Hu 2024, arXiv 2404.06395.",
        about="The last phase of a run that was held at its peak. 1 − √p falls at once and ends gently.",
    ),
    Page(
        name="one_cycle",
        title="One cycle",
        examples=("one_cycle", "one_cycle(three_phase=true, anneal=linear)"),
        formula="Up over `pct_start` of the run, down to nearly zero: 1/d → 1 → 1/(d·e)",
        source="Smith & Topin 2017, arXiv 1708.07120.",
        about="A long warm-up and one long decay; with three phases the fall mirrors the rise before the end.",
    ),
    Page(
        name="cyclic",
        title="Cyclic",
        examples=("cyclic(10%)", "cyclic(10%, mode=triangular2)"),
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
    Page(
        name="piecewise",
        title="Given by their values",
        families=("piecewise", "piecewise_linear", "tabulated"),
        examples=(
            "piecewise([30%, 60%], [1, 0.5, 0.1])",
            "piecewise_linear([0, 30%, 100%], [0.1, 1, 0])",
            "piecewise_linear([0, 30%, 100%], [0.1, 1, 0], interpolation=cosine)",
        ),
        formula="Constant, straight or half a cosine between given steps; or one value per update (`tabulated`)",
        source="Plain interpolation. A refined schedule (Defazio 2023, arXiv 2310.07831) is a table.",
        about="For what no formula gives: a schedule that was measured, refined from a log, or copied from a paper.",
    ),
    Page(
        name="compose",
        title="Schedules of schedules",
        families=("sequence", "product", "stretch"),
        examples=(
            "warmup(5%) -> constant -> linear(30%)",
            "cosine * exponential(0.997)",
            "stretch(linear(50%), 20%, 100%)",
        ),
        formula="One after another, one times another, or what is left of one spread over a longer run",
        source="The phases of Hu 2024, arXiv 2404.06395, are a sequence; a stretch is what extends a run.",
        about="Phases follow each other with `->`, each on its own clock; `*` multiplies. In Python: `a.then(b)`, "
        "`a * b`, and `a.extend(total_steps, policy)`, which never changes the updates that were made.",
    ),
)
