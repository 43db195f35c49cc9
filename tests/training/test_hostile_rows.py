"""Rows made to be hard, held against a fitted pipeline."""

from __future__ import annotations

import numpy as np
import pandas as pd
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.interpret import predict
from postgres_ml.program.program import Input
from postgres_ml.verify.rows import as_frame, hostile_rows, row_by_row
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.training import column


def test_hostile_rows_have_one_right_answer_where_sums_of_classes_are_compared() -> None:
    """With features near 1e308 the greatest of three sums depended on the order of their terms."""
    x, y = load_iris(return_X_y=True)
    features = tuple(column(f"c{i}") for i in range(x.shape[1]))
    frame = pd.DataFrame(x, columns=[feature.name for feature in features])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y.astype(str))
    inputs = tuple(Input(feature.name, "double precision", "number") for feature in features)
    program = parse_pipeline(pipeline, inputs, "text")
    for seed in range(25):  # without the limit one of 10,000 rows differs
        rows = as_frame(hostile_rows(program, features, frame, seed), features)
        with np.errstate(all="ignore"):
            from_pipeline = row_by_row(pipeline.predict, rows)
        assert predict(program, {name: rows[name].to_numpy() for name in rows}) == from_pipeline
