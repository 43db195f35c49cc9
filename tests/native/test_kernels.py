"""All kernels on the same trees and rows: equal to the interpreter, and each of them seen at work."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import numpy as np
import psycopg2.extensions
import pytest
from postgres_ml.generate import create_statement
from postgres_ml.generate.native import generate_native
from postgres_ml.program import interpret
from postgres_ml.program.encoders import Number
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.program.scorers import Tree, TreeEnsemble, WeightedSum
from psycopg2.extras import execute_values

SHAPES = [
    # trees, depth, features, thresholds of a feature, outputs, whether ranks fit bytes
    (100, 6, 20, 200, 1, True),
    (70, 8, 20, 256, 1, True),
    (70, 7, 100, 3, 1, True),
    (66, 8, 20, 60, 3, True),
    (40, 9, 5, 600, 1, True),
    (33, 12, 3, 250, 1, True),
    (90, 1, 2, 2, 1, True),
    (150, 0, 1, 1, 1, True),
    (5, 6, 3, 30, 1, False),
    (65, 5, 100, 3, 1, True),
    (65, 4, 12, 40, 3, True),
    (64, 6, 300, 10, 1, False),
    (170, 8, 20, 100_000, 1, False),
    (40, 6, 300, 10, 2, False),
]


def random_tree(
    source: random.Random, depth: int, n_features: int, thresholds: list[float], outputs: tuple[int, ...]
) -> Tree:
    nodes: list[list[Any]] = []

    def grow(levels: int) -> int:
        number = len(nodes)
        nodes.append([])
        if levels == 0 or (levels < depth and source.random() < 0.03):
            nodes[number] = [-1, math.nan, -1, -1, False, tuple(source.gauss(0, 1) for _ in outputs)]
            return number
        left, right = grow(levels - 1), grow(levels - 1)
        nodes[number] = [
            source.randrange(n_features),
            source.choice(thresholds),
            left,
            right,
            source.random() < 0.5,
            (),
        ]
        return number

    grow(depth)
    return Tree(*(tuple(column) for column in zip(*nodes, strict=True)), outputs=outputs)


def ensemble_program(seed: int, shape: tuple[Any, ...], split: str, sums: str, vector: bool) -> Program:
    n_trees, depth, n_features, n_thresholds, n_outputs = shape[:5]
    source = random.Random(seed)
    values = [source.gauss(0, 1) for _ in range(n_thresholds)]
    if n_thresholds > 9:
        values[:5] = [0.0, -0.0, 5e-324, -1e-45, 1e-38]
    if split == "float32":
        values = [float(np.float32(v)) for v in values]
    trees = tuple(
        random_tree(
            source,
            depth,
            n_features,
            values,
            tuple(range(n_outputs)) if vector else (source.randrange(n_outputs),),
        )
        for _ in range(n_trees)
    )
    # few inputs stand for many features: each slot repeats one of them
    slots = tuple(source.randrange(8) for _ in range(n_features))
    ensemble = TreeEnsemble(
        slots, trees, source.choice(["<", "<="]), split, sums, tuple(source.gauss(0, 1) for _ in range(n_outputs)),
        source.choice([1.0, float(n_trees)]),
    )  # fmt: skip
    inputs = tuple(Input(f"f{i}", "double precision", "number") for i in range(8))
    # one number that tells all outputs apart
    weights = tuple(3.0**i for i in range(n_outputs))
    total = WeightedSum(tuple((8 + i,) for i in range(n_outputs)), weights)
    steps = (*(Number(i) for i in range(8)), ensemble, total)
    return Program(inputs, steps, (), Value(8 + n_outputs), "double precision")


def adversarial_rows(program: Program, seed: int, n_rows: int = 300) -> list[tuple[Any, ...]]:
    """Values at thresholds and their neighbours of both precisions, missing and extreme ones."""
    source = random.Random(seed)
    ensemble = next(step for step in program.steps if isinstance(step, TreeEnsemble))
    thresholds = [t for tree in ensemble.trees for t in tree.threshold if t == t] or [0.0]

    def cell() -> Any:
        t = source.choice(thresholds)
        single = np.float32(t)
        near = [
            t,
            np.nextafter(t, 9),
            np.nextafter(t, -9),
            np.nextafter(single, np.float32(9)),
            np.nextafter(single, np.float32(-9)),
        ]
        special = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e-300]
        return source.choice([*(float(x) for x in near), source.choice(special), source.gauss(0, 1)])

    return [tuple(cell() for _ in range(8)) for _ in range(n_rows)]


@pytest.mark.parametrize(
    "splits, sums", [("float32", "float32"), ("float64", "float64"), ("float32", "float64")]
)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape[:5])))
def test_kernels_agree_with_the_interpreter(
    native: psycopg2.extensions.cursor, schema: str, shape: tuple[Any, ...], splits: str, sums: str
) -> None:
    available = cpu_flags()
    for vector in (False, True) if shape[4] > 1 else (False,):
        program = ensemble_program(len(str(shape)), shape, splits, sums, vector)
        rows = adversarial_rows(program, 1)
        columns = {f"f{i}": [row[i] for row in rows] for i in range(8)}
        theirs = np.array(interpret.predict(program, columns))
        (body,) = generate_native(program, schema, f"f_{vector:d}").functions
        native.execute("set client_min_messages = debug1")
        native.execute(create_statement(body, schema))
        native.execute(
            f"create table rows_{vector:d} (id int, {', '.join(f'f{i} float8' for i in range(8))})".replace(
                "rows_", f"{schema}.rows_"
            )
        )
        execute_values(
            native,
            f"insert into {schema}.rows_{vector:d} values %s",
            [(k, *row) for k, row in enumerate(rows)],
            page_size=1000,
        )
        for kernel in ("scalar", "avx2", "avx512"):
            native.connection.notices.clear()
            native.execute(f"set plmodel.kernel = {kernel}")
            native.execute(
                f"select {schema}.f_{vector:d}(f0,f1,f2,f3,f4,f5,f6,f7) from {schema}.rows_{vector:d} order by id"
            )
            ours = np.array([row[0] for row in native.fetchall()])
            assert np.array_equal(ours, theirs), f"{kernel}: {np.flatnonzero(ours != theirs)}"
            used = re.findall(r"kernel (.+)", "".join(native.connection.notices))
            if kernel == "scalar":
                assert used == ["scalar"]
            elif kernel in available:
                assert used == [kernel if shape[5] else "scalar"]


def cpu_flags() -> set[str]:
    """Instruction sets of this machine, as far as a kernel asks for them (Linux)."""
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            flags = set(re.findall(r"\S+", next((line for line in file if line.startswith("flags")), "")))
    except OSError:
        return set()
    found = {"avx2"} & flags
    return found | (
        {"avx512"} if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vbmi"} <= flags else set()
    )
