"""Rows for a model that comes without a query: those of its input example, or made of what it has learned.

Input: the model, its arguments, MLflow's input example. Output: a frame, and what share of it may be refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.components.frame_reader import FrameReader
from postgres_ml.contract.column import Column
from postgres_ml.features.frame_types import known_values
from postgres_ml.snapshot.query import INTEGER_TYPES
from postgres_ml.verify.refusals import REFUSED_SHARE
from postgres_ml.verify.rows import as_frame

N_ROWS = 200
#: positive and at most 1, where logarithms, roots and arc sines are defined
FRACTIONS, WHOLE = (0.25, 0.5, 0.75, 1.0), (1, 2, 3)
WORDS = ("a", "b", "c")
MOMENTS = {
    "date": ("2020-01-01", "2024-02-29"),
    "time": ("00:00:00", "12:30:00"),
    "timestamp": ("2020-01-01T00:00:00", "2024-02-29T12:30:00"),
    "timestamptz": ("2020-01-01T00:00:00+00:00", "2024-02-29T12:30:00+00:00"),
}


def plausible_rows(
    model: Any, columns: Sequence[Column], example: pd.DataFrame | None
) -> tuple[pd.DataFrame, float]:
    """Return rows, and the share of them that the model may refuse.

    Texts of which nothing is known may be none that the model takes: then only not all may be refused.

    Parameters
    ----------
    example : the model's own, of any dtypes; None where it has none
    """
    names = [column.name for column in columns]
    if example is not None and len(example) and set(names) <= set(map(str, example.columns)):
        return _of_example(example, columns), REFUSED_SHARE
    known = known_values(model, columns)
    random = np.random.default_rng(0)
    cells = {}
    for column in columns:
        values = known.get(column.name) or _usual(column)
        cells[column.name] = [values[i] for i in random.integers(0, len(values), N_ROWS)]
    is_known = all(column.kind != "text" or column.name in known for column in columns)
    return as_frame(cells, columns), REFUSED_SHARE if is_known else 1.0


def _of_example(example: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    reader = FrameReader(
        names=tuple(column.name for column in columns),
        texts=tuple(column.name for column in columns if column.kind == "text"),
        moments={c.name: c.kind for c in columns if c.kind not in ("number", "boolean", "text")},
    )
    return reader.transform(example.rename(columns=str).reset_index(drop=True))


def _usual(column: Column) -> Sequence[Any]:
    if column.kind == "text":
        return WORDS
    if column.kind == "boolean":
        return (False, True)
    if column.kind != "number":
        return MOMENTS[column.kind]
    return WHOLE if column.sql_type in INTEGER_TYPES else FRACTIONS
