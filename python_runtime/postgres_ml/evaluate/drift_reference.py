"""How features and predictions were distributed at the training: what the drift tests compare with.

Input: rows and predictions. Output: JSON for the catalog, small whatever the number of rows: at most 102 bins
a column. Bins of a number are those of Postgres's `width_bucket(x, edges)`: bin k holds edges[k] <= x <
edges[k + 1], counted from 1, bin 0 what is less than the least value, and the last bin what is greater than
the greatest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from postgres_ml.contract.column import Column
from postgres_ml.features.problem import label_text
from postgres_ml.snapshot.rows import Array

MAX_EDGES = 100
MAX_CATEGORIES = 50
PSI_GROUPS = 10  # the usual number; Kolmogorov-Smirnov uses all bins
MISSING = "-1"


def training_statistics(features: Sequence[Column], frame: pd.DataFrame, predicted: Array) -> dict[str, Any]:
    """Return {features: {name: distribution}, prediction: distribution}.

    Parameters
    ----------
    predicted : of rows that the pipeline has not seen
    """
    found = {
        column.name: (
            of_categories(_texts(frame[column.name], column))
            if column.kind in ("text", "boolean")
            else of_numbers(frame[column.name].to_numpy(float), is_single=column.sql_type == "real")
        )
        for column in features
        if column.kind in ("text", "boolean", "number")  # dates always drift
    }
    if predicted.dtype.kind == "f":
        return {"features": found, "prediction": of_numbers(predicted)}
    labels = pd.Series(predicted, dtype=object)
    return {"features": found, "prediction": of_categories(labels.map(label_text))}


def _texts(values: pd.Series, column: Column) -> pd.Series:
    """Return the values as Postgres prints them; booleans are doubles in a frame, NaN is missing."""
    if column.kind == "text":
        return values
    return values.map({number: label_text(bool(number)) for number in (0.0, 1.0)}).astype(object)


def of_numbers(values: Array, *, is_single: bool = False) -> dict[str, Any]:
    """Return kind, edges, the share of each bin, and the group of bins that PSI counts together.

    Parameters
    ----------
    is_single : whether they are Postgres's reals, whose edges are written as Postgres prints them: 0.1, which
        is less than the double of the real
    """
    known = values[np.isfinite(values)]
    edges = known
    if len(known):
        edges = np.unique(np.quantile(known, np.linspace(0, 1, MAX_EDGES), method="lower"))
        greatest = np.float32(edges[-1]) if is_single else edges[-1]
        with np.errstate(over="ignore"):
            edges = np.append(edges, float(np.nextafter(greatest, greatest.dtype.type(np.inf))))
        edges = edges[np.isfinite(edges)]
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    shares = counts / max(len(values), 1)
    before = np.cumsum(counts) - counts
    groups = np.minimum(before * PSI_GROUPS // max(len(known), 1), PSI_GROUPS - 1)
    return {
        "kind": "number",
        "edges": [float(str(np.float32(edge))) for edge in edges] if is_single else edges.tolist(),
        "shares": {MISSING: 1 - len(known) / max(len(values), 1), **_numbered(shares.tolist())},
        "groups": {MISSING: -1, **_numbered(groups.tolist())},
    }


def of_categories(values: pd.Series) -> dict[str, Any]:
    """Return kind, the most frequent categories, and the share of each; bin 0 is all others."""
    counts = values.value_counts()  # without those that are missing
    top = counts.iloc[:MAX_CATEGORIES]
    total = max(len(values), 1)
    other = int(counts.sum() - top.sum()) / total
    shares = [other, *(int(n) / total for n in top.tolist())]
    return {
        "kind": "category",
        "categories": top.index.tolist(),
        "shares": {MISSING: 1 - int(counts.sum()) / total, **_numbered(shares)},
        "groups": {MISSING: -1, **_numbered(list(range(len(shares))))},
    }


def _numbered(values: Sequence[Any]) -> dict[str, Any]:
    return {str(index): value for index, value in enumerate(values)}
