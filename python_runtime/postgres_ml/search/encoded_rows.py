"""The training rows as matrices, made once for all trials that read them.

Encoders that don't look at the target are fitted once on all training rows: they tell nothing about a fold's
labels. Means of the target by category are fitted for each fold anew, and so are the words that tell most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from sklearn.pipeline import Pipeline

from postgres_ml.features.preprocess import TABLES, category_means, encoded_columns, has_means
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Task
from postgres_ml.search.folds import Folds, Split
from postgres_ml.search.word_rows import WordRows, joined
from postgres_ml.snapshot.rows import Array, TrainingRows

T = TypeVar("T")


class EncodedRows:
    """Matrices by encoding, and their splits.

    Attributes
    ----------
    codes : class codes or true values, of shape (n_rows,)
    strata : class codes, or zeros for a regression
    weight : how much each row counts; None counts all alike
    scores : by a stacked candidate's name, the columns that it reads besides: of shape (n_rows, n_scores)
    """

    def __init__(self, task: Task, rows: TrainingRows) -> None:
        self.task, self.rows = task, rows
        self.codes = task.problem.encode(rows.target)
        self.folds = Folds.of(rows, self.codes, stratified=not task.problem.is_regression)
        self.strata = np.zeros(len(rows), np.int64) if task.problem.is_regression else self.codes
        # of mean 1, as for the fits on all rows
        self.weight = None if rows.weight is None else rows.weight / rows.weight.mean()
        self.scores: dict[str, Array] = {}
        self._lock = threading.Lock()
        self._made: dict[Any, Any] = {}
        self._encoders: dict[str, Any] = {}
        self._words = WordRows(task, rows, self.codes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process without what has been made of the rows: it is made there anew."""
        return _restored, (self.task, self.rows, self.folds, self.scores)

    def matrix(self, encoding: str) -> Array:
        """Return all training rows as the encoding has them, of shape (n_rows, n_columns).

        In single precision, but for tables: the edges of their bins are the function's, in double precision.
        """
        dtype = np.float64 if encoding == TABLES else np.float32

        def encode() -> Array:
            encoder = encoded_columns(
                encoding, self.task.columns, self.task.problem, means=False, words=False
            )
            if not _reads_any(encoder):
                return np.empty((len(self.codes), 0), dtype)
            matrix = np.ascontiguousarray(encoder.fit_transform(self.rows.frame), dtype)
            self._encoders[encoding] = encoder
            return matrix

        return self._once(encoding, encode)

    def weight_of(self, places: Array) -> Array | None:
        """Return the weights of these rows; None where all rows count alike."""
        return None if self.weight is None else self.weight[places]

    def columns(self, encoding: str) -> Any:
        """Return the fitted transformer of an encoding that was used, without the words of texts.

        None if it lacks the means of texts, or if nothing is read but words.
        """
        return None if has_means(encoding, self.task.columns) else self._encoders.get(encoding)

    def words(self, encoding: str, split: Split) -> Any:
        """Return the fitted transformer of the words in an encoding, as the split has them; None without."""
        groups = self.task.columns.word_columns
        return self._words.fitted(encoding == "scaled", split, self.rows.frame.columns) if groups else None

    def only(self, folds: Folds) -> EncodedRows:
        """Return the rows of these folds alone, encoded by themselves."""
        used = np.unique(
            np.concatenate([folds.look.train, *(s.train for s in folds.splits), folds.predicted])
        )
        mask = np.zeros(len(self.codes), bool)
        mask[used] = True
        some = EncodedRows(self.task, self.rows.take(mask))
        some.folds = folds.renumbered(used)
        return some

    def pair_of(self, candidate: Candidate, split: Split) -> tuple[Array, Array]:
        """Return the rows to learn from and the rows to predict, as the candidate reads them."""
        train, valid = self.pair(candidate.encoding, split)
        if not candidate.below:
            return train, valid
        scores = self.scores[candidate.name].astype(np.float32)
        return np.hstack([train, scores[split.train]]), np.hstack([valid, scores[split.valid]])

    def pair(self, encoding: str, split: Split) -> tuple[Array, Array]:
        """Return the rows to learn from and the rows to predict."""
        matrix = self.matrix(encoding)
        parts: tuple[Any, Any] = matrix[split.train], matrix[split.valid]
        if has_means(encoding, self.task.columns):
            means = self._once(
                ("means", encoding == "codes", split.name, len(split.train)),
                lambda: self._means(encoding, split),
            )
            parts = np.hstack([means[0], parts[0]]), np.hstack([means[1], parts[1]])
        if not self.task.columns.word_columns:
            return parts
        words = self._once(
            ("words", encoding == "scaled", split.name, len(split.train)),
            lambda: self._words.matrices(encoding == "scaled", split),
        )
        return joined(parts[0], words[0]), joined(parts[1], words[1])

    def _means(self, encoding: str, split: Split) -> tuple[Array, Array]:
        encoder = category_means(encoding, self.task.problem)
        frame = self.rows.frame[list(self.task.columns.crowded)]
        train = encoder.fit_transform(frame.iloc[split.train], self.rows.target[split.train])
        return train.astype(np.float32), encoder.transform(frame.iloc[split.valid]).astype(np.float32)

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        with self._lock:  # others wait: they need it too
            if key not in self._made:
                self._made[key] = make()
            made: T = self._made[key]
            return made


def _restored(task: Task, rows: TrainingRows, folds: Folds, scores: dict[str, Array]) -> EncodedRows:
    encoded = EncodedRows(task, rows)
    encoded.folds, encoded.scores = folds, scores
    return encoded


def _reads_any(encoder: Any) -> bool:
    """Return whether an unfitted transformer reads any column."""
    first = encoder[0] if isinstance(encoder, Pipeline) else encoder
    return bool(first.transformers)
