"""Which runtime a model gets: native where the language plmodel can be had, else sql, and a line that says why."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import psycopg2
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file
from postgres_ml import embedded
from postgres_ml.publish import native_extension
from support.dbt_projects import EmbeddedProfile
from support.native_server import load_builder

CHURN = """
{{{{ config(materialized='create_model', target='churned', runtime='{runtime}', auto=false, model_type='xgboost',
          hyperparameters={{'num_round': 30, 'max_depth': 4}}, grants={{'execute': ['public']}}) }}}}
select i % 41 as calls, (i * 7 % 100) / 10.0 as minutes, 'plan ' || i % 3 as plan,
    case when i % 41 > 20 and i % 3 <> 1 then 'yes' else 'no' end as churned
from generate_series(1, 900) as i
"""
N_WIDE = 120
COLUMNS = ", ".join(f"(i * {number} % 97)::float as f{number}" for number in range(N_WIDE))
WIDE = f"""
{{{{ config(materialized='create_model', target='y', runtime='native', auto=false, model_type='linear_learner') }}}}
select {COLUMNS}, case when i * 3 % 97 > 40 then 'high' else 'low' end as y from generate_series(1, 600) as i
"""
SCORED = f"""
select {{{{ predict('wide', alias='w') }}}} as label, {{{{ predict_probabilities('wide', alias='w') }}}} as p
from (select {COLUMNS} from generate_series(1, 600) as i) as w
"""
CALL = "select predict_churn(30, 5.0, 'plan 2'), predict_churn_probabilities(30, 5.0, 'plan 2')"
LANGUAGES = """
select proname, lanname::text from pg_proc join pg_language on pg_language.oid = prolang
where pronamespace = current_schema::regnamespace and proargtypes::text <> '3802' order by proname
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as a build of this package with a compiler at hand makes it."""
    builder = load_builder()
    if builder.compiler() is None:
        pytest.skip("no C compiler")
    headers = builder.server_headers(embedded_only=True)
    path = tmp_path_factory.mktemp("native") / f"plmodel-{max(headers)}.so"
    builder.build(headers[max(headers)], path)
    return path


class TestEmbeddedServer(EmbeddedProfile):
    @pytest.fixture(scope="class")
    def models(self):
        return {"churn.sql": CHURN.format(runtime="auto"), "wide.sql": WIDE, "scored.sql": SCORED}

    @pytest.fixture(scope="class", autouse=True)
    def package(self, library):
        """The package as built with a compiler, whether or not this checkout was."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native_extension, "packaged_library", lambda major: library)
            yield patch

    @contextlib.contextmanager
    def session(self, project, directory=None):
        at = embedded.ensure(directory or project.adapter.config.credentials.embedded, linger=5)
        with contextlib.closing(
            psycopg2.connect(host=at.host, port=at.port, user=at.user, dbname=at.dbname)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f'set search_path to "{project.test_schema}"')
                yield cursor

    def select(self, project, query, directory=None):
        with self.session(project, directory) as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def test_auto_is_native(self, project):
        results, log = run_dbt_and_capture(["build", "--select", "churn"])
        assert results[0].message.endswith("xgboost/native")
        assert "churn: runtime native: the fastest, and the server has it" in log
        assert "churn: native: " in log
        assert "rows agree with the pipeline" in log
        assert self.select(project, LANGUAGES) == [
            ("predict_churn", "plmodel"),
            ("predict_churn_probabilities", "plmodel"),
        ]
        assert self.select(project, "select runtime, version from churn") == [("native", 1)]
        languages = "select distinct f ->> 'language' from postgres_ml.model_version, jsonb_array_elements(functions) f"
        assert self.select(project, languages) == [("plmodel",)]

    def test_wide_models_are_native(self, project):
        run_dbt(["build", "--select", "wide", "scored"])
        agree = "select count(*) filter (where label = p -> 'labels' ->> 0) from scored"
        assert self.select(project, agree) == [(600,)]

    def test_sql_takes_the_place_of_native_and_says_the_same(self, project):
        before = self.select(project, CALL)
        write_file(CHURN.format(runtime="sql"), project.project_root, "models", "churn.sql")
        results, log = run_dbt_and_capture(["build", "--select", "churn"])
        assert results[0].message.endswith("xgboost/sql")
        assert "churn: runtime sql: as configured" in log
        assert dict(self.select(project, LANGUAGES))["predict_churn"] in ("sql", "plpgsql")
        [(label, probabilities)] = self.select(project, CALL)
        assert label == before[0][0]
        assert probabilities["probabilities"] == pytest.approx(before[0][1]["probabilities"], abs=1e-6)
        write_file(CHURN.format(runtime="native"), project.project_root, "models", "churn.sql")
        run_dbt(["build", "--select", "churn"])
        assert self.select(project, CALL) == before
        assert dict(self.select(project, LANGUAGES))["predict_churn"] == "plmodel"

    def test_another_build_of_the_package_replaces_the_library(self, project, package, library, tmp_path):
        placed = Path(project.adapter.config.credentials.embedded) / "plmodel.so"
        assert placed.read_bytes() == library.read_bytes()
        rebuilt = tmp_path / "rebuilt.so"
        rebuilt.write_bytes(library.read_bytes() + b"\0")
        with self.session(project) as opened:
            opened.execute(CALL)
            before = opened.fetchall()
            package.setattr(native_extension, "packaged_library", lambda major: rebuilt)
            run_dbt(["build", "--select", "churn"])
            assert placed.read_bytes() == rebuilt.read_bytes()
            opened.execute(CALL)  # by the library that it has
            assert opened.fetchall() == before
        assert self.select(project, CALL) == before

    def test_the_directory_can_be_moved(self, project):
        before = self.select(project, CALL)
        directory = Path(project.adapter.config.credentials.embedded)
        embedded.stop(directory)
        moved = directory.with_name(f"{directory.name}-moved")
        os.rename(directory, moved)  # noqa: PTH104
        try:
            assert self.select(project, CALL, moved) == before
        finally:
            embedded.stop(moved)
            shutil.move(moved, directory)


class TestNoNativeRuntime:
    """A server that lacks the extension, as managed ones do."""

    @pytest.fixture(scope="class")
    def models(self):
        return {"churn.sql": CHURN.format(runtime="auto"), "insists.sql": CHURN.format(runtime="native")}

    @pytest.fixture(scope="class", autouse=True)
    def no_extension(self, server_connection):
        with server_connection.cursor() as cursor:
            cursor.execute("select 1 from pg_available_extensions where name = 'plmodel'")
            if cursor.fetchone():
                pytest.skip("this server has the extension")

    def test_auto_is_sql_and_native_is_an_error(self, project):
        results, log = run_dbt_and_capture(["build"], expect_pass=False)
        messages = {result.node.name: result.message for result in results}
        assert messages["churn"].endswith("xgboost/sql")
        assert "churn: runtime sql: the server has no extension plmodel" in log
        assert "insists: runtime native: the server has no extension plmodel" in messages["insists"]


class TestNoCompiler(EmbeddedProfile):
    @pytest.fixture(scope="class")
    def models(self):
        return {"churn.sql": CHURN.format(runtime="auto")}

    def test_auto_is_sql(self, project, monkeypatch):
        monkeypatch.setattr(native_extension, "packaged_library", lambda major: None)
        _, log = run_dbt_and_capture(["build"])
        assert "churn: runtime sql: this installation has no library plmodel for PostgreSQL" in log

    def test_that_native_has_come_is_said_once_it_can_be_had(self, project, monkeypatch, library):
        monkeypatch.setattr(native_extension, "packaged_library", lambda major: None)
        said = "churn: runtime native is available now; --full-refresh trains and publishes in it"
        results, log = run_dbt_and_capture(["build"])
        assert results[0].message == "unchanged, kept v1"
        assert said not in log
        monkeypatch.setattr(native_extension, "packaged_library", lambda major: library)
        results, log = run_dbt_and_capture(["build"])
        assert results[0].message == "unchanged, kept v1"
        assert said in log
        results, log = run_dbt_and_capture(["build", "--full-refresh"])
        assert results[0].message.endswith("xgboost/native")
        assert said not in run_dbt_and_capture(["build"])[1]
