"""What is known of a column's values, from all rows or from parts of them one after the other.

Input: frames of `TrainingRows`. Output: `ColumnFacts`, by which columns are chosen; of text the number of
rows of each category, from which encoders are fitted without the rows (`rows_of_counts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.snapshot.rows import Array

FLOAT32_MAX = float(np.finfo(np.float32).max)  # xgboost computes in single precision and refuses more
MOST_CATEGORIES = 1_000_000  # of a column, whose counts are kept; of more, those that were seen most
Counts = Mapping[str | None, int]
"""The number of rows of each text; None is NULL."""


@dataclass(frozen=True)
class ColumnFacts:
    """What is known of a column.

    Parameters
    ----------
    n_rows, n_missing : rows, and those of them that are NULL
    n_beyond : values that single precision doesn't hold, infinities among them; of numbers
    first : a value; None where all are missing
    is_constant : whether all values are that one
    n_distinct : different values, of text; 0 of other columns
    """

    n_rows: int
    n_missing: int
    n_beyond: int
    first: Any
    is_constant: bool
    n_distinct: int = 0

    def with_more(self, other: ColumnFacts) -> ColumnFacts:
        """Return what is known of this column's rows and others of it, but for the number of values."""
        is_same = self.first is None or other.first is None or bool(self.first == other.first)
        return ColumnFacts(
            self.n_rows + other.n_rows,
            self.n_missing + other.n_missing,
            self.n_beyond + other.n_beyond,
            other.first if self.first is None else self.first,
            self.is_constant and other.is_constant and is_same,
        )


def facts_of(column: Column, values: pd.Series, n_distinct: int | None = None) -> ColumnFacts:
    """Return what is known of a column from its values in a frame.

    Parameters
    ----------
    n_distinct : of text, where it has been counted
    """
    present = values.dropna()
    n_beyond = 0
    if column.kind == "number":
        n_beyond = int(np.count_nonzero(np.abs(values.to_numpy()) > FLOAT32_MAX))
    if present.empty:
        return ColumnFacts(len(values), len(values), n_beyond, None, is_constant=True)
    first = present.iloc[0]
    if column.kind != "text":
        n_distinct = 0
    elif n_distinct is None:
        n_distinct = present.nunique()
    is_constant = bool((present == first).all())
    return ColumnFacts(len(values), len(values) - len(present), n_beyond, first, is_constant, n_distinct)


def count_texts(values: pd.Series) -> Counter[str | None]:
    """Return the number of rows of each text."""
    codes, words = pd.factorize(values)
    counted = Counter(dict(zip(words.tolist(), np.bincount(codes[codes >= 0]).tolist(), strict=True)))
    if n_missing := int(np.count_nonzero(codes < 0)):
        counted[None] = n_missing
    return counted


def add_counts(total: Counter[str | None], more: Counts) -> None:
    """Add counts to others; of too many categories those that were seen least are forgotten."""
    total.update(more)
    if len(total) > MOST_CATEGORIES:
        kept = total.most_common(MOST_CATEGORIES // 2)
        total.clear()
        total.update(dict(kept))


def rows_of_counts(counts: Sequence[Counts], enough: int, least: int = 0) -> list[Array]:
    """Return few rows of text columns on which encoders learn what they would learn of all rows.

    Encoders list the categories and compare their numbers of rows, with each other and with
    `min_frequency`. So numbers up to `enough` stay, and greater ones keep their order. Columns are made
    equally long with their own most frequent category, which changes no order.

    Parameters
    ----------
    counts : of each column
    enough : a number of rows that is not less than any `min_frequency`
    least : rows to return at least

    Returns
    -------
    For each column str objects, None is NULL
    """
    columns = [_few(column, enough) for column in counts]
    longest = max(least, *map(len, columns), 0)
    return [_padded(column, longest, counted) for column, counted in zip(columns, counts, strict=True)]


def fit_categories(
    transformer: Any, counts: Mapping[str, Counts], sample: pd.DataFrame, enough: int, least: int = 0
) -> Any:
    """Return the transformer, fitted on few rows that teach it the categories that all rows would.

    Rows that are in memory gain by it as well: the library's encoders count each value by a call in Python,
    which takes a tenth of a training of xgboost.

    Parameters
    ----------
    counts : of each text column
    sample : rows from which it learns what else there is to learn
    enough, least : as `rows_of_counts` has them
    """
    texts = rows_of_counts(list(counts.values()), enough, least)
    n_rows = len(texts[0]) if texts else len(sample)
    rows = sample.iloc[np.linspace(0, len(sample) - 1, n_rows).astype(np.int64)].reset_index(drop=True)
    for name, values in zip(counts, texts, strict=True):
        rows[name] = pd.Series(values, dtype=object)
    return transformer.fit(rows)


def _few(counts: Counts, enough: int) -> Array:
    great = sorted({n for n in counts.values() if n > enough})
    smaller = {n: enough + 1 + rank for rank, n in enumerate(great)}
    words = np.empty(len(counts), dtype=object)
    words[:] = list(counts)
    return np.repeat(words, [smaller.get(n, n) for n in counts.values()])


def _padded(column: Array, n: int, counts: Counts) -> Array:
    if len(column) == n:
        return column
    filler = np.empty(n - len(column), dtype=object)
    filler[:] = max(counts, key=counts.__getitem__)
    return np.concatenate([column, filler])


def merged(
    parts: Iterable[Mapping[str, ColumnFacts]], counts: Mapping[str, Counts]
) -> dict[str, ColumnFacts]:
    """Return what is known of all columns from what is known of parts of the rows.

    Parameters
    ----------
    counts : of the text columns, of all parts
    """
    found: dict[str, ColumnFacts] = {}
    for part in parts:
        for name, facts in part.items():
            found[name] = found[name].with_more(facts) if name in found else facts
    n_distinct = {name: len(known) - (None in known) for name, known in counts.items()}
    return {name: replace(facts, n_distinct=n_distinct.get(name, 0)) for name, facts in found.items()}
