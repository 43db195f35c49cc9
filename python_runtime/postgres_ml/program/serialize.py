"""The scoring program as JSON text and back, exactly: what MLflow stores and what tests freeze.

One object per data class. Steps and outputs carry a `kind`, the class name in snake case. Numbers are
written as Python's shortest repr, which reads back to the same double; NaN and the infinities, which JSON
lacks, are the strings "NaN", "Infinity" and "-Infinity" in the fields that hold floats.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Hashable
from typing import Any

from postgres_ml.program.program import OUTPUTS, STEPS, Program
from postgres_ml.program.validate import InvalidProgramError, check_program
from postgres_ml.program.version import IR_VERSION

FLOATS = tuple[float, ...]
INTS = tuple[int, ...]


def program_to_json(program: Program) -> str:
    """Return the program as JSON text, the same text for the same program."""
    content = {"ir_version": IR_VERSION, **_fields_to_json(program)}
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def program_from_json(text: str) -> Program:
    """Return the program that `program_to_json` wrote, checked by `check_program`.

    Raises
    ------
    InvalidProgramError
        The text is no program of a version known here, or the program breaks a rule (see `validate`).
    """
    try:
        content = json.loads(text)
        version = content.pop("ir_version")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidProgramError(f"not a scoring program: {error!r}") from error
    # what a version added has a default, which is what was before
    if version not in range(1, IR_VERSION + 1):
        raise InvalidProgramError(
            f"scoring program of version {version!r}; this package reads versions 1 to {IR_VERSION}"
        )
    try:
        loaded = _build(Program, content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidProgramError(f"malformed scoring program: {error!r}") from error
    check_program(loaded)
    return typing.cast(Program, loaded)


def _kind(cls: type) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


KINDS: dict[str, type] = {_kind(cls): cls for cls in (*STEPS, *OUTPUTS)}
"""The class of each `kind` of step and output."""


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(typing.cast(type, cls))


def _float_to_json(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _to_json(annotation: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        kind = _kind(type(value))
        return {"kind": kind, **_fields_to_json(value)} if kind in KINDS else _fields_to_json(value)
    if annotation == FLOATS:
        return [_float_to_json(item) for item in value]
    if annotation == INTS:
        return value
    if isinstance(value, tuple):
        item_types = _item_types(annotation, len(value))
        return [_to_json(item_type, item) for item_type, item in zip(item_types, value, strict=True)]
    return _float_to_json(value) if isinstance(value, float) else value


def _fields_to_json(value: Any) -> dict[str, Any]:
    cls: Any = type(value)
    hints = _hints(cls)
    return {
        field.name: _to_json(hints[field.name], getattr(value, field.name))
        for field in dataclasses.fields(value)
    }


def _item_types(annotation: Any, length: int) -> tuple[Any, ...]:
    """Return the type of each item of a tuple; `annotation` is a tuple type or a union with one."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        annotation = next(a for a in typing.get_args(annotation) if typing.get_origin(a) is tuple)
    arguments = typing.get_args(annotation)
    return arguments[:1] * length if arguments[1:] == (...,) else arguments


def _build(annotation: Any, value: Any) -> Any:
    if annotation == FLOATS:
        return tuple(map(float, value))
    if annotation == INTS:
        return tuple(value)
    if annotation is float:
        return float(value)
    if isinstance(value, dict):
        cls: Any = KINDS[value["kind"]] if "kind" in value and not _has_kind_field(annotation) else annotation
        hints = _hints(typing.cast(Hashable, cls))
        return cls(**{k: _build(hints[k], v) for k, v in value.items() if k in hints or k != "kind"})
    if isinstance(value, list):
        item_types = _item_types(annotation, len(value))
        return tuple(_build(item_type, item) for item_type, item in zip(item_types, value, strict=True))
    if typing.get_origin(annotation) in (types.UnionType, typing.Union) and value is not None:
        members = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _build(members[0], value) if len(members) == 1 else value
    return value


def _has_kind_field(annotation: Any) -> bool:
    return dataclasses.is_dataclass(annotation) and "kind" in _hints(typing.cast(Hashable, annotation))
