"""What a case writes as text: a call such as `LinearLR(0.1, total_iters=5)`, or a formula such as `0.95**t`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from lrscope.schedules import PiecewiseConstant, Schedule, Tabulated

FUNCTIONS = {"min": min, "max": max, "abs": abs, "int": int, "float": float, "round": round, "math": math} | {
    name: value for name, value in vars(math).items() if not name.startswith("_")
}
LONGEST_TABLE = 100_000


def read_call(written: str | dict[str, Any]) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Name, positional and named arguments of a call; functions among them stay text."""
    if isinstance(written, dict):
        named = dict(written.get("params", {key: value for key, value in written.items() if key != "name"}))
        return written["name"], (), named
    node = ast.parse(written.strip(), mode="eval").body
    if isinstance(node, ast.Name):
        return node.id, (), {}
    if not isinstance(node, ast.Call):
        raise ValueError(f"{written!r} is no call.")
    name = ast.unparse(node.func).split(".")[-1]
    named = {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg}
    return name, tuple(_value(argument) for argument in node.args), named


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        text = ast.unparse(node)
        try:
            return function_of(text)(0) if not _variables(node) and not isinstance(node, ast.Lambda) else text
        except NameError:
            return text


def _variables(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in FUNCTIONS}


def function_of(written: Any) -> Callable[[float], float]:
    """A function of one number from its text: `0.95`, `0.9**t`, `lambda epoch: 1 / (1 + epoch)`."""
    if callable(written):
        return written  # type: ignore[no-any-return]
    node: ast.expr = ast.parse(str(written).strip(), mode="eval").body
    node = node.body if isinstance(node, ast.Lambda) else node
    names = _variables(node)
    code = compile(ast.Expression(body=node), "<case>", "eval")
    return lambda number: float(eval(code, {"__builtins__": {}, **FUNCTIONS}, dict.fromkeys(names, number)))


def is_constant(written: Any) -> bool:
    """Whether the text is a number, or a function that does not look at its argument."""
    if callable(written):
        return False
    node: ast.expr = ast.parse(str(written).strip(), mode="eval").body
    return not _variables(node.body if isinstance(node, ast.Lambda) else node)


def table_of(function: Callable[[int], float], last_step: int) -> Schedule:
    """The values of a function at every step up to the last; beyond a long table, at its last step alone."""
    count = min(last_step + 1, LONGEST_TABLE)
    table = Tabulated(tuple(function(step) for step in range(count)))
    if last_step < LONGEST_TABLE:
        return table
    return table.then(PiecewiseConstant((), (function(last_step),)), at=last_step)


def resumed(schedule: Schedule, last_epoch: int) -> Callable[[Any], Any]:
    """A scheduler made with `last_epoch` starts at the step after it."""
    return schedule if last_epoch < 0 else lambda step: schedule(step + last_epoch + 1)
