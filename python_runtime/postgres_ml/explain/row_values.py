"""SHAP values of some rows as text, for the check of the function that explains them in the database."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from postgres_ml.explain import Explanation
from postgres_ml.program import interpret

MAX_ROWS = 20  # the function may take a tenth of a second for a row
MAX_VALUES = 10_000  # 200 kB of text


def row_values(explanation: Explanation, frame: pd.DataFrame) -> list[str | None]:
    """Return {set: {column: SHAP value}} as JSON of the first rows; None where one isn't finite."""
    exact = explanation.exact
    assert exact is not None, "what is sampled has no function"
    n_values = len(explanation.labels) * len(explanation.names)
    rows = frame.head(max(1, min(MAX_ROWS, MAX_VALUES // n_values)))
    slots = interpret.slots(exact.sums.program, {name: rows[name].to_numpy() for name in rows})
    texts: list[str | None] = []
    for values in np.moveaxis(exact.values(slots), 1, 0):
        sets = {
            f"label{k}": dict(zip(explanation.names, of_set, strict=True))
            for k, of_set in enumerate(values.tolist())
        }
        texts.append(json.dumps(sets, ensure_ascii=False) if np.isfinite(values).all() else None)
    return texts
