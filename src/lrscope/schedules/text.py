"""The text form of schedules: `warmup(5%) -> cosine(end_factor=0.1)`.

    schedule = product ("->" product)*        one phase after another
    product  = atom ("*" atom)*               each times the others
    atom     = number | name ["(" argument, … ")"] | "(" schedule ")"
    argument = [name "="] value
    value    = number [unit] | word | schedule | "[" value, … "]"

Units: `%` (of the run; of one where the argument is no length), `steps`, `epochs`, `examples`, `tokens`; the last three
need a plan. Lengths in units are rounded down, to at least one update. A phase without a length takes what is left of
the run. Names may lose their `_steps` or `_factor`: `cosine(end=0.1)`. Where the first argument is a list, it may be
written bare: `multistep(30, 60, 90, gamma=0.1)`.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

from lrscope.errors import InvalidInput
from lrscope.schedules.compose import Product, Sequence
from lrscope.schedules.endless import Constant
from lrscope.schedules.plan import Plan
from lrscope.schedules.reader import Call, Quantity, Reader, shortened
from lrscope.schedules.schedule import FAMILIES, LIMIT, Schedule, arguments_given, arguments_of, build, is_number

STEP_ARGUMENTS = frozenset(
    {"steps", "decay_steps", "warmup_steps", "stable_steps", "total_steps", "step_size", "step_size_up", "start"}
    | {"step_size_down", "timescale", "elapsed", "every", "first_cycle_steps", "milestones", "boundaries", "knots"}
)
"""Arguments counted in updates: `5%` there is a share of the run."""
LISTS = frozenset({"milestones", "boundaries", "knots", "values"})
"""Arguments that are lists of numbers, where a family's first may be written without brackets."""


@dataclass(frozen=True)
class _Resolver:
    """Turns calls as written into schedules, knowing the run's length and plan."""

    text: str
    total_steps: int | None
    plan: Plan | None

    def error(self, what: str) -> InvalidInput:
        return InvalidInput(f"The schedule '{shortened(self.text)}' {what}.")

    def steps(self, quantity: Quantity) -> int | float:
        """A length in updates, rounded down to at least one where it has a unit (zero stays zero)."""
        if quantity.unit in ("", "steps"):
            return int(quantity.value) if quantity.value.denominator == 1 else quantity.plain
        if quantity.unit == "%":
            if self.total_steps is None:
                raise self.error(f"has a share of the run, {quantity.plain:g}%: give total_steps")
            if not 0 <= quantity.value <= 100:
                raise self.error(f"has a share of the run outside 0% to 100%: {quantity.plain:g}%")
            steps = int(quantity.value * self.total_steps / 100)
        elif self.plan is None:
            raise self.error(f"has a length in {quantity.unit}: give a plan")
        else:
            steps = self.plan.steps(quantity.value, quantity.unit)
        return max(1, steps) if quantity.value > 0 else steps

    def value(self, value: Any, argument: str) -> Any:
        if isinstance(value, Quantity):
            if argument in STEP_ARGUMENTS:
                return self.steps(value)
            if value.unit not in ("", "%"):
                raise self.error(f"gives the argument '{argument}' in {value.unit}, but it is no length")
            plain = value.plain / 100 if value.unit == "%" else value.plain
            return int(plain) if plain == int(plain) and value.value.denominator == 1 and value.unit == "" else plain
        if isinstance(value, tuple):
            return tuple(self.value(v, argument) for v in value)
        if isinstance(value, str) and argument in ("phases", "factors", "schedule", "decay", "scale"):
            value = Call(value)
        return self.schedule(value) if isinstance(value, Call) else value

    def arguments(self, call: Call) -> dict[str, Any]:
        """The call's arguments by name, resolved."""
        family = FAMILIES.get(call.name)
        if family is None:
            known = ", ".join(sorted(FAMILIES))
            raise self.error(f"names '{shortened(call.name)}', which is no schedule. Known: {known}")
        names = [f.name for f in arguments_of(family)]
        positional = call.positional
        if names[0] in LISTS and positional and isinstance(positional[0], Quantity):
            positional = (positional,)
        if len(positional) > len(names):
            raise self.error(f"gives '{call.name}' {len(positional)} arguments; it takes at most {len(names)}")
        given: dict[str, Any] = {}
        for key, value in [*zip(names, positional, strict=False), *call.named]:
            key = _full_name(key, names)
            if key not in names:
                raise self.error(f"gives '{call.name}' an argument '{key}'; it takes {', '.join(names)}")
            if key in given:
                raise self.error(f"gives the argument '{key}' of '{call.name}' twice")
            given[key] = self.value(value, key)
        return given

    def schedule(self, call: Call, left: int | None = None) -> Schedule:
        """The schedule of one call; `left` is the length it takes when it has none of its own."""
        if call.name == "->":
            return self.chain(call.positional, left)
        if call.name == "()":
            return self.schedule(call.positional[0], left)
        if call.name == "*":
            return Product(tuple(self.schedule(factor, left) for factor in call.positional))
        given = self.arguments(call)
        family = FAMILIES[call.name]
        if family.lacks_length(set(given)):
            if left is None:
                raise self.error(f"has a phase '{call.name}' without a length: give one, or total_steps")
            given[family.length_field] = left
        try:
            return build(call.name, (), given)
        except InvalidInput as error:
            if any(isinstance(v, float) and 0 < v < 1 and k in STEP_ARGUMENTS for k, v in given.items()):
                raise InvalidInput(f"{error} A share of the run is written with a percent sign, as 5%.") from None
            raise

    def chain(self, calls: tuple[Call, ...], left: int | None) -> Schedule:
        """Phases one after another; the one without a length takes what the others leave."""
        open_phase: int | None = None
        phases: list[Schedule | None] = []
        for i, call in enumerate(calls):
            if call.name in ("inverse_sqrt", "power") and "timescale" not in self.arguments(call):
                call = self.with_timescale(call, phases)
            phase = self.fixed(call, last=i == len(calls) - 1)
            if phase is None and open_phase is not None:
                raise self.error("has two phases without a length: only one can take what is left of the run")
            open_phase = i if phase is None else open_phase
            phases.append(phase)
        taken = sum(int(p.length or 0) for p in phases if p is not None)
        if left is not None and taken > left:
            raise self.error(f"has phases of {taken} updates together, but the run has {left}")
        if open_phase is not None:
            if left is None:
                raise self.error("has a phase without a length: give one, or total_steps")
            phases[open_phase] = self.open(calls[open_phase], left - taken)
        done = [p for p in phases if p is not None]
        chained, start = done[0], 0.0
        for before, phase in pairwise(done):
            start += (left or 0) - taken if before.length is None else before.length
            chained = chained.then(phase, at=start)
        return chained

    def with_timescale(self, call: Call, before: list[Schedule | None]) -> Call:
        """A decay that takes the updates before it as its timescale."""
        elapsed = sum(int(p.length or 0) for p in before if p is not None)
        if elapsed == 0 or None in before:
            raise self.error(f"has a '{call.name}' without a timescale, and no warm-up before it to take it from")
        return Call(call.name, call.positional, (*call.named, ("timescale", Quantity(Fraction(elapsed), elapsed, ""))))

    def fixed(self, call: Call, *, last: bool) -> Schedule | None:
        """The phase, or None where it has to take what is left."""
        if self.open_inside(call):
            return None
        phase = self.schedule(call)
        return phase if last or phase.length is not None else None

    def open_inside(self, call: Call) -> bool:
        if call.name in ("->", "()", "*"):
            return any(self.open_inside(part) for part in call.positional)
        return FAMILIES[call.name].lacks_length(set(self.arguments(call))) if call.name in FAMILIES else False

    def open(self, call: Call, left: int) -> Schedule:
        """The phase that takes what is left."""
        phase = self.schedule(call, left)
        has_length = any(f.name == phase.length_field for f in arguments_of(type(phase)))
        return phase.with_length(left) if phase.length is None and has_length else phase


def parse_schedule(
    text: str,
    total_steps: int | None = None,
    plan: Plan | None = None,
    *,
    total: Literal["with_warmup", "without_warmup"] = "with_warmup",
) -> Schedule:
    """The schedule of a text.

    text: phases in order, as `warmup(5%) -> cosine`. total_steps: updates of the run, for shares and for the phase
    that takes what is left. plan: turns epochs, examples and tokens into updates, and says the run's length where
    total_steps does not. total: whether total_steps counts the warm-up ("with_warmup"), or the run is longer by it.

    >>> schedule = parse_schedule("warmup(5%) -> cosine", total_steps=10_000)
    >>> str(schedule)
    'warmup(500) -> cosine(9500)'
    >>> schedule([0, 499, 500, 9_999]).tolist()
    [0.002, 1.0, 1.0, 0.0]
    """
    if not isinstance(text, str):
        raise InvalidInput(f"A schedule's text must be a string. Got {text!r}.")
    if total_steps is None and plan is not None:
        total_steps = plan.run_steps
    if total_steps is not None and not (
        is_number(total_steps) and 0 <= total_steps <= LIMIT and int(total_steps) == total_steps
    ):
        raise InvalidInput(f"The total_steps of a schedule must be an int from 0 to 2^53. Got {total_steps!r}.")
    steps = None if total_steps is None else int(total_steps)
    call = Reader(text).whole()
    resolver = _Resolver(text, steps, plan)
    if (
        total == "without_warmup"
        and steps is not None
        and call.name == "->"
        and call.positional[0].name.startswith("warmup")
    ):
        return resolver.schedule(call, steps + int(resolver.schedule(call.positional[0]).length or 0))
    return resolver.schedule(call, steps)


def _full_name(key: str, names: list[str]) -> str:
    """An argument's name from its short form: `decay` for decay_steps, `end` for end_factor."""
    return next((name for name in (key, f"{key}_steps", f"{key}_factor") if name in names), key)


def _format_value(value: Any) -> str:
    if isinstance(value, Schedule):
        return format_schedule(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_format_value(v) for v in value)}]"
    if isinstance(value, float) and value == int(value) and abs(value) < LIMIT:
        return str(int(value))
    return (
        {True: "true", False: "false", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def format_schedule(schedule: Schedule) -> str:
    """The text of a schedule, which `parse_schedule` reads back to an equal one."""
    if isinstance(schedule, Sequence) and _is_chain(schedule):
        return " -> ".join(f"({p})" if isinstance(p, Sequence) else str(p) for p in schedule.phases)
    if isinstance(schedule, Product) and len(schedule.factors) > 1:
        return " * ".join(_format_factor(factor) for factor in schedule.factors)
    told = arguments_given(schedule)
    positional = 0
    while positional < len(told) and arguments_of(type(schedule))[positional] is told[positional]:
        if positional and told[positional].default is not MISSING:
            break
        positional += 1
    values = [_format_value(getattr(schedule, f.name)) for f in told]
    words = [v if i < positional else f"{f.name}={v}" for i, (f, v) in enumerate(zip(told, values, strict=True))]
    return f"{schedule.name}({', '.join(words)})" if words else schedule.name


def _format_factor(factor: Schedule) -> str:
    if isinstance(factor, Constant) and factor == Constant(factor=factor.factor):
        return repr(factor.factor)
    return f"({factor})" if isinstance(factor, (Sequence, Product)) else str(factor)


def _is_chain(schedule: Sequence) -> bool:
    """Whether `a -> b` says everything: phases of their own lengths on their own clocks, two at least."""
    if (
        schedule.clocks
        or schedule.boundary != "later"
        or len(schedule.phases) < 2
        or isinstance(schedule.phases[0], Sequence)
    ):
        return False
    ends = [phase.length for phase in schedule.phases[:-1]]
    starts = (0, *schedule.boundaries)
    return all(
        end is not None and start + end == stop for start, end, stop in zip(starts, ends, starts[1:], strict=False)
    )
