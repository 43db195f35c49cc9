"""Which columns a pipeline uses, and which kind of encoding each needs.

Input: the features and the rows. Output: `FeatureColumns`, and what the user should know of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.column_facts import FLOAT32_MAX, ColumnFacts, facts_of
from postgres_ml.features.exact_numbers import check_encoded
from postgres_ml.features.text_columns import WordColumns, check_words, configured_words, is_free_text
from postgres_ml.features.transformer_rules import TEXT_VECTORIZER
from postgres_ml.snapshot.query import INTEGER_TYPES
from postgres_ml.snapshot.rows import TrainingRows

MAX_CATEGORIES = 64  # the states of the USA are 51; the rest of a longer list shares one column
ID_SHARE = 0.9  # share of different values from which a text column is taken for an identifier
ID_ROWS = 50  # with fewer rows, short texts may all differ by chance


@dataclass(frozen=True)
class FeatureColumns:
    """The columns a pipeline uses, in the query's order; all others are arguments without effect.

    Parameters
    ----------
    numbers, texts : by what becomes of them where nothing is configured; dates and times are with the numbers
    sets : the configured preprocessing; None leaves it to the training, () is none at all
    kinds : of all columns used, 'number', 'text' and so on
    crowded : those of `texts` with more categories than fit into one-hot columns, where nothing is configured
    words : texts of which auto counts words; those that are categories as well are among `texts`, too
    """

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    sets: tuple[ColumnSet, ...] | None = None
    kinds: Mapping[str, str] = field(default_factory=dict, compare=False)
    crowded: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def word_columns(self) -> list[WordColumns]:
        """The texts of which words are counted: those that auto found, or those that are configured."""
        if self.sets is not None:
            return configured_words(self.sets, self.kinds)
        return [WordColumns(self.words)] if self.words else []

    def without_words(self) -> FeatureColumns:
        """Return the columns but for those that are used by their words alone."""
        if self.sets is None:
            left = {*self.numbers, *self.texts}
            kinds = {name: kind for name, kind in self.kinds.items() if name in left}
            return replace(self, words=(), kinds=kinds)
        sets = tuple(item for item in self.sets if TEXT_VECTORIZER not in item.transformers)
        gone = {name for group in self.word_columns for name in group.names}
        gone -= {name for item in sets for name in item.columns}
        return replace(
            self,
            texts=tuple(name for name in self.texts if name not in gone),
            sets=sets,
            kinds={name: kind for name, kind in self.kinds.items() if name not in gone},
        )


def choose_columns(
    features: Sequence[Column],
    rows: TrainingRows,
    messages: list[str],
    sets: tuple[ColumnSet, ...] | None = None,
    *,
    count_words: bool = False,
    facts: Mapping[str, ColumnFacts] | None = None,
) -> FeatureColumns:
    """Return the columns worth using; append what was left out, and why, to `messages`.

    Parameters
    ----------
    sets : the configured preprocessing: the columns it names are used even if they look like identifiers
    count_words : whether free texts are used, by their words
    facts : what is known of each column, where `rows` are only some of all

    Raises
    ------
    TrainingDataError
        Infinite values, which no estimator here accepts; categories that doubles would mix up; texts without
        words to count; or no column is left.
    """
    useless: list[str] = []
    numbers: list[str] = []
    texts: list[str] = []
    words: list[str] = []
    named = {name for item in sets or () for name in item.columns}
    known = facts or {column.name: facts_of(column, rows.frame[column.name]) for column in features}
    _check_finite(known)
    check_encoded(features, rows.frame, sets or ())
    for column in features:
        values = rows.frame[column.name]
        reason = _useless(column, known[column.name], is_named=column.name in named)
        if count_words and sets is None and column.kind == "text" and is_free_text(values):
            words.append(column.name)
            if reason:
                continue
        if reason:
            useless.append(f'"{column.name}" ({reason})')
        else:
            (texts if column.kind == "text" else numbers).append(column.name)
        if not reason and looks_like_id(column, values):
            messages.append(
                f'column "{column.name}" has a different whole number in every row; if it is an identifier, '
                "leave it out of the query"
            )
    if not numbers and not texts and not words:
        raise TrainingDataError(f"no column can be used to predict the target: {', '.join(useless)}")
    if useless:
        messages.append(f"columns that the model does not use: {', '.join(useless)}")
    if words:
        messages.append(f"free text, of which words and pairs of words are counted: {', '.join(words)}")
    kinds = {column.name: column.kind for column in features if column.name in {*numbers, *texts, *words}}
    check_words(configured_words(sets or (), kinds), rows.frame, messages)
    crowded = [name for name in texts if sets is None and known[name].n_distinct > MAX_CATEGORIES]
    return FeatureColumns(tuple(numbers), tuple(texts), sets, kinds, tuple(crowded), tuple(words))


def _check_finite(known: Mapping[str, ColumnFacts]) -> None:
    problems = [
        f'column "{name}" is infinite or beyond ±{FLOAT32_MAX:.1e} in {facts.n_beyond:,} rows'
        for name, facts in known.items()
        if facts.n_beyond
    ]
    if problems:
        raise TrainingDataError(
            "; ".join(problems) + ": make these values NULL (nullif) or limit them (least, greatest)"
        )


def _useless(column: Column, known: ColumnFacts, *, is_named: bool) -> str | None:
    n_present = known.n_rows - known.n_missing
    if not n_present:
        return "NULL in every row"
    if is_named:
        return None
    if not known.n_missing and known.is_constant:
        return f"{known.first!s} in every row"
    if column.kind == "text" and n_present >= ID_ROWS and known.n_distinct >= ID_SHARE * n_present:
        return f"{known.n_distinct:,} different texts in {n_present:,} rows"
    return None


def looks_like_id(column: Column, values: pd.Series) -> bool:
    """Return whether a column has a different whole number in every row."""
    if column.sql_type not in INTEGER_TYPES or len(values) < ID_ROWS:
        return False
    return bool(values.notna().all() and values.is_unique)
