"""CRC-32C (Castagnoli, RFC 3720 appendix B.4) of many byte strings at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_TABLE = _table()


def crc32c(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The checksum of each row of (strings, length) bytes: (strings,) uint32.

    >>> hex(crc32c(np.frombuffer(b"123456789", dtype=np.uint8)[None])[0])
    '0xe3069283'
    """
    crc: NDArray[np.uint32] = np.full(len(data), 0xFFFFFFFF, dtype=np.uint32)
    for byte in np.ascontiguousarray(data.T):
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return (crc ^ 0xFFFFFFFF).astype(np.uint32)


def masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The checksum as TFRecord files store it: rotated right by 15 bits plus a constant, modulo 2³²."""
    return (((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)).astype(np.uint32)
