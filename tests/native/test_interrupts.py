"""Nothing that a body or a row asks for keeps the server from ending a statement."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg2.errors
import psycopg2.extensions
import pytest
from postgres_ml.generate import create_statement
from postgres_ml.generate.native import generate_native
from postgres_ml.program.encoders import Category, Number
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.program.scorers import Activation, Linear, Tree, TreeEnsemble

SOURCES = Path(__file__).parents[2] / "extension" / "src"
N_COLLIDING = 160_000


def unmixed(mixed: np.ndarray) -> np.ndarray:
    """Return the 64 bits that SplitMix64's finalizer, the hash of 0.1.0, mixes into these."""
    x = mixed
    for factor, shift in ((0x94D049BB133111EB, 31), (0xBF58476D1CE4E5B9, 27)):
        x = x ^ (x >> np.uint64(shift)) ^ (x >> np.uint64(2 * shift))
        x = x * np.uint64(pow(factor, -1, 1 << 64))
    return x ^ (x >> np.uint64(30)) ^ (x >> np.uint64(60))


def colliding_numbers() -> tuple[float, ...]:
    """Doubles whose hash in 0.1.0 ended with 24 zeros."""
    bits = unmixed(np.arange(1, 2 * N_COLLIDING, dtype=np.uint64) << np.uint64(24))
    values = bits.view(np.float64)
    return tuple(values[~np.isnan(values)][:N_COLLIDING].tolist())


def colliding_texts() -> tuple[str, ...]:
    """Texts of eight ASCII characters whose hash in 0.1.0 ended with 24 zeros."""
    mixed = np.arange(1, 12_000_000, dtype=np.uint64) << np.uint64(24)
    words = unmixed(unmixed(mixed)) ^ np.uint64(8)
    octets = words.view(np.uint8).reshape(-1, 8)
    printable = np.all((octets > 0) & (octets < 128), axis=1)
    return tuple(bytes(row).decode("ascii") for row in octets[printable])


@pytest.mark.parametrize("kind", ["number", "text"])
def test_values_chosen_to_collide_are_read_in_no_time(
    native: psycopg2.extensions.cursor, schema: str, kind: str
) -> None:
    values = colliding_numbers() if kind == "number" else colliding_texts()
    assert len(values) == len(set(values)) > 40_000
    inputs = (Input("x", "double precision" if kind == "number" else "text", kind),)  # type: ignore[arg-type]
    outputs = tuple(float(i) for i in range(len(values)))
    program = Program(inputs, (Category(0, values, outputs, -1.0, -2.0),), (), Value(0), "double precision")
    (body,) = generate_native(program, schema, "f").functions
    started = time.monotonic()
    native.execute("set statement_timeout = '2s'")
    native.execute(create_statement(body, schema))
    native.execute(f"select {schema}.f(x) from unnest(%s) x", (list(values[:1000]),))
    assert [row[0] for row in native.fetchall()] == list(outputs[:1000])
    assert time.monotonic() - started < 3


def chain(n_splits: int) -> Tree:
    """A tree in which every split has one leaf."""
    split = (*((0, -1) * n_splits), -1)
    left = (*(n for i in range(n_splits) for n in (2 * i + 1, -1)), -1)
    right = (*(n for i in range(n_splits) for n in (2 * i + 2, -1)), -1)
    value = (*(v for i in range(n_splits) for v in ((), (float(i),))), (1.0,))
    threshold = (*(t for i in range(n_splits) for t in (float(-i), 0.0)), 0.0)
    return Tree(split, threshold, left, right, (False,) * len(split), value)


def wide(n_slots: int) -> Program:
    """Hyperbolic tangents of one input, over and over."""
    steps = (Number(0), Activation((0,) * n_slots, "tanh"), Activation(tuple(range(1, n_slots)), "silu"))
    return Program((Input("x", "double precision", "number"),), steps, (), Value(5), "double precision")


def thresholds(n_trees: int) -> Program:
    """Ensembles of falling thresholds, which an insertion sort would take hours for."""
    ensemble = TreeEnsemble((0,), (chain(60_000),), "<", "float64", "float64", (0.0,), 1.0)
    others = tuple(
        TreeEnsemble((0,), (chain(60_000 - i), *(chain(1),) * 8), "<", "float64", "float64", (0.0,), 1.0)
        for i in range(n_trees)
    )
    steps = (Number(0), ensemble, *others)
    return Program((Input("x", "double precision", "number"),), steps, (), Value(1), "double precision")


def matrix(n_inputs: int) -> Program:
    weights = tuple(float(i) for i in range(n_inputs))
    steps = (Number(0), Linear((0,) * n_inputs, (weights,) * 2, (0.0, 0.0)))
    return Program((Input("x", "double precision", "number"),), steps, (), Value(1), "double precision")


LONG = {"wide": wide(2_000_000), "thresholds": thresholds(6), "matrix": matrix(1_000_000)}


@pytest.mark.parametrize("name", LONG)
def test_scoring_many_rows_ends_in_time(native: psycopg2.extensions.cursor, schema: str, name: str) -> None:
    (body,) = generate_native(LONG[name], schema, "f").functions
    native.execute("set statement_timeout = '20s'")
    started = time.monotonic()
    native.execute(create_statement(body, schema))
    assert time.monotonic() - started < 3
    native.execute("set statement_timeout = '500ms'")
    started = time.monotonic()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        native.execute(f"select sum({schema}.f(i)) from generate_series(1, 10000000) i")
    assert time.monotonic() - started < 0.5 + 1.0


FIND = "uint64 place = probe->hash & lookup->mask;; place = (place + 1) & lookup->mask, ++*steps"

# Loops that do not look at interrupts themselves, by file: their conditions, and what bounds them.
BOUNDED = {
    "language/bind_input.c": {
        "i < descriptor->natts": "1600 attributes",
        "i < model->program->n_inputs": "1600 inputs",
        "i < n_inputs": "1600 inputs",
    },
    "language/cache.c": {
        "(entry = hash_seq_search(&scan)) != NULL": "the session's models",
        "(entry = find_surplus()) != NULL": "the session's models",
    },
    "language/input.c": {
        "i < model->program->n_inputs": "1600 inputs",
        "i < n_inputs": "1600 inputs",
        "reader->text->length > 0 && reader->text->bytes[reader->text->length - 1] == ' '": "a text at hand",
    },
    "program/encode_lists.c": {"count > 0": "halves"},
    "program/encode_characters.c": {"c < 128": "the characters of ASCII"},
    "program/encode_words.c": {"i > 0": "the four bytes of a character"},
    "program/lookup.c": {
        "value.length - i >= 8": "a text at hand",
        "i < value.length": "less than eight bytes",
        FIND: "the next empty place: half of all are, and nobody can choose which",
        "size < 2 * (uint64) count": "doubles",
        "!fill(lookup, true)": "looks inside",
        "!fill(lookup, false)": "looks inside",
    },
    "program/score_tables.c": {"count > 1": "halves"},
    "program/parse.c": {"i < program->n_inputs": "1600 inputs"},
    "program/reader.c": {
        "i < 256": "a table",
        "bit < 8": "a table",
        "k < 8": "a table",
        "i < 64": "a table",
        "length-- > 0": "less than eight bytes",
        "padding < 2 && in[length - 1 - padding] == '='": "two",
        "k < 4": "four digits",
    },
    "program/score_matrix.c": {"o < width": "a block"},
    "program/utf8.c": {"low < high": "halves", "i < size": "the four bytes of a character"},
    "program/score_slots.c": {"i < last": "a stride"},
    "trees/kernel_avx2.c": {"first < n_codes": "256 codes", "i < 16": "sixteen", "i < 8": "eight vectors"},
    "trees/kernel_avx512.c": {"i < 4": "four registers", "i < 8": "eight vectors"},
    "trees/kernel_scalar.c": {
        "low < high": "halves",
        "i < GROUP": "a group of trees",
        "i < count": "a group of trees",
        "levels > 0": "a stride",
    },
    "trees/leaves.h": {"i < count": "a block of trees"},
    "trees/ranked_blocks.c": {
        "i < n_leaves - 1": "three levels",
        "i < n_leaves": "three levels",
        "i < n_places": "six levels",
        "i < n_places - 1": "six levels",
        "tree < last": "a block of trees",
        "lane < n_lanes": "a block of trees",
        "feature < self->ensemble->n_features": "256 features",
    },
    "trees/ranked_columns.c": {
        "count > 0": "halves",
        "feature < ensemble->n_features": "256 features",
        "feature < n_features": "256 features",
        "i < n_shares": "256 columns",
        "i < count": "255 thresholds",
        "i < self->table_size": "256 columns",
        "i < self->ranked->n_columns": "256 columns",
    },
    "trees/ranked_walk.h": {
        "i < count": "a block of trees",
        "i < GROUP": "a group of trees",
        "i < LANES": "a block of trees",
        "n_levels > 0": "trees of 2^17 nodes",
        "levels > 0": "four levels",
        "i < ranked->n_columns": "256 columns",
    },
    "trees/trees.c": {"i < GROUP": "a group of trees"},
}
LOOP = re.compile(r"^(\t+)(?:for|while) \((.*)\)( \\)?$", re.MULTILINE)


def loops(source: str) -> Iterator[tuple[str, str]]:
    """Yield the condition and the text of each loop: to the line that is indented no more, its closing brace."""
    for found in LOOP.finditer(source):
        indent = len(found[1])
        lines = source[found.end() :].split("\n")[1:]
        body = []
        for line in lines:
            depth = len(line) - len(line.lstrip("\t"))
            if (
                line.strip(" \\\t")
                and not line.startswith("#")
                and depth <= indent
                and line.strip(" \\") not in ("\t" * indent + "{",)
            ):
                break
            body.append(line)
        parts = found[2].split(";")
        yield (parts[1].strip() if len(parts) == 3 and parts[1].strip() else found[2]), "\n".join(body)


def looks(text: str) -> bool:
    return "CHECK_INTERRUPTS" in text or "CHECK_FOR_INTERRUPTS" in text


def test_every_loop_over_a_count_of_the_body_looks_at_interrupts() -> None:
    silent = {
        (file.relative_to(SOURCES).as_posix(), condition)
        for file in SOURCES.rglob("*.[ch]")
        for condition, body in loops(file.read_text())
        if not looks(body)
    }
    assert silent == {(name, condition) for name, known in BOUNDED.items() for condition in known}
