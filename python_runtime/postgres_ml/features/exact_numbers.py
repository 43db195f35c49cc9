"""Whole numbers that double precision can't tell apart, where they stand for categories: refused.

A pipeline and its function read every number as double precision, so they agree. But an identifier of 19
digits shares its double with some hundred others, which would silently be one category.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.sql_names import readable_identifier
from postgres_ml.features.transformer_rules import CATEGORY_ENCODERS, members

FIRST_SHARED = 2.0**53  # 2^53 + 1 is read as this


def check_encoded(features: Sequence[Column], frame: pd.DataFrame, sets: Sequence[ColumnSet]) -> None:
    """Check the columns that the config encodes as categories.

    Raises
    ------
    TrainingDataError
        One of them holds numbers from 2^53 on.
    """
    numbers = [column.name for column in features if column.kind == "number"]
    every = [column.name for column in features]
    for item in sets:
        if not set(item.transformers) & set(CATEGORY_ENCODERS):
            continue
        for name in members(item, sets, every):
            if name not in numbers:
                continue
            n_shared = int(np.count_nonzero(np.abs(frame[name].to_numpy()) >= FIRST_SHARED))
            if n_shared:
                raise TrainingDataError(
                    f'column "{name}" is encoded as a category, and holds numbers beyond 2^53 in '
                    f"{n_shared:,} rows, of which double precision takes several for one: cast it to text "
                    f"in the query ({readable_identifier(name)}::text)"
                )


def check_known(column: Column, values: Iterable[Any]) -> None:
    """Check the categories that a fitted model knows of a column.

    Raises
    ------
    SpecError
        One of them is a number from 2^53 on.
    """
    if column.kind != "number":
        return
    for value in values:
        if isinstance(value, int | float) and FIRST_SHARED <= abs(value) < np.inf:
            raise SpecError(
                f'the model has learned {value} as a category of "{column.name}", and double precision, as '
                "which functions take numbers, has one value for several such numbers: fit it on a text"
            )
