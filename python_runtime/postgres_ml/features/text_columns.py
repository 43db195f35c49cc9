"""Text columns that are no categories: which they are, and whether there are words to count in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.components.text import TextVectorizer
from postgres_ml.contract.config import ColumnSet
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.problem import Problem
from postgres_ml.features.transformer_rules import TEXT_VECTORIZER, members
from postgres_ml.program.words import split_words, terms_of

MIN_WORDS = 3.0  # on average, of a free text; names of cities and products have fewer
MIN_TEXTS = 64  # different ones; what has fewer is a category
MIN_SHARE = 0.01  # of rows, that differ; long names of categories come again and again
LOOKED_AT = 500  # texts by which a column is judged
MIN_DF = 5
# Terms that auto gives to linear estimators, sparse, and to trees and networks. See docs/decisions/0042.
LINEAR_TERMS, FEW_TERMS = 2000, 300
RANGES = {"words": (1, 1), "pairs": (2, 2), "both": (1, 2)}


def is_free_text(values: pd.Series) -> bool:
    """Return whether a text column holds sentences: mostly different texts, of several words each."""
    present = values.dropna()
    n_distinct = present.nunique()
    if n_distinct <= MIN_TEXTS or n_distinct < MIN_SHARE * len(present):
        return False
    texts = _spread(present)
    if float(np.mean([len(split_words(text)) for text in texts])) < MIN_WORDS:
        return False
    in_texts: Counter[str] = Counter()
    for text in texts:
        in_texts.update(set(split_words(text)))
    least = max(2, MIN_DF * len(texts) // len(present))
    return any(least <= n < len(texts) for n in in_texts.values())


@dataclass(frozen=True)
class WordColumns:
    """Text columns that go through one vectorizer.

    Parameters
    ----------
    item : the configured set; None of those that auto found
    """

    names: tuple[str, ...]
    item: ColumnSet | None = None

    def vectorizer(self, problem: Problem | None, *, for_linear: bool) -> TextVectorizer:
        """Return the unfitted vectorizer.

        Parameters
        ----------
        problem : what the terms are to tell of; None takes the target as it comes
        for_linear : whether an estimator reads it that takes a sparse matrix of many columns; where nothing
            is configured, all others get few columns, and as many of them as there might be
        """
        target = "auto" if problem is None else "number" if problem.is_regression else "classes"
        if self.item is not None:
            most = self.item.max_features or TextVectorizer().max_features
            kinds, min_df = RANGES[self.item.terms or "both"], self.item.min_df or MIN_DF
            return TextVectorizer(most, kinds, min_df, target=target, sparse_output=for_linear)
        if for_linear:
            return TextVectorizer(LINEAR_TERMS, min_df=MIN_DF, target=target)
        return TextVectorizer(FEW_TERMS, min_df=MIN_DF, target=target, sparse_output=False, fixed_width=True)


def configured_words(sets: Sequence[ColumnSet], kinds: Mapping[str, str]) -> list[WordColumns]:
    """Return the columns of which the configuration makes words.

    Parameters
    ----------
    kinds : 'text', 'number' and so on of every column that is used
    """
    found = []
    for item in sets:
        names = tuple(name for name in members(item, sets, list(kinds)) if kinds.get(name) == "text")
        if TEXT_VECTORIZER in item.transformers and names:
            found.append(WordColumns(names, item))
    return found


def check_words(columns: Sequence[WordColumns], frame: pd.DataFrame, messages: list[str]) -> None:
    """Check that there is something to count in columns that are put through a configured TextVectorizer.

    Raises
    ------
    TrainingDataError
        No term is in enough rows, or those that are, are in all of them.
    """
    problems = []
    for name, item in ((name, group.item) for group in columns for name in group.names):
        texts, terms = frame[name].dropna(), (item.terms if item else None) or "both"
        least = (item.min_df if item else None) or MIN_DF
        if not _has_telling_term(texts, len(frame), least, RANGES[terms]):
            what = {"words": "word", "pairs": "pair of words", "both": "word or pair of words"}[terms]
            problems.append(
                f'column "{name}" has no {what} that is in {least} rows or more and not in all: a '
                f"{TEXT_VECTORIZER} finds nothing to count; leave the column out, or lower min_df"
            )
        elif all(len(split_words(text)) <= 1 for text in texts):
            messages.append(
                f'column "{name}" has one word a row at most: a OneHotEncoder tells as much of it as a '
                f"{TEXT_VECTORIZER}, which looks for pairs too"
            )
    if problems:
        raise TrainingDataError("; ".join(problems))


def _has_telling_term(texts: Any, n_rows: int, least: int, ngram_range: tuple[int, int]) -> bool:
    words, pairs = ngram_range[0] == 1, ngram_range[1] == 2
    in_texts: Counter[str] = Counter()
    for n, text in enumerate(texts):
        in_texts.update(set(terms_of(text, words=words, pairs=pairs)))
        # what is in some and not in all of the first thousand rows is settled
        if n == 1000 and any(least <= count < n for count in in_texts.values()):
            return True
    return any(least <= count < n_rows for count in in_texts.values())


def _spread(present: pd.Series) -> list[str]:
    step = max(1, len(present) // LOOKED_AT)
    return list(islice(present.iloc[::step], LOOKED_AT))
