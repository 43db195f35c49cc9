"""Fourth step: which columns a pipeline uses, and how each becomes numbers.

Input: the features and the rows. Output: an unfitted ColumnTransformer for each family of estimators.
Columns are chosen by name, so that the function keeps every column of the query as an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from postgres_ml.exceptions import TrainingDataError
from postgres_ml.snapshot_sql import INTEGER_TYPES
from postgres_ml.spec import Column
from postgres_ml.training_data import TrainingRows

FLOAT32_MAX = float(np.finfo(np.float32).max)  # xgboost computes in single precision and refuses more
MAX_CATEGORIES = 64  # the states of the USA are 51; the rest of a longer list shares one column
MIN_CATEGORY_ROWS = 5  # a category seen less often tells noise; it shares that column too
ID_SHARE = 0.9  # share of different values from which a text column is taken for an identifier
ID_ROWS = 50  # with fewer rows, short texts may all differ by chance


@dataclass(frozen=True)
class FeatureColumns:
    """The columns a pipeline uses, in the query's order; all others are arguments without effect."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]


def choose_columns(features: Sequence[Column], rows: TrainingRows, messages: list[str]) -> FeatureColumns:
    """Return the columns worth using; append what was left out, and why, to `messages`.

    Raises
    ------
    TrainingDataError
        Infinite values, which no estimator here accepts; or no column is left.
    """
    useless: list[str] = []
    numbers: list[str] = []
    texts: list[str] = []
    _check_finite(features, rows.frame)
    for column in features:
        reason = _useless(column, rows.frame[column.name])
        if reason:
            useless.append(f'"{column.name}" ({reason})')
        else:
            (texts if column.kind == "text" else numbers).append(column.name)
        if not reason and _looks_like_id(column, rows.frame[column.name]):
            messages.append(
                f'column "{column.name}" is a different whole number in every row: if it is an identifier, '
                "leave it out of the query"
            )
    if not numbers and not texts:
        raise TrainingDataError(f"no column tells anything about the target: {', '.join(useless)}")
    if useless:
        messages.append(f"columns without effect on the prediction: {', '.join(useless)}")
    return FeatureColumns(tuple(numbers), tuple(texts))


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


def _useless(column: Column, values: pd.Series) -> str | None:
    present = values.dropna()
    n_distinct = present.nunique()
    if n_distinct == 0:
        return "NULL in every row"
    if n_distinct == 1 and len(present) == len(values):
        return f"{present.iloc[0]!s} in every row"
    if column.kind == "text" and len(present) >= ID_ROWS and n_distinct >= ID_SHARE * len(present):
        return f"{n_distinct:,} different texts in {len(present):,} rows"
    return None


def _looks_like_id(column: Column, values: pd.Series) -> bool:
    if column.sql_type not in INTEGER_TYPES or len(values) < ID_ROWS:
        return False
    return bool(values.notna().all() and values.is_unique)


def tree_columns(columns: FeatureColumns) -> ColumnTransformer:
    """Return the transformer for tree ensembles: numbers as they are (NaN has a branch), text one-hot.

    The result is dense: in a sparse matrix xgboost would take every 0 of the encoding for a missing value.
    """
    return _transformer([("numbers", "passthrough", columns.numbers), ("texts", _one_hot(), columns.texts)])


def linear_columns(columns: FeatureColumns) -> ColumnTransformer:
    """Return the transformer for linear estimators: numbers imputed with indicator, scaled; text one-hot."""
    numbers = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )
    return _transformer([("numbers", numbers, columns.numbers), ("texts", _one_hot(), columns.texts)])


def _one_hot() -> OneHotEncoder:
    """NULL is a category where it was seen; what was seen seldom or never shares one, if there is one."""
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=MIN_CATEGORY_ROWS,
        max_categories=MAX_CATEGORIES,
        sparse_output=False,
    )


def _transformer(steps: list[tuple[str, Any, tuple[str, ...]]]) -> ColumnTransformer:
    return ColumnTransformer(
        [(name, step, list(columns)) for name, step, columns in steps if columns],
        remainder="drop",
        sparse_threshold=0,
    )
