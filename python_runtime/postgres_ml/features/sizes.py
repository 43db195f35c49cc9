"""Whether the size of numbers lets a model tell them apart, and a regression's errors be added up.

Input: the config, the target, features. Output: warnings, or an error, with the cure: a constant in the
query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import TrainingSpec
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot.rows import Array

# With 600 rows r2 was .92 at 1e-4 and 0 at 1e-5: the gain of a split, a sum of squares over rows, has to be
# more than 1e-6.
LEAST_DEVIATION = 1e-3
LARGEST, SMALLEST = 1e150, 1e-150  # of a regression: metrics are sums of squares
LARGEST_SQUARED = 1e18  # of a regression: xgboost adds squares of gradients up in single precision
SCALE_FREE = ("reg:absoluteerror", "reg:gamma")  # whose gradients don't grow with the target
COARSE = 1e-2  # of a feature's deviation: the step of single precision at its size
SHARE_OF_ZEROS = 0.01
SAMPLED = 10_000  # rows, evenly spread, by which features are judged: a million of them would take seconds
WEIGHTS = (1e-30, 1e30)  # which xgboost has in single precision, and multiplies by gradients
LITTLE_WEIGHT = 0.05  # a row's in the mean: with 600 rows a weight of 1/600 made r2 0 where it was .99
LARGEST_SINGLE = 1e35  # sums of some thousand values have to be single precision's, too


def size_notes(spec: TrainingSpec, column: Column, target: Array) -> list[str]:
    """Return a warning of a regression's numbers that what is fitted learns badly for their size.

    It is true of what this package fits; a dbt model in Python may fit in double precision.

    Raises
    ------
    TrainingDataError
        Errors can't be added up, or they are too great for all models that are asked for.
    """
    greatest, deviation = float(np.abs(target).max()), float(target.std())
    are_squared = "xgboost" in spec.model_types and spec.objective not in SCALE_FREE
    _check_size(spec, column, greatest, are_squared=are_squared)
    name = f'column "{column.name}", the target: its'
    if spec.model_types == ("linear_learner",):
        return []
    if are_squared and greatest > LARGEST_SQUARED:
        return [
            f"{name} values are up to {greatest:.1e}, and squares of these are beyond single precision, in "
            "which boosted trees are fitted, so they learn little or nothing of it: divide it by a constant "
            "in the query"
        ]
    squares = spec.objective is None or ":" not in spec.objective or spec.objective == "reg:squarederror"
    if "xgboost" in spec.model_types and squares and deviation < LEAST_DEVIATION:
        return [
            f"{name} standard deviation is {deviation:.1e}. xgboost makes no split that lowers the sum of "
            "squared errors by less than a millionth, so boosted trees learn little or nothing of it: "
            "multiply it by a constant in the query"
        ]
    if np.spacing(np.float32(greatest)) <= 1e-3 * deviation:
        return []
    return [
        f"{name} values differ by little beside their size ({greatest:.3g}). Trees and networks are fitted "
        "in single precision, which hardly tells them apart: subtract a constant in the query"
    ]


def _check_size(spec: TrainingSpec, column: Column, greatest: float, *, are_squared: bool) -> None:
    values = f'target "{column.name}" has values up to {greatest:.1e}'
    if greatest > LARGEST:
        raise TrainingDataError(
            f"{values}, whose squares are beyond double precision, in which errors are added up: divide it "
            "by a constant in the query"
        )
    if greatest < SMALLEST:
        raise TrainingDataError(
            f'target "{column.name}" has no value beyond {greatest:.1e}, and double precision holds no '
            "squares of such errors: multiply it by a constant in the query"
        )
    if spec.model_types == ("linear_learner",):
        return
    only_squared = are_squared and spec.model_types == ("xgboost",)
    if greatest > (LARGEST_SQUARED if only_squared else LARGEST_SINGLE):
        which = "whose squares are " if only_squared else ""
        models = "boosted trees" if only_squared else "trees and networks"
        raise TrainingDataError(
            f"{values}, {which}beyond single precision, in which {models} are fitted: divide it by a "
            "constant in the query"
        )


def weight_notes(column: Column, weights: Array, given: Array) -> list[str]:
    """Return a warning of weights that are small beside a library's own constants.

    Parameters
    ----------
    weights : of the query
    given : as what is fitted gets them

    Raises
    ------
    TrainingDataError
        Single precision doesn't add them up.
    """
    name = f'column "{column.name}", the weight,'
    cure = "divide it by its mean: {0} / avg({0}) over ()".format(identifier(column.name))
    if given.min() < WEIGHTS[0] or given.max() > WEIGHTS[1]:
        raise TrainingDataError(
            f"{name} is from {weights.min():.1e} to {weights.max():.1e}, which single precision doesn't add "
            f"up: {cure}"
        )
    if given.mean() >= LITTLE_WEIGHT:
        return []
    return [
        f"{name} is {weights.mean():.1e} in the mean. Without AUTO the library gets weights as they are, and "
        "sets its own constants against them (min_child_weight, alpha, C), so it learns little: " + cure
    ]


def feature_notes(frame: pd.DataFrame, numbers: Sequence[str]) -> list[str]:
    """Return a warning of each number column that single precision, in which xgboost reads it, makes alike.

    Parameters
    ----------
    numbers : names of the columns that are read as they are
    """
    some = frame.iloc[:: max(1, len(frame) // SAMPLED)]
    return [note for name in numbers if (note := _feature_note(name, some[name].to_numpy(np.float64)))]


def _feature_note(name: str, values: Array) -> str:
    known = values[~np.isnan(values)]
    if not len(known) or known.min() == known.max():
        return ""
    greatest = float(np.abs(known).max())
    share = float(np.mean((known.astype(np.float32) == 0) & (known != 0)))
    if share > SHARE_OF_ZEROS:
        return (
            f'column "{name}": {share:.0%} of its values are so small that boosted trees, which read single '
            "precision, take them for 0: multiply it by a constant in the query, or take its logarithm"
        )
    if np.spacing(np.float32(greatest)) <= COARSE * known.std():
        return ""
    return (
        f'column "{name}": its values differ by little beside their size ({greatest:.3g}). Boosted trees '
        "read single precision, which hardly tells them apart: subtract a constant in the query"
    )
