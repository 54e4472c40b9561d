"""Hypothesis strategies: any schedule of any family, every argument having its turn."""

from __future__ import annotations

from hypothesis import strategies as st

from lrscope.schedules import (
    Constant,
    Cooldown,
    CosineDecay,
    CosineRestarts,
    CosineWarmup,
    Cyclic,
    ExponentialDecay,
    InverseSqrtDecay,
    InverseTimeDecay,
    LinearDecay,
    LinearGrowth,
    LinearWarmup,
    LogWarmup,
    MultiStepDecay,
    OneCycle,
    PiecewiseConstant,
    PiecewiseLinear,
    PolynomialDecay,
    PolynomialWarmup,
    PowerDecay,
    Product,
    Rex,
    Schedule,
    Sequence,
    SqrtWarmup,
    StepDecay,
    Stretch,
    Tabulated,
    TanhDecay,
    WarmupStableDecay,
)
from lrscope.schedules.decay import SHAPES

lengths = st.integers(0, 40)
some_length = st.integers(1, 40)
open_length = st.none() | some_length
shares = st.floats(0.0, 2.0).map(lambda x: round(x, 4))
falling = st.floats(0.0, 1.0).map(lambda x: round(x, 4))
positive = st.floats(0.05, 3.0).map(lambda x: round(x, 4))
counts = st.integers(1, 30) | st.floats(0.5, 30.0).map(lambda x: round(x, 3))
past_end = st.sampled_from(["hold", "continue"])
end_at = st.sampled_from(["last_update", "total", "never"])
side = st.sampled_from(["later", "earlier"])
steps_in_order = st.lists(st.integers(0, 60) | st.just(2.5), max_size=5).map(lambda x: tuple(sorted(x)))

DECAY = {
    "decay_steps": lengths,
    "start_factor": shares,
    "end_factor": shares,
    "end_at": end_at,
    "past_end": st.sampled_from(["hold", "continue", "cycle"]),
    "k_decay": positive,
    "offset": st.sampled_from([0.0, 0.5, 1.0]),
}
WARMUP = {
    "warmup_steps": lengths,
    "start_factor": shares,
    "end_factor": shares,
    "offset": st.sampled_from([0.0, 0.5, 1.0]),
    "past_end": past_end,
}
OPEN = {"steps": open_length, "past_end": past_end}


@st.composite
def piecewise_constant(draw: st.DrawFn) -> Schedule:
    boundaries = draw(steps_in_order)
    factors = draw(st.lists(shares, min_size=len(boundaries) + 1, max_size=len(boundaries) + 1))
    return PiecewiseConstant(boundaries, tuple(factors), draw(side))


@st.composite
def piecewise_linear(draw: st.DrawFn) -> Schedule:
    knots = (*draw(steps_in_order), 61)
    factors = tuple(draw(st.lists(shares, min_size=len(knots), max_size=len(knots))))
    return PiecewiseLinear(knots, factors, draw(st.sampled_from(["linear", "cosine"])), draw(past_end))


@st.composite
def wsd(draw: st.DrawFn) -> Schedule:
    warmup, decay, stable = draw(lengths), draw(lengths), draw(lengths)
    named = {"warmup_steps": warmup, "decay_steps": decay, "stable_steps": stable}
    named["total_steps"] = warmup + decay + stable
    named.pop(draw(st.sampled_from(sorted(named))))
    return WarmupStableDecay(
        **named,
        shape=draw(st.sampled_from(SHAPES)),
        start_factor=draw(shares),
        end_factor=draw(shares),
        offset=draw(st.sampled_from([0.0, 1.0])),
        end_at=draw(end_at),
        past_end=draw(past_end),
    )


@st.composite
def sequences(draw: st.DrawFn) -> Schedule:
    phases = draw(st.lists(leaves, min_size=1, max_size=4))
    boundaries = tuple(sorted(draw(st.lists(lengths, min_size=len(phases) - 1, max_size=len(phases) - 1))))
    clocks = draw(st.lists(st.sampled_from(["local", "global"]), min_size=len(phases), max_size=len(phases)))
    return Sequence(tuple(phases), boundaries, tuple(clocks), draw(side))


@st.composite
def stretches(draw: st.DrawFn) -> Schedule:
    schedule = draw(leaves.filter(lambda one: one.length is not None))
    start = draw(st.integers(0, int(schedule.length or 0)))
    return Stretch(schedule, start, start + draw(lengths))


FAMILY_STRATEGIES: dict[str, st.SearchStrategy[Schedule]] = {
    "constant": st.builds(Constant, steps=open_length, factor=shares, past_end=past_end),
    "step": st.builds(StepDecay, step_size=counts, gamma=falling, boundary=side, **OPEN),
    "multistep": st.builds(MultiStepDecay, milestones=steps_in_order, gamma=falling, boundary=side, **OPEN),
    "exponential": st.builds(
        ExponentialDecay,
        gamma=falling,
        every=counts,
        staircase=st.booleans(),
        end_factor=st.none() | shares,
        **OPEN,
    ),
    "growth": st.builds(LinearGrowth, every=counts, rate=shares, staircase=st.booleans(), **OPEN),
    "inverse_time": st.builds(InverseTimeDecay, every=counts, rate=shares, staircase=st.booleans(), **OPEN),
    "inverse_sqrt": st.builds(InverseSqrtDecay, timescale=counts, elapsed=st.none() | counts, **OPEN),
    "power": st.builds(PowerDecay, timescale=counts, exponent=positive, elapsed=st.none() | counts, **OPEN),
    "linear": st.builds(LinearDecay, **DECAY),
    "polynomial": st.builds(PolynomialDecay, **DECAY, power=positive),
    "cosine": st.builds(CosineDecay, **DECAY, num_cycles=positive, exponent=positive),
    "tanh": st.builds(TanhDecay, **DECAY, lower=st.floats(-8, -1), upper=st.floats(0, 4)),
    "rex": st.builds(Rex, **DECAY),
    "cooldown": st.builds(Cooldown, **DECAY, shape_name=st.sampled_from(SHAPES)),
    "restarts": st.builds(
        CosineRestarts,
        first_cycle_steps=counts,
        cycle_mult=st.sampled_from([1.0, 1.5, 2.0, 3.0]),
        cycles=st.none() | st.integers(0, 5),
        cycle_decay=falling,
        decays=st.sampled_from(["peak", "range"]),
        start_factor=shares,
        end_factor=shares,
        end_at=end_at,
        past_end=past_end,
        decay=st.none() | st.builds(PolynomialDecay, st.just(1), power=positive),
    ),
    "cyclic": st.builds(
        Cyclic,
        step_size_up=counts,
        step_size_down=st.none() | counts,
        base_factor=shares,
        peak_factor=shares,
        mode=st.sampled_from(["triangular", "triangular2", "exp_range"]),
        gamma=falling,
        scale=st.none() | st.builds(LinearDecay, some_length),
        scale_by=st.sampled_from(["cycle", "step"]),
        **OPEN,
    ),
    "one_cycle": st.builds(
        OneCycle,
        total_steps=lengths,
        pct_start=st.floats(0, 1),
        anneal=st.sampled_from(["cos", "linear"]),
        div_factor=positive,
        final_div_factor=positive,
        three_phase=st.booleans(),
        past_end=past_end,
    ),
    "piecewise": piecewise_constant(),
    "piecewise_linear": piecewise_linear(),
    "tabulated": st.builds(Tabulated, st.lists(shares, min_size=1, max_size=9).map(tuple)),
    "warmup": st.builds(LinearWarmup, **WARMUP),
    "warmup_cosine": st.builds(CosineWarmup, **WARMUP),
    "warmup_sqrt": st.builds(SqrtWarmup, **WARMUP),
    "warmup_polynomial": st.builds(PolynomialWarmup, **WARMUP, power=positive),
    "warmup_log": st.builds(LogWarmup, **WARMUP),
    "wsd": wsd(),
}
leaves = st.one_of(*FAMILY_STRATEGIES.values())
FAMILY_STRATEGIES |= {
    "sequence": sequences(),
    "product": st.builds(Product, st.lists(leaves, min_size=1, max_size=3).map(tuple)),
    "stretch": stretches(),
}
schedules = st.one_of(leaves, *(FAMILY_STRATEGIES[name] for name in ("sequence", "product", "stretch")))
