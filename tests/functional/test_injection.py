"""Names and values that try to break out of the SQL that is made of them: each is quoted right or refused.

One model has them all at once: as columns, labels and categories, as schema, function and card. It is built,
predicted with, shown and dropped; the table `canary` must outlive that.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from dbt.tests.util import run_dbt, write_file
from psycopg2 import sql

ATTACKS = [
    "x'; drop table {canary}; --",
    'x"; drop table {canary}; --',
    "x\\'; drop table {canary}; --",
    "x$$; drop table {canary}; $$",
    "x$body$; drop table {canary}; $body$",
    "x')); drop table {canary}; --",
    "x */ ; drop table {canary}; /*",
    "x\n; drop table {canary}; --",
    "x%s %(a)s {{{{ run_query('drop table {canary}') }}}}",
]
SCHEMA = "s; drop$$ --"
FUNCTION = "f'; drop table c; --\\$$"
CARD = "m'; drop table c; --\\"
N_EACH = 70


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="class")
def attacks(unique_schema: str) -> list[str]:
    return [attack.format(canary=f"{unique_schema}.canary") for attack in ATTACKS]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class TestNamesAndValues:
    @pytest.fixture(scope="class")
    def models(self, attacks: list[str]) -> dict[str, str]:
        values = ", ".join(f"({i}, {literal(attack)})" for i, attack in enumerate(attacks))
        # columns by Jinja's own raw block: dbt would run what stands between braces
        columns = ", ".join(f"(i * {k} % 13) as {quoted(attack[:60])}" for k, attack in enumerate(attacks, 2))
        config = {
            "materialized": "create_model",
            "target": "label",
            "schema": SCHEMA,
            "alias": CARD,
            "function": FUNCTION,
            "auto": False,
            "model_type": "xgboost",
            "hyperparameters": {"num_round": 8},
            "settings": {"min_rows": 100},
        }
        query = f"""select a.attack as category, a.attack as label, {columns}
            from (values {values}) as a(id, attack), generate_series(1, {N_EACH}) as i"""
        return {
            "attacked.sql": "{{ config(" + ", ".join(f"{k}={v!r}" for k, v in config.items()) + ") }}\n"
            "{% raw %}" + query + "{% endraw %}"
        }

    @pytest.fixture(scope="class")
    def macros(self) -> dict[str, str]:
        return {
            "schema.sql": "{% macro generate_schema_name(name, node) %}"
            "{{ target.schema }}{{ name or '' }}{% endmacro %}"
        }

    @pytest.fixture(scope="class")
    def ask(self, server_connection: Any):
        def run(query: Any, *values: Any) -> list[tuple[Any, ...]]:
            with server_connection.cursor() as cursor:
                cursor.execute(query, values or None)
                return cursor.fetchall() if cursor.description else []

        return run

    @pytest.fixture(scope="class")
    def built(self, project: Any, ask: Any, attacks: list[str]):
        ask(f"create table {project.test_schema}.canary (n integer)")
        results = run_dbt(["build"])
        yield results[0]
        ask(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(project.test_schema + SCHEMA)))

    @pytest.fixture
    def call(self, project: Any, attacks: list[str]):
        """A call of the function with a category, the other features 1."""
        name = sql.Identifier(project.test_schema + SCHEMA, FUNCTION)
        return sql.SQL("select {}(%s, {})").format(name, sql.SQL(", ".join("1" for _ in attacks)))

    @pytest.mark.parametrize("index", range(len(ATTACKS)))
    def test_labels_and_categories_are_only_text(self, built, ask, call, attacks, index: int) -> None:
        assert ask(call, attacks[index]) == [(attacks[index],)]

    @pytest.mark.parametrize("index", range(len(ATTACKS)))
    def test_columns_are_only_names(self, built, project, ask, attacks, index: int) -> None:
        [(names,)] = ask(
            "select proargnames from pg_proc where proname = %s and pronamespace = to_regnamespace(%s) and pronargs > 1",
            FUNCTION,
            quoted(project.test_schema + SCHEMA),
        )
        assert names[index + 1] == attacks[index][:60]

    def test_the_card_and_the_catalog_are_right(self, built, project, ask) -> None:
        card = sql.SQL("select model, version from {}").format(
            sql.Identifier(project.test_schema + SCHEMA, CARD)
        )
        assert ask(card) == [(CARD, 1)]
        qualified = f"{quoted(project.test_schema + SCHEMA)}.{quoted(CARD)}"
        shown = dict(ask("select * from postgres_ml.show_model(%s)", qualified))
        assert shown["Model Name"] == CARD

    def test_predict_names_the_function(self, built, project, ask) -> None:
        write_file(
            "select {{ predict('attacked', {'category': \"'x'\"}) }} as p",
            project.project_root,
            "models",
            "p.sql",
        )
        run_dbt(["build", "--select", "p"])

    @pytest.mark.parametrize("operation", ["show_model", "list_versions"])
    def test_operations(self, built, ask, operation: str) -> None:
        run_dbt(["run-operation", operation, "--args", json.dumps({"model": "attacked"})])

    def test_the_model_can_be_dropped(self, built, project, ask) -> None:
        ask(f"drop view if exists {project.test_schema}.p")
        run_dbt(["run-operation", "drop_model", "--args", json.dumps({"model": "attacked"})])
        assert ask("select count(*) from pg_proc where proname = %s", FUNCTION) == [(0,)]

    def test_the_canary_lives(self, built, project, ask) -> None:
        assert ask(f"select count(*) from {project.test_schema}.canary") == [(0,)]


class TestConfigValues:
    """Values of the config that reach SQL or a library: refused while parsing, each by name."""

    ATTACK = "x'); drop table canary; --"

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        keys = {
            "problem_type": self.ATTACK,
            "objective": self.ATTACK,
            "model_type": self.ATTACK,
            "runtime": self.ATTACK,
            "promote": self.ATTACK,
            "retrain": self.ATTACK,
            "gates": {self.ATTACK: ">= 0"},
            "hyperparameters": {self.ATTACK: 1},
            "function": 'f"; drop table canary; --',
            "schema": 's"; drop table canary; --',
            "alias": "a\n",
            "settings": {"seed": self.ATTACK},
        }
        return {
            f"by_{key}.sql": "{{ config("
            + f"materialized='create_model', target='y', auto=false, {key}={value!r}"
            + ") }} select 1 as x, 2 as y"
            for key, value in keys.items()
        }

    def test_each_is_refused_by_name(self, project, models) -> None:
        with pytest.raises(Exception, match="create_model configuration") as caught:
            run_dbt(["parse"])
        for file in models:
            assert file.removesuffix(".sql") + " (" in str(caught.value), file
