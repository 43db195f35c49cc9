"""Which columns a pipeline uses, and how each becomes numbers.

Input: the features and the rows. Output: an unfitted ColumnTransformer for each family of estimators.
Columns are chosen by name, so that the function keeps every column of the query as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from postgres_ml.components.transformers import PiecewiseLinear, QuantileNormal, RobustSmoothClip
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.configured import Entry, given_entries, unnamed
from postgres_ml.features.date_columns import n_numbers, numeric_entries
from postgres_ml.features.exact_numbers import check_encoded
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.query import INTEGER_TYPES
from postgres_ml.snapshot.rows import TrainingRows

FLOAT32_MAX = float(np.finfo(np.float32).max)  # xgboost computes in single precision and refuses more
MAX_CATEGORIES = 64  # the states of the USA are 51; the rest of a longer list shares one column
MAX_ONE_HOT = 512  # one-hot columns of all texts together, for linear estimators and networks
MEAN_FOLDS = 5
MIN_CATEGORY_ROWS = 5  # a category seen less often tells noise; it shares that column too
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
    """

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    sets: tuple[ColumnSet, ...] | None = None
    kinds: Mapping[str, str] = field(default_factory=dict, compare=False)
    crowded: tuple[str, ...] = ()


def choose_columns(
    features: Sequence[Column],
    rows: TrainingRows,
    messages: list[str],
    sets: tuple[ColumnSet, ...] | None = None,
) -> FeatureColumns:
    """Return the columns worth using; append what was left out, and why, to `messages`.

    Parameters
    ----------
    sets : the configured preprocessing: the columns it names are used even if they look like identifiers

    Raises
    ------
    TrainingDataError
        Infinite values, which no estimator here accepts; categories that doubles would mix up; or no column
        is left.
    """
    useless: list[str] = []
    numbers: list[str] = []
    texts: list[str] = []
    named = {name for item in sets or () for name in item.columns}
    _check_finite(features, rows.frame)
    check_encoded(features, rows.frame, sets or ())
    for column in features:
        reason = _useless(column, rows.frame[column.name], is_named=column.name in named)
        if reason:
            useless.append(f'"{column.name}" ({reason})')
        else:
            (texts if column.kind == "text" else numbers).append(column.name)
        if not reason and looks_like_id(column, rows.frame[column.name]):
            messages.append(
                f'column "{column.name}" has a different whole number in every row; if it is an identifier, '
                "leave it out of the query"
            )
    if not numbers and not texts:
        raise TrainingDataError(f"no column can be used to predict the target: {', '.join(useless)}")
    if useless:
        messages.append(f"columns that the model does not use: {', '.join(useless)}")
    kinds = {column.name: column.kind for column in features if column.name in {*numbers, *texts}}
    crowded = [name for name in texts if sets is None and rows.frame[name].nunique() > MAX_CATEGORIES]
    return FeatureColumns(tuple(numbers), tuple(texts), sets, kinds, tuple(crowded))


def _check_finite(features: Sequence[Column], frame: pd.DataFrame) -> None:
    problems = []
    for column in features:
        if column.kind != "number":
            continue
        wrong = int(np.count_nonzero(np.abs(frame[column.name].to_numpy()) > FLOAT32_MAX))
        if wrong:
            problems.append(
                f'column "{column.name}" is infinite or beyond ±{FLOAT32_MAX:.1e} in {wrong:,} rows'
            )
    if problems:
        raise TrainingDataError(
            "; ".join(problems) + ": make these values NULL (nullif) or limit them (least, greatest)"
        )


def _useless(column: Column, values: pd.Series, *, is_named: bool) -> str | None:
    present = values.dropna()
    if present.empty:
        return "NULL in every row"
    if is_named:
        return None
    first = present.iloc[0]
    if len(present) == len(values) and bool((present == first).all()):
        return f"{first!s} in every row"
    n_distinct = present.nunique() if column.kind == "text" else 0
    if column.kind == "text" and len(present) >= ID_ROWS and n_distinct >= ID_SHARE * len(present):
        return f"{n_distinct:,} different texts in {len(present):,} rows"
    return None


def looks_like_id(column: Column, values: pd.Series) -> bool:
    """Return whether a column has a different whole number in every row."""
    if column.sql_type not in INTEGER_TYPES or len(values) < ID_ROWS:
        return False
    return bool(values.notna().all() and values.is_unique)


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
    if not codes:
        return _transformer(_tree_entries(columns.numbers, columns.texts, columns.kinds))
    numbers = numeric_entries("numbers", None, columns.numbers, columns.kinds)
    return _transformer([*numbers, ("texts", _codes(), columns.texts)])


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


def linear_columns(columns: FeatureColumns) -> Any:
    """Return the transformer for linear estimators: numbers imputed with indicator, scaled; text one-hot.

    What a configured preprocessing leaves is imputed and scaled after it.
    """
    if columns.sets is not None:
        fill = SimpleImputer(strategy="mean", keep_empty_features=True)
        return Pipeline(
            [("given", given_columns(columns, fill=True)), ("impute", fill), ("scale", StandardScaler())]
        )
    return _transformer(_linear_entries(columns.numbers, columns.texts, columns.kinds))


def given_columns(columns: FeatureColumns, *, fill: bool) -> ColumnTransformer:
    """Return the configured preprocessing; columns that it doesn't name are encoded as without it.

    Parameters
    ----------
    fill : whether the estimator takes no missing values
    """
    assert columns.sets is not None, "only where preprocessors are configured"
    if not columns.sets:
        return _transformer([("none", "passthrough", tuple(columns.kinds))])
    rest = unnamed(columns.sets, columns.kinds)
    numbers = tuple(name for name in rest if name in columns.numbers)
    texts = tuple(name for name in rest if name in columns.texts)
    entries = (_linear_entries if fill else _tree_entries)(numbers, texts, columns.kinds)
    return _transformer([*given_entries(columns.sets, columns.kinds), *entries])


def _tree_entries(numbers: Sequence[str], texts: Sequence[str], kinds: Mapping[str, str]) -> list[Entry]:
    return [*numeric_entries("numbers", None, numbers, kinds), ("texts", _one_hot(), texts)]


def _linear_entries(numbers: Sequence[str], texts: Sequence[str], kinds: Mapping[str, str]) -> list[Entry]:
    return [*numeric_entries("numbers", _scaled, numbers, kinds), ("texts", _one_hot(), texts)]


def encoded_columns(encoding: str, columns: FeatureColumns, problem: Problem, *, means: bool = True) -> Any:
    """Return one of the transformers that auto chooses from; what is configured goes before it.

    Parameters
    ----------
    encoding : 'codes' for trees: numbers as they are, text as codes that xgboost splits into sets; or, with
        text one-hot, numbers imputed and 'scaled', 'smooth' (outliers bent, for networks), 'quantile' (normal
        scores) or 'ladder' (piecewise linear)
    means : whether crowded texts also become the target's mean by category, in front
    """
    if columns.sets is not None:
        return tree_columns(columns) if encoding == "codes" else linear_columns(columns)
    crowded = ("means", category_means(encoding, problem), columns.crowded if means else ())
    if encoding == "codes":
        steps = numeric_entries("numbers", None, columns.numbers, columns.kinds)
        steps.append(("texts", _codes(), columns.texts))
    else:
        numbers = {"scaled": _scaled, "smooth": _smooth, "quantile": _quantile, "ladder": _ladder}[encoding]
        texts = _one_hot(min(MAX_CATEGORIES, max(2, MAX_ONE_HOT // max(len(columns.texts), 1))))
        steps = numeric_entries("numbers", numbers, columns.numbers, columns.kinds)
        steps.append(("texts", texts, columns.texts))
        if encoding == "ladder":  # its imputed values can't be told from small ones
            steps[1:1] = numeric_entries(
                "missing", _missing, columns.numbers, columns.kinds, parts=("epoch",)
            )
    return _transformer([crowded, *steps])


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
    return ["q"] * (n_means + n_numbers(columns.numbers, columns.kinds)) + ["c"] * len(columns.texts)


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


def _transformer(steps: Sequence[Entry]) -> ColumnTransformer:
    return ColumnTransformer(
        [(name, step, list(columns)) for name, step, columns in steps if columns],
        remainder="drop",
        sparse_threshold=0,
    )
