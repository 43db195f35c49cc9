"""What `--empty` publishes beside other versions, names and relations of a model: no training is needed for these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from dbt.adapters.postgres_ml.catalog.read import STUB, read_versions
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file
from sklearn.linear_model import LinearRegression
from support.selecting import selector

MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
           problem_type='regression', runtime='sql'{more}) }}}}
select i::{kind} as a, 2.0 * i as y from generate_series(1, 600) as i
"""
SCORED = """
{{ config(materialized='incremental', unique_key='a') }}
{{ predict_incremental('m', '(select i::float8 as a from generate_series(1, 5) as i) as given', key='a') }}
"""


class TestStubs:
    @pytest.fixture(scope="class")
    def models(self):
        return {
            "m.sql": MODEL.format(kind="float8", more=""),
            "mart.sql": "select {{ predict('m', ['1']) }} as predicted",
            "scored.sql": SCORED,
        }

    @pytest.fixture
    def ask(self, project, server_connection):
        return selector(server_connection, project.test_schema)

    @pytest.fixture
    def build(self, project, ask):
        """Build the model as a stub, of this text; afterwards it is dropped."""

        def run(text: str, *flags: str, select: str = "m") -> dict[str, Any]:
            write_file(text, project.project_root, "models", "m.sql")
            return {r.node.name: r for r in run_dbt(["run", "--select", *select.split(), *flags])}

        yield run
        ask("drop view if exists mart; drop table if exists scored")
        run_dbt(["run-operation", "drop_model", "--args", "{model: m}"])

    def test_a_model_takes_the_place_of_a_view(self, project, build, ask):
        build("select 1 as a, 2.0 as y")
        assert ask("select relkind from pg_class where oid = 'm'::regclass") == [("v",)]
        made = build(MODEL.format(kind="float8", more=""), "--empty")
        assert made["m"].message == "CREATE STUB v1: it predicts NULL"
        assert ask("select model, state from m") == [("m", "STUB")]
        # and again, where the model was published before
        build("select 1 as a, 2.0 as y")
        kept = build(MODEL.format(kind="float8", more=""), "--empty")
        assert kept["m"].message == "--empty, kept v1"
        assert ask("select model, state from m") == [("m", "STUB")]

    def test_a_card_of_an_older_release_is_replaced_in_place(self, build, ask):
        build(MODEL.format(kind="float8", more=""), "--empty")
        [(before, definition)] = ask("select 'm'::regclass::oid, pg_get_viewdef('m'::regclass)")
        ask(
            f"create view older as select * from m; create or replace view m as {definition.rstrip(';')} and true"
        )
        build(MODEL.format(kind="integer", more=", function='score_m'"), "--empty")
        assert ask("select 'm'::regclass::oid") == [(before,)]
        ask("drop view older")

    def test_a_stub_is_not_rolled_back_to(self, project, build, ask, server_connection):
        build(MODEL.format(kind="float8", more=""), "--empty")
        build(MODEL.format(kind="text", more=""), "--empty")
        place = f"model_schema = '{project.test_schema}' and model_name = 'm'"
        ask(
            f"update postgres_ml.model_version set state = 'READY', runtime = 'sql' where {place} and version = 2"
        )
        _, log = run_dbt_and_capture(
            ["run-operation", "rollback_model", "--args", "{model: m, version: 1}"], expect_pass=False
        )
        said = " ".join(log.split())
        assert "v1 is a stub, which predicts NULL for every row; no other version is kept" in said
        versions = (
            f"select version, state, is_serving from postgres_ml.model_version where {place} order by 1"
        )
        assert ask(versions) == [(1, "STUB", False), (2, "READY", True)]

        # one that an earlier release rolled back to is seen for what it is, so that the next build trains
        ask(
            f"update postgres_ml.model_version set state = 'READY', runtime = 'stub' where {place} and version = 2"
        )
        with server_connection.cursor() as cursor:
            assert read_versions(cursor, project.test_schema, "m")[0].state == STUB

    def test_another_function_is_published_under_empty(self, project, build, ask):
        build(MODEL.format(kind="float8", more=", function='score_one'"), "--empty")
        text = MODEL.format(kind="float8", more=", function='score_two'")
        write_file(text, project.project_root, "models", "m.sql")
        results, log = run_dbt_and_capture(["run", "--select", "m", "mart", "--empty"])
        assert {r.node.name: r.message for r in results}["m"] == "CREATE STUB v2: it predicts NULL"
        assert "score_one and those beside it stay as v1 made them" in " ".join(log.split())
        assert ask("select predicted from mart") == [(None,)]

    def test_a_version_that_was_published_under_another_name_can_be_pinned(self, project, build, ask):
        build(MODEL.format(kind="float8", more=", function='score_old'"), "--empty")
        build(MODEL.format(kind="float8", more=", function='score_new'"), "--empty")
        for version, name in ((1, "score_old__v1"), (2, "score_new__v2")):
            pinned = f"select {{{{ predict('m', ['1'], version={version}) }}}} as predicted"
            write_file(pinned, project.project_root, "models", "mart.sql")
            for _ in range(2):  # it is made, and found
                run_dbt(["run", "--select", "mart"])
            assert ask("select predicted from mart") == [(None,)]
            assert ask(f"select '{name}'::regproc::text") == [(name,)]
        write_file(
            "select {{ predict('m', ['1']) }} as predicted", project.project_root, "models", "mart.sql"
        )

    def test_a_model_that_was_made_elsewhere_is_not_evaluated_on_no_rows(self, project, build, ask):
        frame = pd.DataFrame({"a": np.arange(50.0)})
        joblib.dump(LinearRegression().fit(frame, 3 * frame["a"]), Path(project.project_root) / "line.joblib")
        rows = "select i::float8 as a, 2.0 * i as y from generate_series(1, 600) as i"
        write_file(rows, project.project_root, "models", "given.sql")
        text = (
            "{{ config(materialized='create_model', source='line.joblib', target='y') }} "
            "select * from {{ ref('given') }}"
        )
        build("select 1 as a, 2.0 as y")
        assert build(text, "--empty", select="given m")["m"].message.startswith("CREATE STUB")
        assert build(text, select="given m")["m"].message.startswith("CREATE MODEL")
        assert build(text, "--empty", select="given m")["m"].message.startswith("--empty, kept")
        assert ask("select round(predict_m(10)::numeric, 6)") == [(30,)]

    def test_another_training_of_the_same_number_is_scored_again(self, build, ask):
        text = MODEL.format(kind="float8", more="")
        build(text, "--empty")
        assert build(text, select="scored")["scored"].adapter_response["rows_affected"] == 5
        assert build(text, select="scored")["scored"].adapter_response["rows_affected"] == 0
        run_dbt(["run-operation", "drop_model", "--args", "{model: m}"])
        build(text, "--empty")
        assert ask("select version from m") == [(1,)]
        assert build(text, select="scored")["scored"].adapter_response["rows_affected"] == 5
        assert build(text, select="scored")["scored"].adapter_response["rows_affected"] == 0
