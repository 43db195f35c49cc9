"""Running a scoring program's SQL functions on rows, in Postgres."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from equivalence.oracle import Columns
from postgres_ml.generate import GeneratedFunctions, create_statement, generate_sql
from postgres_ml.program.program import Program
from postgres_ml.publish.by_name import by_name
from psycopg2 import sql
from psycopg2.extras import execute_values

# a column of type character without a length would hold one character
COLUMN_TYPES = {"character": "character(6)"}


class SqlRuntime:
    """A schema with a table of rows, and the functions of programs over them.

    Parameters
    ----------
    cursor : of a connection in autocommit mode
    schema : an empty schema
    generate : of the code generator to test
    """

    def __init__(self, cursor: Any, schema: str, generate: Any = generate_sql) -> None:
        self.cursor = cursor
        self.schema = schema
        self.generate = generate
        cursor.execute(sql.SQL("set search_path = {}").format(sql.Identifier(schema)))

    def load(self, program: Program, columns: Columns) -> None:
        """Store the rows in the table `rows`, in columns named and typed as the program's inputs."""
        names = [sql.Identifier(item.name) for item in program.inputs]
        types = [sql.SQL(COLUMN_TYPES.get(item.sql_type, item.sql_type)) for item in program.inputs]
        defined = [sql.SQL("{} {}").format(*pair) for pair in zip(names, types, strict=True)]
        self.cursor.execute("drop table if exists rows")
        self.cursor.execute(sql.SQL("create table rows (row_number int, {})").format(_comma(defined)))
        values = zip(
            *([_plain(v, item.kind) for v in columns[item.name]] for item in program.inputs), strict=True
        )
        execute_values(
            self.cursor,
            "insert into rows values %s",
            [(n, *row) for n, row in enumerate(values)],
            page_size=1000,
        )

    def create(self, program: Program, function: str = "predict_it") -> GeneratedFunctions:
        """Create the program's functions."""
        generated = self.generate(program, self.schema, function)
        for body in generated.functions:
            if body.composite:
                name = sql.Identifier(f"{function}_features")
                self.cursor.execute(sql.SQL("drop type if exists {} cascade").format(name))
        made = False
        for body in generated.functions:
            statement = create_statement(body, self.schema)
            if body.composite and made:  # one type for all functions
                statement = statement.partition(";\n")[2]
            made = made or bool(body.composite)
            self.cursor.execute(statement)
        return generated

    def call(self, program: Program, function: str = "predict_it") -> list[Any]:
        """Return what the function gives for each row of the table."""
        arguments = self._arguments(program, function)
        name = sql.Identifier(self.schema, function)
        query = sql.SQL("select {}({}) from rows order by row_number").format(name, arguments)
        self.cursor.execute(query)
        return [row[0] for row in self.cursor.fetchall()]

    def _arguments(self, program: Program, function: str = "predict_it") -> sql.Composable:
        arguments = _comma([sql.Identifier(item.name) for item in program.inputs])
        if len(program.inputs) > 100:
            return sql.SQL("row({})::{}").format(arguments, sql.Identifier(_type_of(function)))
        return arguments

    def predictions(self, program: Program, columns: Columns) -> tuple[list[Any], np.ndarray | None]:
        """Return each row's prediction, and the probabilities in the order of the program's labels."""
        self.load(program, columns)
        generated = self.create(program)
        self.check_by_name(program, generated)
        return self.answers(program, generated)

    def check_by_name(self, program: Program, generated: GeneratedFunctions) -> None:
        """Check that features by name, as jsonb, give what the same features give as arguments."""
        for body in by_name(generated.functions, self.schema):
            self.cursor.execute(create_statement(body, self.schema))
            name, arguments = sql.Identifier(self.schema, body.name), self._arguments(program)
            query = sql.SQL(
                "select count(*) from rows where {name}({arguments}) is distinct from {name}(to_jsonb(rows))"
            ).format(name=name, arguments=arguments)
            self.cursor.execute(query)
            assert self.cursor.fetchone() == (0,)

    def answers(self, program: Program, generated: GeneratedFunctions) -> tuple[list[Any], np.ndarray | None]:
        """Return what functions that are there give for rows that are there, as `predictions`."""
        predicted = self.call(program)
        if not any(body.role == "probabilities" for body in generated.functions):
            return predicted, None
        labels = list(program.output.labels)  # type: ignore[union-attr]
        found = self.call(program, "predict_it_probabilities")
        return predicted, np.array([_in_order(labels, answer) for answer in found]).reshape(-1, len(labels))


def _type_of(function: str) -> str:
    """Return the composite type that both functions of a wide program take."""
    return f"{function.removesuffix('_probabilities').removesuffix('_is_anomaly').removesuffix('_interval')}_features"


def _comma(items: list[Any]) -> sql.Composed:
    return sql.SQL(", ").join(items)


def _plain(value: Any, kind: str) -> Any:
    """Return a value that psycopg2 can adapt; a frame holds booleans as 0 and 1."""
    if kind == "boolean":
        return None if value is None or value != value else bool(value)
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value.item() if isinstance(value, np.generic) else value


def _in_order(labels: list[Any], answer: Any) -> list[float]:
    """Return probabilities in the labels' order; checks that the answer is sorted."""
    if answer is None:
        return [math.nan] * len(labels)
    probabilities = [math.nan if p is None else float(p) for p in answer["probabilities"]]
    assert sorted(answer["labels"], key=str) == sorted(labels, key=str)
    assert probabilities == sorted(probabilities, reverse=True)
    by_label = dict(zip(answer["labels"], probabilities, strict=True))
    return [by_label[label] for label in labels]
