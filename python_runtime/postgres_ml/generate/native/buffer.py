"""A growing run of little-endian bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Buffer:
    """Bytes in the body's types: u8, u16, u32, f32, f64, strings and lists of them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)

    def u8(self, value: int) -> None:
        """Append one byte."""
        self._parts.append(struct.pack("<B", value))

    def u32(self, value: int) -> None:
        """Append four bytes, unsigned."""
        self._parts.append(struct.pack("<I", value))

    def f64(self, value: float) -> None:
        """Append a double."""
        self._parts.append(struct.pack("<d", value))

    def string(self, value: str) -> None:
        """Append a u32 length and the text in UTF-8."""
        self.section(value.encode())

    def section(self, value: bytes) -> None:
        """Append a u32 length and the bytes."""
        self.u32(len(value))
        self._parts.append(value)

    def u32s(self, values: Sequence[int]) -> None:
        """Append numbers without a count."""
        self.array(np.asarray(values, dtype=np.uint32))

    def f64s(self, values: Sequence[Any]) -> None:
        """Append doubles without a count; nested sequences row by row."""
        self.array(np.asarray(values, dtype=np.float64))

    def array(self, values: npt.NDArray[Any]) -> None:
        """Append an array of any shape in its own type, little-endian, the last axis running fastest."""
        self._parts.append(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())

    def slots(self, values: Sequence[int]) -> None:
        """Append a u32 count and that many u32."""
        self.u32(len(values))
        self.u32s(values)
