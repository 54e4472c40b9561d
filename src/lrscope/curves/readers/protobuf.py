"""The wire format of protocol buffers, as far as logs need it: fields in, no schema, nothing executed.

The format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Value = int | bytes


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The variable-length integer at a position, and the position behind it. Raises ValueError where it is cut off.

    >>> varint(bytes([0xAC, 0x02]), 0)
    (300, 2)
    """
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def signed(value: int) -> int:
    """A 64-bit varint as a signed integer."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes) -> Iterator[tuple[int, int, Value, int]]:
    """(field number, wire type, value, position of the value) of each field of a message.

    Fixed-width values come as their bytes. Raises ValueError where the message is cut off or is none.
    """
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == VARINT:
            start = at
            value, at = varint(data, at)
            yield key >> 3, wire, value, start
            continue
        if wire == BYTES:
            length, at = varint(data, at)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} is not in use")
        if at + length > len(data):
            raise ValueError("a field is cut off")
        yield key >> 3, wire, data[at : at + length], at
        at += length


def message(data: bytes) -> dict[int, list[Value]]:
    """The values of a message by field number, in order. Raises ValueError."""
    found: dict[int, list[Value]] = {}
    for number, _, value, _ in fields(data):
        found.setdefault(number, []).append(value)
    return found


def submessages(parent: dict[int, list[Value]], number: int) -> Iterator[dict[int, list[Value]]]:
    """The messages in a field of a message."""
    for value in parent.get(number, ()):
        if isinstance(value, bytes):
            yield message(value)


def texts(parent: dict[int, list[Value]], number: int) -> list[str]:
    """The strings in a field of a message."""
    return [v.decode("utf-8", errors="replace") for v in parent.get(number, ()) if isinstance(v, bytes)]
