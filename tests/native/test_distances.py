"""Distances to the centres of clusters: an array, in both runtimes, in the order of the clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import psycopg2.extensions
import pytest
from postgres_ml.evaluate.clusters import predict_distances
from postgres_ml.generate import GeneratedFunctions, create_statement, generate_native, generate_sql
from postgres_ml.generate.native.body import write_body
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.program import Input, Program
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

INPUTS = (Input("a", "double precision", "number"), Input("b", "real", "number"))


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, pd.DataFrame, Program]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": random.normal(size=200), "b": random.normal(size=200).astype(np.float32)}, dtype=float
    )
    frame.loc[::9, "a"] = np.nan
    steps = [("impute", SimpleImputer()), ("scale", StandardScaler()), ("kmeans", KMeans(5, random_state=0))]
    pipeline = Pipeline(steps).fit(frame)
    return pipeline, frame, parse_pipeline(pipeline, INPUTS, "integer")


@pytest.mark.parametrize("generate", [generate_native, generate_sql])
def test_distances_are_those_of_numpy(
    native: psycopg2.extensions.cursor,
    schema: str,
    fitted: tuple[Any, pd.DataFrame, Program],
    generate: Callable[[Program, str, str], GeneratedFunctions],
) -> None:
    pipeline, frame, program = fitted
    generated = generate(program, schema, "near")
    assert [body.role for body in generated.functions if body.role != "part"] == ["predict", "distances"]
    for body in generated.functions:
        native.execute(create_statement(body, schema))
    rows = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    values = b",".join(
        native.mogrify("(%s::int, %s::float8, %s::real)", (i, *row)) for i, row in enumerate(rows)
    )
    native.execute(
        f"select {schema}.near(a, b), {schema}.near_distances(a, b) from (values ".encode()
        + values
        + b") v(i, a, b) order by i"
    )
    found = native.fetchall()
    expected = predict_distances(pipeline, frame)
    assert np.allclose(np.array([distances for _, distances in found]), expected, rtol=1e-12)
    assert [label for label, _ in found] == pipeline.predict(frame).tolist()
    native.execute(
        f"select {schema}.near_distances('Infinity', 1), array_lower({schema}.near_distances(1, 1), 1)"
    )
    assert native.fetchone() == (None, 1)


def test_only_clusters_have_distances(
    native: psycopg2.extensions.cursor, schema: str, fitted: tuple[Any, pd.DataFrame, Program]
) -> None:
    import base64

    _, frame, clusters = fitted
    linear = LinearRegression().fit(frame.fillna(0), frame["b"])
    wrong = write_body(parse_pipeline(linear, INPUTS, "double precision"), "distances")
    right = write_body(clusters, "distances")
    for content, returns, cause in (
        (wrong, "double precision[]", "it has no distances"),
        (right, "jsonb", "distances are returned as double precision"),
    ):
        statement = (
            f"create function {schema}.f(a double precision, b real) returns {returns} language plmodel immutable "
            f"as '{base64.b64encode(content).decode()}'"
        )
        with pytest.raises(psycopg2.Error, match=cause):
            native.execute(statement)
