"""Dates, times and timestamps among the columns that are encoded as numbers: their calendar parts.

Used by `preprocess` for every encoding of the columns where nothing is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from postgres_ml.components.transformers import PARTS, DateTimeVectorizer
from postgres_ml.features.configured import Entry


def numeric_entries(
    name: str,
    make: Callable[[], Any] | None,
    columns: Sequence[str],
    kinds: Mapping[str, str],
    *,
    parts: tuple[str, ...] | None = None,
) -> list[Entry]:
    """Return entries of a ColumnTransformer: numbers through `make()`, dates vectorized before it.

    Parameters
    ----------
    make : makes a transformer of numbers; None leaves them as they are
    kinds : of the columns, 'number', 'date' and so on; what isn't there is a number
    parts : calendar parts; None takes those of `transformers.PARTS`
    """
    plain, moments = by_kind(columns, kinds)
    entries: list[Entry] = [(name, "passthrough" if make is None else make(), plain)]
    for kind, names in moments.items():
        steps: list[tuple[str, Any]] = [("parts", DateTimeVectorizer(parts or PARTS[kind]))]
        if make is not None:
            steps.append((name, make()))
        entries.append((f"{name}_{kind}", Pipeline(steps), names))
    return entries


def n_numbers(columns: Sequence[str], kinds: Mapping[str, str]) -> int:
    """Return how many numbers `numeric_entries` makes of the columns where `make` is None."""
    plain, moments = by_kind(columns, kinds)
    return len(plain) + sum(len(PARTS[kind]) * len(names) for kind, names in moments.items())


def by_kind(names: Sequence[str], kinds: Mapping[str, str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the numbers and booleans, and the dates and times by kind."""
    plain: list[str] = []
    moments: dict[str, list[str]] = {}
    for name in names:
        kind = kinds.get(name, "number")
        (plain if kind in ("number", "boolean") else moments.setdefault(kind, [])).append(name)
    return plain, moments
