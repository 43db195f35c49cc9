"""The most telling terms of free texts, as the card shows them.

Input: `Fitted`. Output: a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from postgres_ml.components.text import TextVectorizer, count_matrix
from postgres_ml.publish.fitted import Fitted
from postgres_ml.track.card.readings import number

MAX_TERMS = 12  # of each column
MAX_ROWS = 5_000  # in which they are counted


def telling_terms(fitted: Fitted) -> list[tuple[str, ...]]:
    """Return each text column's most telling terms; empty where the pipeline counts no words.

    How telling a term is, is the vectorizer's own statistic. What it goes with is counted in the rows: the
    label that is most over-represented, or the mean of the target.
    """
    found: dict[str, tuple[list[str], Any]] = {}
    for vectorizer in vectorizers(fitted.pipeline):
        names = getattr(vectorizer, "feature_names_in_", None)
        known = [name for group in fitted.task.columns.word_columns for name in group.names]
        for name, terms, scores in zip(
            known if names is None else names, vectorizer.terms_, vectorizer.scores_, strict=False
        ):
            if name in fitted.rows.frame and len(terms) > len(found.get(name, ([], 0))[0]):
                found[str(name)] = terms, scores
    if not found:
        return []
    lines: list[tuple[str, ...]] = [("column", "term", "rows with it", _heading(fitted))]
    for name, (terms, scores) in found.items():
        best = [terms[place] for place in np.argsort(-scores, kind="stable")[:MAX_TERMS]]
        lines += _lines(fitted, name, best)
    return lines


def vectorizers(step: Any) -> Iterator[TextVectorizer]:
    """Return the vectorizers of a fitted pipeline, those of a blend's members among them."""
    if isinstance(step, TextVectorizer):
        yield step
    parts: list[Any] = []
    if isinstance(step, Pipeline):
        parts = [part for _, part in step.steps]
    elif isinstance(step, ColumnTransformer):
        parts = [part for _, part, _ in step.transformers_]
    elif isinstance(step, FeatureUnion):
        parts = [part for _, part in step.transformer_list]
    else:
        inner = [getattr(step, name, None) for name in ("estimator_", "estimator")]
        members = getattr(step, "estimators_", None)
        parts = [part for part in inner if part is not None and not isinstance(part, str)][:1]
        parts += members if isinstance(members, list) else []
    for part in parts:
        yield from vectorizers(part)


def _heading(fitted: Fitted) -> str:
    if fitted.task.problem.is_classification:
        return "label it goes with"
    return "mean of the target with it" if fitted.job.target is not None else "rows of the sample"


def _lines(fitted: Fitted, name: str, terms: list[str]) -> list[tuple[str, ...]]:
    rows = fitted.rows
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_ROWS)).astype(np.int64))
    there = count_matrix(rows.frame[name].iloc[places], terms).toarray() > 0
    return [
        (name, term, f"{there[:, n].mean():.1%}", _goes_with(fitted, rows.target[places], there[:, n]))
        for n, term in enumerate(terms)
    ]


def _goes_with(fitted: Fitted, target: Any, there: Any) -> str:
    problem = fitted.task.problem
    if not there.any() or not (problem.is_classification or problem.is_regression):
        return f"{int(there.sum()):,}"
    if problem.is_regression:
        values = target.astype(np.float64)
        return f"{number(values[there].mean())}, of all {number(values.mean())}"
    codes = problem.encode(target)
    shares = np.bincount(codes[there], minlength=len(problem.classes)) / there.sum()
    usual = np.bincount(codes, minlength=len(problem.classes)) / len(codes)
    label = int(np.argmax(shares - usual))
    return f"{problem.labels[label]}: {shares[label]:.0%} of them, {usual[label]:.0%} of all"
