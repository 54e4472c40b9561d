"""Reads the text form of a schedule into calls, not yet resolved; the grammar is in `lrscope.schedules.text`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lrscope.errors import InvalidInput

_TOKEN = re.compile(
    r"\s*(?:(?P<arrow>->|→)|(?P<number>[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z][\w-]*)|(?P<sign>[()\[\],=*×%]))"
)
_UNITS = {"%": "%", "step": "steps", "updates": "steps", "epoch": "epochs", "token": "tokens", "example": "examples"}
_UNITS |= {unit: unit for unit in ("steps", "epochs", "tokens", "examples")}
DEEPEST = 50
LONGEST_SHOWN = 200
_WORDS = {"none": None, "true": True, "false": False}


@dataclass(frozen=True)
class Quantity:
    """A number as written, with its unit ("" where none is given)."""

    value: Fraction
    plain: float
    unit: str


@dataclass(frozen=True)
class Call:
    """A schedule as written: its name and arguments, not yet resolved."""

    name: str
    positional: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()


def shortened(text: str) -> str:
    """A text as an error names it: whole, or its beginning."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _can_be_exact(number: str) -> bool:
    """Whether a number as written is finite, and short enough for a fraction: 1e999999999 would fill the memory."""
    exponent = number.lower().partition("e")[2]
    return len(number) <= 400 and abs(int(exponent or 0)) <= 400 and math.isfinite(float(number))


class Reader:
    """A recursive-descent reader over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(f"cannot be read at '{text[position:].strip()[:20]}'")
            kind = match.lastgroup or ""
            self.tokens.append((kind, match[kind], match.start(kind)))
            position = match.end()
        self.next = 0

    def error(self, what: str) -> InvalidInput:
        """What is wrong with the text, as an error to raise."""
        example = "A schedule reads like 'warmup(5%) -> cosine(end_factor=0.1)'."
        return InvalidInput(f"The schedule '{shortened(self.text)}' {what}. {example}")

    def peek(self, ahead: int = 0) -> str:
        """The next token, or one ahead of it; empty past the end."""
        i = self.next + ahead
        return self.tokens[i][1] if i < len(self.tokens) else ""

    def kind(self, ahead: int = 0) -> str:
        """What the next token is, or one ahead of it; empty past the end."""
        i = self.next + ahead
        return self.tokens[i][0] if i < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        """The next token, passed over. Raises InvalidInput where it is not the one that is wanted."""
        token = self.peek()
        if not token or (wanted and token != wanted):
            place = f"at '{self.text[self.tokens[self.next][2] :][:20]}'" if token else "at its end"
            raise self.error(f"lacks {repr(wanted) if wanted else 'something'} {place}")
        self.next += 1
        return token

    def whole(self) -> Call:
        """The schedule that the whole text is."""
        depth = 0
        for _, token, _ in self.tokens:
            depth += (token in ("(", "[")) - (token in (")", "]"))
            if depth > DEEPEST:
                raise self.error(f"is nested more than {DEEPEST} deep")
        call = self.schedule()
        if self.peek():
            raise self.error(f"cannot be read at '{self.text[self.tokens[self.next][2] :][:20]}'")
        return call

    def schedule(self) -> Call:
        """product { -> product }"""
        phases = [self.product()]
        while self.kind() == "arrow":
            self.take()
            phases.append(self.product())
        return phases[0] if len(phases) == 1 else Call("->", tuple(phases))

    def product(self) -> Call:
        """atom { * atom }"""
        factors = [self.atom()]
        while self.peek() in ("*", "×"):
            self.take()
            factors.append(self.atom())
        return factors[0] if len(factors) == 1 else Call("*", tuple(factors))

    def atom(self) -> Call:
        """( schedule ) | number | name [ ( arguments ) ]"""
        if self.peek() == "(":
            self.take()
            call = self.schedule()
            self.take(")")
            return Call("()", (call,))
        if self.kind() == "number":
            return Call("constant", named=(("factor", self.quantity()),))
        if self.kind() != "word":
            raise self.error(
                f"lacks a schedule's name at '{self.peek()}'" if self.peek() else "lacks a schedule's name at its end"
            )
        name = self.take()
        if self.peek() != "(":
            return Call(name)
        self.take()
        positional: list[Any] = []
        named: list[tuple[str, Any]] = []
        while self.peek() != ")":
            if self.kind() == "word" and self.peek(1) == "=":
                key = self.take()
                self.take("=")
                named.append((key, self.value()))
            elif named:
                raise self.error(f"has an argument without a name after one with a name, in '{name}'")
            else:
                positional.append(self.value())
            if self.peek() != ")":
                self.take(",")
        self.take(")")
        return Call(name, tuple(positional), tuple(named))

    def value(self) -> Any:
        """[ values ] | quantity | word | schedule"""
        if self.peek() == "[":
            self.take()
            values: list[Any] = []
            while self.peek() != "]":
                values.append(self.value())
                if self.peek() != "]":
                    self.take(",")
            self.take("]")
            return tuple(values)
        if self.kind() == "number" and self.peek(1) not in ("*", "×"):
            return self.quantity()
        if self.kind() == "word" and self.peek(1) in (",", ")", "]"):
            word = self.take()
            return _WORDS.get(word.lower(), word)
        return self.schedule()

    def quantity(self) -> Quantity:
        """number [ unit ]"""
        written = self.take().replace("_", "")
        if not _can_be_exact(written):
            raise self.error(f"has a number that is out of range, '{written[:20]}'")
        unit = _UNITS.get(self.peek().lower(), "")
        if unit:
            self.take()
        return Quantity(Fraction(written), float(written), unit)
