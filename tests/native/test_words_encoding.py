"""Words of a row's text in a database of another encoding than UTF-8, natively."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
from postgres_ml.generate import create_statement, generate_native
from postgres_ml.program import interpret
from postgres_ml.program.encoders import Words
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.program.scorers import Linear
from postgres_ml.publish import native_extension

TEXTS = {
    "LATIN1": ["SÜD und nord", "Süd, Nord", "Málaga—süd".replace("—", "\u00ad"), "½×ß÷ß", "", "ÀÉ à é"],
    "WIN1252": ["SÜD—nord", "“Süd” Nord", "5 € süd", "ŠKODA škoda", "ŒUVRE œuvre", ""],
    "EUC_JP": ["日本、東京", "日本 ＡＢ東京", "ΣΑ日本", "ЁЛКА ёлка", "SUD nord", ""],
}
UNASSIGNED = {"WIN1252": "\\x81", "EUC_JP": "\\xa9\\xa1"}
"""Bytes that a database in the encoding stores, and that are no character."""
TERMS = (
    "süd",
    "süd nord",
    "nord",
    "ß",
    "à é",
    "škoda škoda",
    "œuvre",
    "日本",
    "日本 東京",
    "ａｂ東京",
    "σα日本",
    "ёлка ёлка",
    "é",
)


@pytest.mark.parametrize("encoding", TEXTS)
def test_words_are_those_of_utf8(native: Any, server: Any, encoding: str) -> None:
    native.execute("select probin from pg_proc where proname = 'plmodel_call_handler'")
    (library,) = native.fetchone()
    name = f"words_{encoding.lower()}_{os.getpid()}"
    inputs = (Input("t", "text", "text"),)
    weights = tuple(10.0**n for n in range(len(TERMS)))
    words = Words(0, TERMS, (1.0,) * len(TERMS), "none")
    linear = Linear(tuple(range(len(TERMS))), (weights,), (0.0,))
    program = Program(inputs, (words, linear), (), Value(len(TERMS)), "double precision")
    native.execute(f"drop database if exists {name}")
    native.execute(
        f"create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"
    )
    try:
        with contextlib.closing(
            psycopg2.connect(host=server.host, port=server.port, user=server.user, dbname=name)
        ) as connection:
            connection.set_client_encoding("UTF8")
            connection.autocommit = True
            cursor = connection.cursor()
            if library.startswith("$libdir"):
                assert native_extension.provide(cursor) == ""
            else:
                native_extension.install_library(cursor, library)
            (body,) = generate_native(program, "public", "f").functions
            cursor.execute(create_statement(body, "public"))
            found = []
            for text in TEXTS[encoding]:
                cursor.execute("select f(%s)", (text,))
                found.append(cursor.fetchone()[0])
            if encoding in UNASSIGNED:  # a blank, where UTF-8 has no such character
                connection.set_client_encoding(encoding)
                cursor.execute(f"select f(E'{UNASSIGNED[encoding]}'), f(E'SUD{UNASSIGNED[encoding]}nord')")
                assert cursor.fetchone() == tuple(interpret.predict(program, {"t": [" ", "SUD nord"]}))
        assert found == interpret.predict(program, {"t": TEXTS[encoding]})
        assert sum(value > 0 for value in found) >= 4
    finally:
        native.execute(f"drop database {name} with (force)")
