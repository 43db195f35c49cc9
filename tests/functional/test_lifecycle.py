"""A model's life: when it is trained again, what keeps it from being published, older versions."""

import threading
from contextlib import closing, contextmanager
from pathlib import Path

import mlflow
import psycopg2
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file
from support.dbt_projects import EmbeddedProfile

ROWS = """create table events as
select i as id, i % 17 as x, i % 5 as z, (i % 17) * 2.0 + (i % 5) as y from generate_series(1, 600) as i"""
MODEL = """
{{{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
          problem_type='regression', runtime='sql'{more}) }}}}
select x, z, y from {{{{ target.schema }}}}.events
"""


@pytest.fixture(scope="class")
def models():
    return {"m.sql": MODEL.format(more="")}


@pytest.fixture(scope="class")
def select(project, server_connection):
    def run(query):
        with server_connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{project.test_schema}"')
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else None

    return run


@pytest.fixture(scope="class")
def build(project, select):
    select(ROWS)

    def run(more="", *flags, expect_pass=True):
        write_file(MODEL.format(more=more), project.project_root, "models", "m.sql")
        return run_dbt(["build", "--select", "m", *flags], expect_pass=expect_pass)[0]

    return run


def catalog(select, columns, condition="true"):
    return select(
        f"select {columns} from postgres_ml.model_version "
        f"where model_schema = current_schema and model_name = 'm' and {condition} order by version"
    )


class TestRetraining:
    def test_what_is_unchanged_is_kept_and_what_changed_is_named(self, build, select):
        first = build()
        assert first.adapter_response["version"] == 1
        kept = build()
        assert kept.message == "unchanged, kept v1"
        assert kept.adapter_response["code"] == "KEEP MODEL"
        assert kept.adapter_response["mlflow_run_id"] == first.adapter_response["mlflow_run_id"]
        assert kept.adapter_response["metrics"] == first.adapter_response["metrics"]
        assert kept.execution_time < 2.0  # a training takes 4 s

        # rows in another order are the same rows
        select("create table shuffled as select * from events order by md5(id::text)")
        select("drop table events; alter table shuffled rename to events")
        assert build().message == "unchanged, kept v1"
        # grants, gates and documentation are no reason either, and are applied
        role = "grants={'execute': ['pg_monitor']}, gates={'r2': '> 0.1'}, retrain='on_change'"
        assert build(f", {role}").message == "unchanged, kept v1"
        privileges = (
            "select coalesce(proacl::text, '') from pg_proc where pronamespace = current_schema::regnamespace"
        )
        assert all("pg_monitor=X" in acl and "{=X" not in acl for (acl,) in select(privileges))
        assert build(", grants={'execute': ['pg_read_all_stats']}").message == "unchanged, kept v1"
        assert all(
            "pg_monitor=X" not in acl and "pg_read_all_stats=X" in acl for (acl,) in select(privileges)
        )

    def test_values_that_change_places_are_a_change(self, build, select):
        # each column keeps its values
        select("update events set y = case id when 1 then 5.0 else 3.0 end where id in (1, 2)")
        assert build().adapter_response["version"] == 2
        assert catalog(select, "changes", "version = 2") == [("data (same number of rows, other values)",)]

    def test_rows_and_hyperparameters(self, build, select):
        select("insert into events select * from events where id <= 12")
        assert build(", hyperparameters={'alpha': 3}").adapter_response["version"] == 3
        assert catalog(select, "changes", "version = 3") == [("data (12 new rows), config (alpha)",)]

    def test_policies(self, build, select):
        alpha = ", hyperparameters={'alpha': 3}"
        never = build(f"{alpha[:-1]}, 'tol': 0.01}}, retrain='never'")
        assert never.message == "retrain: never; changed since: config (tol), kept v3"
        young = build(f"{alpha}, retrain={{'after': '7 days'}}")
        assert young.message.startswith("v3 is ")
        assert young.adapter_response["version"] == 3
        select(
            "update postgres_ml.model_version set trained_at = now() - interval '8 days' where model_schema = current_schema"
        )
        assert build(f"{alpha}, retrain={{'after': '7 days'}}").adapter_response["version"] == 4
        assert catalog(select, "changes", "version = 4") == [("v3 is 8 days old; nothing changed",)]

    def test_what_was_dropped_by_hand_is_made_again(self, build, select):
        select("drop function predict_m(float8, float8)")
        select("drop view m")
        restored = build(", hyperparameters={'alpha': 3}")
        assert restored.message == "unchanged, but its function is gone, restored v4"
        assert select("select predict_m(1, 1) is not null, version from m") == [(True, 4)]


@contextmanager
def readers(server, schema):
    """Call the function and read the card in a loop, on three connections; yields what they got, and the errors."""
    seen, errors, stop = set(), [], threading.Event()

    def read():
        where = {"host": server.host, "port": server.port, "user": server.user, "dbname": server.dbname}
        with closing(psycopg2.connect(**where)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            try:
                while not stop.is_set():
                    cursor.execute(
                        f'select round("{schema}".predict_m(10, 0)), (select count(*) from "{schema}".m)'
                    )
                    seen.add(cursor.fetchone())
            except psycopg2.Error as error:
                errors.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield seen, errors
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class TestVersions:
    """v1 predicts 2x, v2 3x, v3 4x, each plus z."""

    @pytest.fixture(scope="class")
    def versions(self, build, select, project):
        for factor in (2, 3, 4):
            select(f"update events set y = {factor} * x + z")
            build(", settings={'keep_versions': 2}")
        return project

    def operate(self, name, expect_pass=True, **arguments):
        text = "{" + ", ".join(f"{key}: {value}" for key, value in arguments.items()) + "}"
        _, log = run_dbt_and_capture(["run-operation", name, "--args", text], expect_pass=expect_pass)
        return " ".join(log.split())

    def champion(self, project):
        client = mlflow.MlflowClient(f"sqlite:///{project.project_root}/mlflow.db")
        return client.get_model_version_by_alias(f"{project.test_schema}.m", "champion").tags[
            "function_version"
        ]

    def test_older_ones_are_pruned(self, versions, select):
        assert catalog(select, "version, is_serving, state") == [(2, False, "SUPERSEDED"), (3, True, "READY")]

    def test_pinned_versions_outlive_publications(self, versions, select):
        pinned = "select {{ predict('m', ['10', '0'], version=2) }} as p, {{ predict('m', ['10', '0']) }} as serving"
        write_file(pinned, versions.project_root, "models", "uses.sql")
        run_dbt(["compile", "--select", "uses"])
        assert select("select count(*) from pg_proc where proname = 'predict_m__v2'") == [
            (0,)
        ]  # compiling leaves nothing
        run_dbt(["run", "--select", "uses"])
        assert [round(v, 1) for v in select("select p, serving from uses")[0]] == [30.0, 40.0]

    def test_rollback_there_and_back(self, versions, select, build):
        self.operate("rollback_model", model="m")
        assert catalog(select, "version, is_serving, state") == [(2, True, "READY"), (3, False, "SUPERSEDED")]
        assert select("select version, round(predict_m(10, 0)) from m") == [(2, 30)]
        assert (
            "version 2 (" in select("select obj_description('predict_m(float8, float8)'::regprocedure)")[0][0]
        )
        assert self.champion(versions) == "2"
        # nothing has changed since v3 was trained: the one rolled back to goes on serving
        assert build(", settings={'keep_versions': 2}").message == "unchanged, kept v2"
        self.operate("rollback_model", model="m", version=3)
        assert select("select version, round(predict_m(10, 0)) from m") == [(3, 40)]
        assert self.champion(versions) == "3"

    def test_readers_see_one_version_or_the_other_and_never_none(self, versions, server):
        with readers(server, versions.test_schema) as (seen, errors):
            self.operate("rollback_model", model="m")
            self.operate("rollback_model", model="m", version=3)
        assert errors == []
        assert seen == {(30, 1), (40, 1)}

    def test_operations_say_what_is_wrong(self, versions):
        for arguments, cause in (
            ({"model": "m", "version": 1}, "has no v1; the catalog keeps v2, v3 (settings: keep_versions)"),
            ({"model": "m", "version": 3}, "v3 serves already"),
        ):
            assert cause in self.operate("rollback_model", expect_pass=False, **arguments)

    def test_list(self, versions):
        log = self.operate("list_versions", model="m")
        assert "* v3 READY" in log
        assert " v2 SUPERSEDED" in log

    def test_drop(self, versions, select):
        log = self.operate("drop_model", model="m", expect_pass=False)
        assert "is used by" in log and "uses" in log
        select("drop view uses")
        for name in ("uses.sql", "m.sql"):
            (Path(versions.project_root) / "models" / name).unlink()
        log = self.operate("drop_orphans")
        assert f'"{versions.test_schema}"."m": would be dropped' in log
        assert len(catalog(select, "version")) == 2
        self.operate("drop_orphans", dry_run="false")
        assert catalog(select, "version") == []
        left = "select proname from pg_proc where pronamespace = current_schema::regnamespace"
        assert select(left) == []
        assert select("select to_regclass('m') is null") == [(True,)]


class TestGates:
    """A candidate that is refused leaves the serving version alone, and is not lost."""

    def runs(self, project, query):
        client = mlflow.MlflowClient(f"sqlite:///{project.project_root}/mlflow.db")
        return client.search_runs([e.experiment_id for e in client.search_experiments()], query)

    def test_error_fails_the_node_and_other_gates_publish_without_training(self, build, select, project):
        refused = build(", gates={'r2': '> 1'}", expect_pass=False)
        assert "gate not met: r2 is " in refused.message
        assert "not > 1; the new version is refused, nothing serves" in refused.message
        (run,) = self.runs(project, "tags.refused LIKE 'gate not met%'")
        assert run.info.status == "FINISHED"
        again = build(", gates={'r2': '> 1'}", expect_pass=False)  # compares the digest, trains nothing
        assert "gate not met: r2 is " in again.message
        assert len(self.runs(project, "")) == 1
        published = build(", gates={'r2': '> 0.5'}")
        assert published.adapter_response["version"] == 1
        assert published.adapter_response["mlflow_run_id"] == run.info.run_id
        (run,) = self.runs(project, "")
        assert run.data.tags["function_version"] == "1"
        assert "refused" not in run.data.tags

    def test_warn_keeps_the_serving_version(self, build, select):
        select("update events set y = y + 1")
        kept = build(", gates={'r2': {'threshold': '> 1', 'severity': 'warn'}}")
        assert str(kept.status) == "success"
        assert kept.message.startswith("gate not met: r2 is ")
        assert kept.message.endswith("kept v1")
        assert select("select version, round(predict_m(10, 0)) from m") == [(1, 20)]

    def test_a_candidate_that_is_not_better_is_refused(self, build, select):
        select("update events set y = y - 1 + (hashtext(id::text) % 100) / 100.0")  # noise in the target only
        kept = build(", promote='if_better'")
        assert kept.message.startswith("promote: if_better: mse is ")
        assert "v1 has " in kept.message and kept.message.endswith("on the same hold-out, kept v1")

    def test_a_better_one_is_promoted(self, build, select):
        select("update events set y = 7 * x + z")
        promoted = build(", promote='if_better'")
        assert promoted.adapter_response["version"] == 2
        assert select("select version, round(predict_m(10, 0)) from m") == [(2, 70)]

    def test_another_split_is_not_compared(self, build, select):
        result = build(", promote='if_better', settings={'seed': 5}")
        assert result.adapter_response["version"] == 3
        assert catalog(select, "changes", "version = 3") == [("config (seed)",)]

    def test_what_could_not_be_published_is_published_by_the_next_build(self, build, select, project):
        select("update events set y = 9 * x + z")
        n_runs = len(self.runs(project, ""))
        failed = build(", post_hook='select 1 / 0'", expect_pass=False)
        assert "division by zero" in failed.message
        assert select("select version from m") == [(3,)]
        published = build()
        assert published.adapter_response["version"] == 4
        assert select("select version, round(predict_m(10, 0)) from m") == [(4, 90)]
        runs = self.runs(project, "")
        assert len(runs) == n_runs + 1  # the failed build's, taken up again
        (run,) = [r for r in runs if r.info.run_id == published.adapter_response["mlflow_run_id"]]
        assert run.info.status == "FINISHED"
        assert "reason" not in run.data.tags

    def test_a_build_that_was_overtaken_stops(self, build, select, monkeypatch, project):
        from dbt.adapters.postgres_ml.build import trained as phases

        original = phases.train

        def overtaken(snapshot):
            result = original(snapshot)
            select(
                "insert into postgres_ml.model_version select (jsonb_populate_record(v, jsonb_build_object("
                "'version', 5, 'is_serving', false))).* from postgres_ml.model_version v "
                "where model_schema = current_schema and version = 4"
            )
            return result

        monkeypatch.setattr(phases, "train", overtaken)
        select("update events set y = 8 * x + z")
        stopped = build(expect_pass=False)
        assert "another build published v5 while this one trained" in stopped.message
        assert select("select version, round(predict_m(10, 0)) from m") == [(4, 90)]
        monkeypatch.undo()
        assert build().adapter_response["version"] == 6  # without training
        assert select("select round(predict_m(10, 0)) from m") == [(80,)]


class TestOlderCatalog(EmbeddedProfile):
    def test_it_is_brought_up_to_date_in_place(self, project):
        run = project.run_sql
        run("create table {schema}.events as select * from (" + ROWS.split("as", 1)[1] + ") as e")
        run_dbt(["build"])
        run(
            "alter table postgres_ml.model_version drop column digest, drop column changes, drop column statistics, "
            "drop column parity_rows, drop column evaluated_program; "
            "comment on schema postgres_ml is 'Catalog of dbt-postgres-ml'"
        )
        [result] = run_dbt(["build"])
        assert result.adapter_response["version"] == 2
        query = "select changes from postgres_ml.model_version order by version"
        assert run(query, fetch="all") == [
            (None,),
            ("the catalog does not say what the newest version was trained on",),
        ]
        assert run_dbt(["build"])[0].message == "unchanged, kept v2"
