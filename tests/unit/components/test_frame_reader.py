"""What MLflow's users call a registered model with, read as the training read it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.frame_reader import FrameReader

READER = FrameReader(names=("x", "word"), texts=("word",))


@pytest.mark.parametrize(
    "numbers",
    [
        pd.Series([1, 0, 2]),
        pd.Series([True, False, None]),
        pd.Series([Decimal("1"), None, Decimal("2")]),
        pd.Series([1, None, 2], dtype="Int64"),
        pd.Series([1.0, np.nan, 2.0], dtype="float32"),
    ],
)
def test_numbers_of_any_driver_become_doubles(numbers: pd.Series) -> None:
    read = READER.transform(pd.DataFrame({"other": [0, 0, 0], "word": ["a"] * 3, "x": numbers}))
    assert list(read) == ["x", "word"] and read["x"].dtype == np.float64
    wanted = [np.nan if pd.isna(v) else float(v) for v in numbers]
    assert np.array_equal(read["x"].to_numpy(), wanted, equal_nan=True)


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_missing_text_is_none_whatever_it_was(dtype: str) -> None:
    words = pd.Series(["a", None, "b"], dtype=object)
    if dtype != "str":
        words = words.astype(dtype)
    elif pd.__version__ >= "3":
        words = words.astype("str")
    else:
        words = words.astype("string")
    read = READER.transform(pd.DataFrame({"x": [1.0] * 3, "word": words}))
    assert read["word"].tolist() == ["a", None, "b"] and read["word"].dtype == object


def test_a_column_that_is_not_given_is_missing() -> None:
    read = READER.transform(pd.DataFrame({"unused": [1, 2]}))
    assert read["x"].isna().all() and read["word"].tolist() == [None, None]
