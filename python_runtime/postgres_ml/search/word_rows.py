"""The words of the training rows' texts: counted once, chosen for each split anew.

Which terms tell most of the target, and how frequent they are, is learned from a split's own rows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from postgres_ml.components.text import TextCounts, TextVectorizer
from postgres_ml.fit.task import Task
from postgres_ml.search.folds import Split
from postgres_ml.snapshot.rows import Array, TrainingRows


class WordRows:
    """The texts of the training rows.

    Parameters
    ----------
    codes : class codes or true values, of shape (n_rows,)
    """

    def __init__(self, task: Task, rows: TrainingRows, codes: Array) -> None:
        self.task, self.rows, self.codes = task, rows, codes
        self.groups = task.columns.word_columns
        self._lock = threading.Lock()
        self._fitted: dict[tuple[bool, str, int], list[TextVectorizer]] = {}

    @cached_property
    def _counts(self) -> list[list[TextCounts]]:
        """The terms of each group's columns that are in enough of all rows."""
        counts = []
        for group in self.groups:
            vectorizer = group.vectorizer(self.task.problem, for_linear=True)
            words, pairs = vectorizer.ngram_range[0] == 1, vectorizer.ngram_range[1] == 2
            columns = (self.rows.frame[name].tolist() for name in group.names)
            counts.append([TextCounts.of(texts, vectorizer.min_df, words, pairs) for texts in columns])
        return counts

    def _vectorizers(self, for_linear: bool, split: Split) -> list[TextVectorizer]:
        """Return each group's vectorizer, fitted on the rows that the split learns from."""
        key = for_linear, split.name, len(split.train)
        with self._lock:
            if key not in self._fitted:
                self._fitted[key] = [
                    group.vectorizer(self.task.problem, for_linear=for_linear).fit_counts(
                        [column.take(split.train) for column in columns], self.codes[split.train]
                    )
                    for group, columns in zip(self.groups, self._counts, strict=True)
                ]
            return self._fitted[key]

    def matrices(self, for_linear: bool, split: Split) -> tuple[Any, Any]:
        """Return the words of the rows to learn from and of those to predict, float32; sparse for linear."""
        vectorizers = self._vectorizers(for_linear, split)

        def words(rows: Array) -> Any:
            blocks = [
                vectorizer.transform_counts([column.take(rows) for column in columns])
                for vectorizer, columns in zip(vectorizers, self._counts, strict=True)
            ]
            stacked = sparse.hstack(blocks, format="csr") if for_linear else np.hstack(blocks)
            return stacked.astype(np.float32)

        return words(split.train), words(split.valid)

    def fitted(self, for_linear: bool, split: Split, columns: Sequence[str]) -> Any:
        """Return the same as a fitted transformer of frames with these columns."""
        parts = []
        vectorizers = self._vectorizers(for_linear, split)
        for number, (group, vectorizer) in enumerate(zip(self.groups, vectorizers, strict=True)):
            select = ColumnTransformer([("texts", "passthrough", list(group.names))])
            select.fit(self.rows.frame[list(columns)].head())
            parts.append((f"words{number}", Pipeline([("select", select), ("count", vectorizer)])))
        return parts[0][1] if len(parts) == 1 else FeatureUnion(parts)


def joined(matrix: Array, words: Any) -> Any:
    """Return the words behind the other columns; sparse if they are."""
    if sparse.issparse(words):
        return sparse.hstack([sparse.csr_matrix(matrix), words], format="csr")
    return np.hstack([matrix, words])
