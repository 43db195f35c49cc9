"""Free text to numbers: the most telling words and pairs of words, weighted.

A fitted pipeline contains the transformer, so it is pickled and parsed. What a word is stands in
`program.words`, which SQL and C have as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from postgres_ml.program.raw_values import is_null
from postgres_ml.program.words import count_terms, terms_of

Floats = npt.NDArray[np.float64]

MAX_CLASSES = 50  # whole numbers with more values than these are taken for quantities
PRUNED_AT = 3_000_000  # terms in memory; beyond, those that were seen once are forgotten and counted anew


@dataclass(frozen=True)
class TextCounts:
    """How often each of many terms is in each of some texts.

    Parameters
    ----------
    terms : in the order of their code points
    counts : of shape (n_texts, n_terms), CSR
    """

    terms: tuple[str, ...]
    counts: Any

    @classmethod
    def of(cls, texts: Sequence[Any], min_df: int, words: bool, pairs: bool) -> TextCounts:
        """Return the counts of all terms that are in enough of the texts.

        Parameters
        ----------
        texts : str, or None and NaN for NULL
        min_df : texts that a term has to be in
        words, pairs : which terms are counted
        """
        in_texts: Counter[str] = Counter()
        for text in texts:
            if not is_null(text):
                in_texts.update(set(terms_of(text, words=words, pairs=pairs)))
                if len(in_texts) > PRUNED_AT:
                    in_texts = Counter({term: n for term, n in in_texts.items() if n > 1})
        terms = tuple(sorted(term for term, n in in_texts.items() if n >= min_df))
        return cls(terms, count_matrix(texts, terms))

    def take(self, rows: Any) -> TextCounts:
        """Return the counts of these texts."""
        return TextCounts(self.terms, self.counts[rows])


def count_matrix(texts: Iterable[Any], terms: Sequence[str]) -> Any:
    """Return how often each term is in each text, of shape (n_texts, n_terms), CSR with sorted indices."""
    numbers = {term: number for number, term in enumerate(terms)}
    ends, places, counts = [0], list[int](), list[int]()
    for text in texts:
        if not is_null(text):
            found = sorted(count_terms(text, numbers).items())
            places += [number for number, _ in found]
            counts += [count for _, count in found]
        ends.append(len(places))
    data = np.array(counts, dtype=np.float64)
    return sparse.csr_matrix(
        (data, np.array(places, np.int32), np.array(ends, np.int32)), shape=(len(ends) - 1, len(terms))
    )


class TextVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The most telling words and pairs of neighbouring words of text columns, as tf-idf.

    Of all terms that are in at least `min_df` rows those are kept whose presence tells most of the target:
    by the chi-squared statistic of the table of presence and class, or by the squared correlation with a
    quantity; without a target, the most frequent ones. A term's column is its count times
    ln((1 + n) / (1 + df)) + 1, n rows and df of them with the term, over the Euclidean norm of the row: what
    scikit-learn's TfidfVectorizer computes with these terms. A missing text has zeros in all columns.

    Parameters
    ----------
    max_features : int
        Terms to keep of each column.
    ngram_range : (int, int)
        (1, 1) for words, (2, 2) for pairs, (1, 2) for both.
    min_df : int
        Rows that a term has to be in.
    norm : 'l2' or None
    target : 'auto', 'classes' or 'number'
        What y is; 'auto' takes numbers with fractions, and whole numbers of more than 50 values, for
        quantities.
    sparse_output : bool
        Return a CSR matrix.
    fixed_width : bool
        Return `max_features` columns for each text column however many terms there are; the rest is 0. So the
        number of columns is known before the fit.

    Attributes
    ----------
    terms_ : list of list of str
        Of each column, in the order of their code points.
    weights_ : list of ndarray
        Inverse document frequencies of these terms.
    scores_ : list of ndarray
        What each term tells of the target: the statistic by which it was chosen.
    """

    def __init__(
        self,
        max_features: int = 500,
        ngram_range: tuple[int, int] = (1, 2),
        min_df: int = 5,
        norm: Literal["l2"] | None = "l2",
        target: str = "auto",
        sparse_output: bool = True,
        fixed_width: bool = False,
    ) -> None:
        self.max_features = max_features
        self.ngram_range = ngram_range
        self.min_df = min_df
        self.norm = norm
        self.target = target
        self.sparse_output = sparse_output
        self.fixed_width = fixed_width

    def fit(self, X: Any, y: Any = None) -> TextVectorizer:
        """Choose the terms of each column.

        Raises
        ------
        ValueError
            A parameter out of its range.
        """
        words, pairs = self._checked()
        validate_data(self, X, skip_check_array=True)
        columns = [TextCounts.of(column, self.min_df, words, pairs) for column in _columns(X)]
        return self.fit_counts(columns, y)

    def fit_counts(self, columns: Sequence[TextCounts], y: Any = None) -> TextVectorizer:
        """Choose the terms of each column, of texts whose terms were counted before.

        Parameters
        ----------
        columns : of each text column, with at least the terms that are in `min_df` of the rows
        """
        self._checked()
        self.n_features_in_ = len(columns)
        self.terms_: list[list[str]] = []
        self.weights_: list[Floats] = []
        self.scores_: list[Floats] = []
        target = None if y is None else _target(y, self.target)
        for column in columns:
            presence = column.counts.copy()
            presence.data = np.ones_like(presence.data)
            n_rows, df = presence.shape[0], np.asarray(presence.sum(axis=0)).ravel()
            scores = df / max(n_rows, 1) if target is None else _tells(presence, df, target)
            scores = np.where(df >= self.min_df, scores, -1.0)
            order = np.lexsort((np.arange(len(df)), -df, -np.round(scores, 9)))  # ties do not hang on the sum
            kept = np.sort(order[: self.max_features])
            kept = kept[df[kept] >= self.min_df]
            self.terms_.append([column.terms[number] for number in kept])
            self.weights_.append(np.log((1 + n_rows) / (1 + df[kept])) + 1)
            self.scores_.append(scores[kept])
        return self

    def transform(self, X: Any) -> Any:
        """Return the weighted terms of the first column, then of the second; shape (n_rows, n_outputs)."""
        check_is_fitted(self)
        if hasattr(self, "feature_names_in_") or not isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=False, skip_check_array=True)
        columns = zip(_columns(X), self.terms_, strict=True)
        return self._weighted([count_matrix(texts, terms) for texts, terms in columns])

    def transform_counts(self, columns: Sequence[TextCounts]) -> Any:
        """Return the same for texts whose terms were counted before."""
        chosen = []
        for column, terms in zip(columns, self.terms_, strict=True):
            numbers = {term: number for number, term in enumerate(column.terms)}
            chosen.append(column.counts[:, [numbers[term] for term in terms]])
        return self._weighted(chosen)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return '<column>: <term>' for each output."""
        check_is_fitted(self)
        known = getattr(self, "feature_names_in_", None)
        given = known if input_features is None else input_features
        names = [f"x{n}" for n in range(self.n_features_in_)] if given is None else given
        found = []
        for name, terms in zip(names, self.terms_, strict=True):
            found += [f"{name}: {term}" for term in terms]
            found += [f"{name}: nothing {n}" for n in range(self._padding(terms))]
        return np.array(found, dtype=object)

    def _weighted(self, columns: Sequence[Any]) -> Any:
        blocks = []
        for counts, weights, terms in zip(columns, self.weights_, self.terms_, strict=True):
            block = counts.tocsr(copy=True)
            block.sort_indices()
            block.data = block.data * weights[block.indices]
            if self.norm == "l2":
                _divide_by_norms(block)
            blocks += [block, sparse.csr_matrix((block.shape[0], self._padding(terms)))]
        joined = sparse.hstack(blocks, format="csr")
        return joined if self.sparse_output else joined.toarray()

    def _padding(self, terms: Sequence[str]) -> int:
        return self.max_features - len(terms) if self.fixed_width else 0

    def _checked(self) -> tuple[bool, bool]:
        """Return whether words and pairs are counted, once the parameters are in their ranges."""
        ranges = {(1, 1): (True, False), (2, 2): (False, True), (1, 2): (True, True)}
        found = ranges.get(tuple(self.ngram_range))  # type: ignore[arg-type]
        if found is None:
            raise ValueError(f"ngram_range={self.ngram_range!r}; use (1, 1), (1, 2) or (2, 2)")
        if self.max_features < 1 or self.min_df < 1:
            raise ValueError("max_features and min_df must be 1 or more")
        if self.norm not in ("l2", None) or self.target not in ("auto", "classes", "number"):
            raise ValueError(f"norm={self.norm!r}, target={self.target!r}; use 'l2' or None, and 'auto'")
        return found

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "terms_")


def _columns(X: Any) -> list[Any]:
    values = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X, dtype=object)
    return list(values.reshape(len(values), -1).T)


def _target(y: Any, kind: str) -> Floats:
    """Return a quantity of shape (n_rows, 1), or for classes 1 in the column of each row's class."""
    if kind == "auto":
        values = np.asarray(y)
        is_number = values.dtype.kind in "fiu" and (
            type_of_target(values) == "continuous" or len(np.unique(values)) > MAX_CLASSES
        )
    else:
        is_number = kind == "number"
    if is_number:
        return np.asarray(y, dtype=np.float64)[:, None]
    codes, classes = pd.factorize(np.asarray(y, dtype=object))
    indicators: Floats = np.eye(len(classes))[codes]
    return indicators


def _tells(presence: Any, df: Floats, target: Floats) -> Floats:
    """Return the chi-squared statistic of each term's presence and the classes, over n: at most 1 for two.

    Of a quantity it is the squared correlation, which of two classes is the same. A term that is everywhere
    tells nothing.
    """
    n_rows = len(target)
    mean = target.mean(axis=0)
    spread = np.square(target - mean).sum(axis=0) / n_rows if target.shape[1] == 1 else mean
    together = np.asarray(presence.T @ target) - np.outer(df, mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (np.square(together) / spread).sum(axis=1) / (df * (1 - df / n_rows)) / n_rows
    told: Floats = np.where((df > 0) & (df < n_rows) & np.isfinite(found), found, 0.0)
    return told


def _divide_by_norms(matrix: Any) -> None:
    """Divide each row by the root of the sum of its squares, added in the order of the columns."""
    squares = np.square(matrix.data)
    for begin, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        if end > begin:
            matrix.data[begin:end] /= np.sqrt(np.add.accumulate(squares[begin:end])[-1])
