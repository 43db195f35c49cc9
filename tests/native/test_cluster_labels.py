"""The label of a cluster on rows of every magnitude: scikit-learn's own, in the interpreter and both runtimes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg2.extensions
import pytest
from postgres_ml.generate import GeneratedFunctions, create_statement, generate_native, generate_sql
from postgres_ml.lower import parse_pipeline
from postgres_ml.program import interpret
from postgres_ml.program.encoders import Number
from postgres_ml.program.program import ClusterLabel, Input, Program
from postgres_ml.program.scorers import Distances
from psycopg2.extras import execute_values
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from support.quantile_bins import quantile_bins

LARGEST = float(np.finfo(np.float64).max)
SPECIAL = [0.0, -0.0, 1.0, 3.5e38, -3.5e38, 1e300, -1e300, 1e308, -1e308, LARGEST, -LARGEST, 5e-324, 1e-300]


def pipeline_of(source: np.random.Generator, name: str, n_centers: int) -> Any:
    if name == "mini-batch":
        return make_pipeline(MiniBatchKMeans(n_centers, n_init=1, random_state=0))
    steps: dict[str, list[Any]] = {
        "plain": [],
        "scaled": [StandardScaler()],
        "max-abs": [MaxAbsScaler()],
        "sparse": [quantile_bins(4, "onehot")],
    }
    return make_pipeline(*steps[name], KMeans(n_centers, n_init=1, random_state=int(source.integers(99))))


def hostile_rows(source: np.random.Generator, n_rows: int, n_columns: int) -> np.ndarray:
    """Finite numbers of all magnitudes, rows of one and of many of them."""
    exponents = source.integers(-300, 308, size=(n_rows, n_columns))
    near = source.normal(size=(n_rows, n_columns))
    far = np.clip(source.normal(size=(n_rows, n_columns)) * 10.0**exponents, -LARGEST, LARGEST)
    special = source.choice(SPECIAL, size=(n_rows, n_columns))
    kinds = source.choice([0, 1, 2], size=(n_rows, n_columns), p=[0.5, 0.3, 0.2])
    return np.choose(kinds, [near, far, special])


def fitted(seed: int, name: str) -> tuple[Any, np.ndarray, Program]:
    source = np.random.default_rng(seed)
    n_columns, n_centers = int(source.integers(1, 12)), int(source.integers(2, 9))
    spread = 10.0 ** source.integers(-3, 4, size=n_columns)
    pipeline = pipeline_of(source, name, n_centers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.fit(source.normal(size=(120, n_columns)) * spread + source.normal(size=n_columns))
    inputs = tuple(Input(f"x{i}", "double precision", "number") for i in range(n_columns))
    return pipeline, hostile_rows(source, 300, n_columns), parse_pipeline(pipeline, inputs, "integer")


def labels_of(pipeline: Any, rows: np.ndarray) -> list[int | None]:
    """Return the library's labels; None where it refuses the row, as where a scaler overflows."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            labels: list[int | None] = pipeline.predict(rows).tolist()
            return labels
    except ValueError:
        half = len(rows) // 2
        return [None] if half == 0 else labels_of(pipeline, rows[:half]) + labels_of(pipeline, rows[half:])


def check(pipeline: Any, rows: np.ndarray, ours: list[Any], theirs: list[Any]) -> None:
    """Assert equal labels, but where BLAS decides.

    It rounds once where we round twice: two scores may differ by the last digits of their terms only, or a
    product beyond 1.8e308 may come back in a sum that is not.
    """
    centers = pipeline[-1].cluster_centers_
    with np.errstate(all="ignore"):
        for i in [i for i in range(len(rows)) if ours[i] != theirs[i]]:
            assert ours[i] is not None and theirs[i] is not None, (rows[i], ours[i], theirs[i])
            encoded = pipeline[:-1].transform(rows[[i]]) if len(pipeline) > 1 else rows[[i]]
            row = encoded.toarray()[0] if hasattr(encoded, "toarray") else encoded[0]
            pair = centers[[ours[i], theirs[i]]]
            scores = np.sum(pair**2, axis=1) - 2 * (pair @ row)
            terms = np.sum(pair**2, axis=1) + 2 * np.abs(pair) @ np.abs(row)
            near = abs(scores[0] - scores[1]) <= 1e-14 * terms.max()
            assert near or np.isinf(terms.max()), (rows[i], ours[i], theirs[i], scores)


NAMES = ["plain", "mini-batch", "scaled", "max-abs", "sparse"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_the_interpreter_chooses_the_librarys_cluster(name: str, seed: int) -> None:
    pipeline, rows, program = fitted(seed, name)
    ours = interpret.predict(program, {f"x{i}": column.tolist() for i, column in enumerate(rows.T)})
    check(pipeline, rows, ours, labels_of(pipeline, rows))


@pytest.mark.parametrize("generate", [generate_native, generate_sql])
@pytest.mark.parametrize("name", NAMES)
def test_both_runtimes_choose_the_librarys_cluster(
    native: psycopg2.extensions.cursor,
    schema: str,
    generate: Callable[[Program, str, str], GeneratedFunctions],
    name: str,
) -> None:
    for seed in range(3):
        pipeline, rows, program = fitted(seed, name)
        for body in generate(program, schema, f"near{seed}").functions:
            native.execute(create_statement(body, schema))
        names = [f"x{i}" for i in range(rows.shape[1])]
        native.execute(
            f"create table {schema}.rows{seed} (id int, {', '.join(f'{n} float8' for n in names)})"
        )
        execute_values(
            native,
            f"insert into {schema}.rows{seed} values %s",
            [(i, *row) for i, row in enumerate(rows.tolist())],
        )
        native.execute(f"select {schema}.near{seed}({', '.join(names)}) from {schema}.rows{seed} order by id")
        check(pipeline, rows, [row[0] for row in native.fetchall()], labels_of(pipeline, rows))


@pytest.mark.parametrize("generate", [generate_native, generate_sql])
def test_a_score_that_is_no_number_is_the_least_only_where_it_is_the_first(
    native: psycopg2.extensions.cursor,
    schema: str,
    generate: Callable[[Program, str, str], GeneratedFunctions],
) -> None:
    scores = [(a, b, c) for a in VALUES for b in VALUES for c in VALUES]
    inputs = tuple(Input(name, "double precision", "number") for name in "abc")
    steps = (*(Number(i) for i in range(3)), Distances((0, 1, 2), ((0.0,) * 3,) * 3))
    program = Program(inputs, steps, (), ClusterLabel((0, 1, 2), (3, 4, 5), (0, 1, 2)), "integer")
    for body in generate(program, schema, "least").functions:
        native.execute(create_statement(body, schema))
    native.execute(f"create table {schema}.scores (id int, a float8, b float8, c float8)")
    execute_values(native, f"insert into {schema}.scores values %s", [(i, *s) for i, s in enumerate(scores)])
    native.execute(f"select {schema}.least(a, b, c) from {schema}.scores order by id")
    expected = [as_the_library_compares(row) for row in scores]
    assert [row[0] for row in native.fetchall()] == expected
    columns = {name: list(values) for name, values in zip("abc", zip(*scores, strict=True), strict=True)}
    assert interpret.predict(program, columns) == expected


VALUES = (math.nan, -math.inf, -1.0, 0.0, 2.0, math.inf)


def as_the_library_compares(scores: tuple[float, ...]) -> int:
    """Return what the loop of sklearn/cluster/_k_means_lloyd.pyx chooses."""
    label, least = 0, scores[0]
    for number, score in enumerate(scores):
        if score < least:
            label, least = number, score
    return label
