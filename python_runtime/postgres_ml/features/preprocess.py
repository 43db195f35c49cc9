"""How each column that a pipeline uses becomes numbers.

Input: the columns. Output: an unfitted ColumnTransformer for each family of estimators.
Columns are chosen by name, so that the function keeps every column of the query as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from postgres_ml.components.text_statistics import TextStatistics
from postgres_ml.components.transformers import PiecewiseLinear, QuantileNormal, RobustSmoothClip
from postgres_ml.features.configured import Entry, given_entries, unnamed
from postgres_ml.features.date_columns import n_numbers, numeric_entries
from postgres_ml.features.feature_columns import MAX_CATEGORIES, FeatureColumns
from postgres_ml.features.problem import Problem
from postgres_ml.features.text_columns import FEW_TERMS
from postgres_ml.program.characters import CLASSES

MAX_ONE_HOT = 512  # one-hot columns of all texts together, for linear estimators and networks
MEAN_FOLDS = 5
TABLES = "tables"  # the encoding of additive models
MIN_CATEGORY_ROWS = 5  # a category seen less often tells noise; it shares that column too


def tree_columns(columns: FeatureColumns, *, codes: bool = False) -> Any:
    """Return the transformer for tree ensembles: numbers as they are (NaN has a branch), text one-hot.

    The result is dense: in a sparse matrix xgboost would take every 0 of the encoding for a missing value.

    Parameters
    ----------
    codes : whether text becomes one column of codes instead, for estimators that know of categories: a
        seventh of the memory with fifty values. Without effect where the preprocessing is configured.
    """
    if columns.sets is not None:
        return given_columns(columns, fill=False)
    words = [_characters(columns.words, bent=False), *_word_entries(columns, None, for_linear=False)]
    if not codes:
        return _transformer([*_tree_entries(columns.numbers, columns.texts, columns.kinds), *words])
    numbers = numeric_entries("numbers", None, columns.numbers, columns.kinds)
    return _transformer([*numbers, ("texts", _codes(), columns.texts), *words])


def additive_columns(columns: FeatureColumns) -> Any:
    """Return the transformer for additive models: numbers as they are, text as codes.

    NULL is missing, and what was never seen is -1: both have a bin of their own. What is configured goes
    instead.
    """
    if columns.sets is not None:
        return given_columns(columns, fill=False)
    numbers = numeric_entries("numbers", None, columns.numbers, columns.kinds)
    return _transformer([*numbers, ("texts", _codes(unseen=-1), columns.texts)])


def category_places(columns: FeatureColumns) -> tuple[int, ...]:
    """Return the positions of the codes among the columns that `additive_columns` makes."""
    if columns.sets is not None:
        return ()
    first = n_numbers(columns.numbers, columns.kinds)
    return tuple(range(first, first + len(columns.texts)))


def linear_columns(columns: FeatureColumns, problem: Problem | None = None, *, sparse: bool = False) -> Any:
    """Return the transformer for linear estimators: numbers imputed with indicator, scaled; text one-hot.

    What a configured preprocessing leaves is imputed and scaled after it, words are neither.

    Parameters
    ----------
    sparse : whether the estimator takes words as a sparse matrix
    """
    if columns.sets is None:
        return _transformer(_linear_entries(columns.numbers, columns.texts, columns.kinds))
    rest, fill = columns.without_words(), SimpleImputer(strategy="mean", keep_empty_features=True)
    given = Pipeline(
        [("given", given_columns(rest, fill=True)), ("impute", fill), ("scale", StandardScaler())]
    )
    words = _word_entries(columns, problem, for_linear=sparse)
    if not words:
        return given
    return _transformer([("given", given, tuple(rest.kinds)), *words], sparse=sparse)


def given_columns(columns: FeatureColumns, *, fill: bool, sparse: bool = False) -> ColumnTransformer:
    """Return the configured preprocessing; columns that it doesn't name are encoded as without it.

    Parameters
    ----------
    fill : whether the estimator takes no missing values
    sparse : whether the estimator takes words as a sparse matrix
    """
    assert columns.sets is not None, "only where preprocessors are configured"
    words = _word_entries(columns, None, for_linear=sparse)
    if not columns.sets:
        return _transformer([("none", "passthrough", tuple(columns.kinds))])
    columns = columns.without_words()
    assert columns.sets is not None
    rest = unnamed(columns.sets, columns.kinds)
    numbers = tuple(name for name in rest if name in columns.numbers)
    texts = tuple(name for name in rest if name in columns.texts)
    entries = (_linear_entries if fill else _tree_entries)(numbers, texts, columns.kinds)
    return _transformer([*given_entries(columns.sets, columns.kinds), *entries, *words], sparse=sparse)


def _word_entries(columns: FeatureColumns, problem: Problem | None, *, for_linear: bool) -> list[Entry]:
    return [
        (f"words{n}", group.vectorizer(problem, for_linear=for_linear), group.names)
        for n, group in enumerate(columns.word_columns)
    ]


def _characters(texts: Sequence[str], *, bent: bool) -> Entry:
    """Return what counts the characters of free texts.

    Parameters
    ----------
    bent : whether outliers are, for linear estimators and networks: the root of a count spreads evenly
    """
    counts = TextStatistics()
    if not bent:
        return ("characters", counts, texts)
    steps = [("count", counts), ("root", FunctionTransformer(np.sqrt)), ("bend", RobustSmoothClip())]
    return ("characters", Pipeline(steps), texts)


def _tree_entries(numbers: Sequence[str], texts: Sequence[str], kinds: Mapping[str, str]) -> list[Entry]:
    return [*numeric_entries("numbers", None, numbers, kinds), ("texts", _one_hot(), texts)]


def _linear_entries(numbers: Sequence[str], texts: Sequence[str], kinds: Mapping[str, str]) -> list[Entry]:
    return [*numeric_entries("numbers", _scaled, numbers, kinds), ("texts", _one_hot(), texts)]


def encoded_columns(
    encoding: str,
    columns: FeatureColumns,
    problem: Problem,
    *,
    means: bool = True,
    words: bool = True,
) -> Any:
    """Return one of the transformers that auto chooses from; what is configured goes before it.

    Parameters
    ----------
    encoding : 'codes' for trees: numbers as they are, text as codes that xgboost splits into sets; or, with
        text one-hot, numbers imputed and 'scaled', 'smooth' (outliers bent, for networks), 'quantile' (normal
        scores) or 'ladder' (piecewise linear); 'tables' for additive models, as `additive_columns` has it
    means : whether crowded texts also become the target's mean by category, in front
    words : whether words are counted, behind all others; they are sparse in 'scaled'. Characters are in any
        case, in front of them.
    """
    if encoding == TABLES:
        return additive_columns(columns)
    sparse, texts = encoding == "scaled", columns.words
    columns = columns if words else columns.without_words()
    if columns.sets is not None:
        if encoding == "codes":
            return tree_columns(columns)
        return linear_columns(columns, problem, sparse=sparse)
    crowded = ("means", category_means(encoding, problem), columns.crowded if means else ())
    if encoding == "codes":
        steps = numeric_entries("numbers", None, columns.numbers, columns.kinds)
        steps.append(("texts", _codes(), columns.texts))
    else:
        numbers = {"scaled": _scaled, "smooth": _smooth, "quantile": _quantile, "ladder": _ladder}[encoding]
        one_hot = _one_hot(min(MAX_CATEGORIES, max(2, MAX_ONE_HOT // max(len(columns.texts), 1))))
        steps = numeric_entries("numbers", numbers, columns.numbers, columns.kinds)
        steps.append(("texts", one_hot, columns.texts))
        if encoding == "ladder":  # its imputed values can't be told from small ones
            steps[1:1] = numeric_entries(
                "missing", _missing, columns.numbers, columns.kinds, parts=("epoch",)
            )
    steps.append(_characters(texts, bent=encoding != "codes"))
    steps += _word_entries(columns, problem, for_linear=sparse)
    return _transformer([crowded, *steps], sparse=sparse and bool(columns.words))


def has_means(encoding: str, columns: FeatureColumns) -> bool:
    """Return whether the encoding has the target's mean by category of crowded texts.

    Tables have none: a scorecard's bins are categories, and not means of what is predicted.
    """
    return bool(columns.crowded) and encoding != TABLES


def category_means(encoding: str, problem: Problem) -> Any:
    """Return the encoder of crowded texts: the target's mean by category, cross-fitted.

    Each training row's mean comes from other rows, so that no row is told its own label.
    """
    kind = {"regression": "continuous", "binary_classification": "binary"}.get(problem.type, "multiclass")
    if "cv_object" in TargetEncoder._parameter_constraints["cv"]:  # scikit-learn 1.9 and newer
        folds = KFold if problem.is_regression else StratifiedKFold
        encoder = TargetEncoder(target_type=kind, cv=folds(MEAN_FOLDS, shuffle=True, random_state=0))
    else:
        encoder = TargetEncoder(target_type=kind, cv=MEAN_FOLDS, random_state=0)
    return encoder if encoding == "codes" else Pipeline([("means", encoder), ("scale", StandardScaler())])


def feature_types(columns: FeatureColumns, problem: Problem, *, means: bool = True) -> list[str] | None:
    """Return xgboost's types of the columns of the encoding 'codes': 'q' a number, 'c' a category's code.

    None, for numbers only, where the preprocessing is configured.

    Parameters
    ----------
    means : whether means of the target by category are in front, as `encoded_columns` has it
    """
    if columns.sets is not None:
        return None
    n_means = 0 if not means else len(problem.classes) if problem.type == "multiclass_classification" else 1
    n_means *= len(columns.crowded)
    numbers = ["q"] * (n_means + n_numbers(columns.numbers, columns.kinds))
    of_words = len(CLASSES) + FEW_TERMS
    return [*numbers, *["c"] * len(columns.texts), *["q"] * (of_words * len(columns.words))]


def _missing() -> MissingIndicator:
    return MissingIndicator(error_on_new=False)


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)


def _scaled() -> Pipeline:
    return Pipeline([("impute", _imputer()), ("scale", StandardScaler())])


def _smooth() -> Pipeline:
    return Pipeline([("smooth", RobustSmoothClip()), ("impute", _imputer())])


def _quantile() -> Pipeline:
    return Pipeline([("quantile", QuantileNormal()), ("impute", _imputer())])


def _ladder() -> PiecewiseLinear:
    return PiecewiseLinear()


def _codes(unseen: float = np.nan) -> OrdinalEncoder:
    """NULL is missing, and so is what was never seen, unless told; what was seen seldom shares one code."""
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=unseen,
        min_frequency=MIN_CATEGORY_ROWS,
        max_categories=MAX_CATEGORIES,
        dtype=np.float32,  # exact for codes; a wider column would make all columns beside it as wide
    )


def _one_hot(max_categories: int = MAX_CATEGORIES) -> OneHotEncoder:
    """NULL is a category where it was seen; what was seen seldom or never shares one, if there is one."""
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=MIN_CATEGORY_ROWS,
        max_categories=max_categories,
        sparse_output=False,
    )


def _transformer(steps: Sequence[Entry], *, sparse: bool = False) -> ColumnTransformer:
    return ColumnTransformer(
        [(name, step, list(columns)) for name, step, columns in steps if columns],
        remainder="drop",
        sparse_threshold=1 if sparse else 0,
    )
