"""Frozen dataclasses as JSON, both ways, without loss.

What the two processes say to each other are files, so that either can be killed and read again.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def to_json(value: Any) -> str:
    """Return the dataclass as JSON text."""
    return json.dumps(dataclasses.asdict(value), ensure_ascii=False, indent=1)


def from_json(cls: type[T], text: str) -> T:
    """Return the dataclass that `to_json` wrote.

    Raises
    ------
    TypeError, KeyError
        The text was not written by `to_json` for this class.
    """
    return typing.cast(T, _build(cls, json.loads(text)))


def read(cls: type[T], path: Path) -> T:
    """Return the dataclass stored in a JSON file."""
    return from_json(cls, path.read_text(encoding="utf-8"))


def _build(annotation: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        return typing.cast(Any, annotation)(**{k: _build(hints[k], v) for k, v in value.items()})
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_build(kind, item) for kind, item in zip(kinds, value, strict=True))
    if origin in (types.UnionType, typing.Union) and value is not None:
        return _build(next(a for a in arguments if a is not type(None)), value)
    return value
