"""Where a worker works, by DSN, profile and embedded directory, and its command line."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from pathlib import Path

import pytest
from dbt.adapters.postgres_ml.worker import command
from dbt.adapters.postgres_ml.worker.command import JsonFormatter, is_worth_saying, parser
from dbt.adapters.postgres_ml.worker.place import of_directory, of_dsn, of_profile
from dbt.adapters.postgres_ml.worker.schedules import last_due
from postgres_ml.contract.exceptions import SpecError
from psycopg.conninfo import conninfo_to_dict

PROFILES = """
shop:
  target: prod
  outputs:
    prod: {type: postgres_ml, host: db.example, port: 6000, user: u, password: p, dbname: d, schema: ml, role: ml_worker,
           sslmode: require, mlflow_tracking_uri: "http://mlflow.example"}
    local: {type: postgres_ml, embedded: ./shop.pgdata, schema: ml}
    plain: {type: postgres, host: h, user: u, password: p, dbname: d, schema: ml, port: 1, threads: 1}
"""


def test_a_dsn_names_the_server(tmp_path: Path) -> None:
    place = of_dsn("postgresql://u:p%40@db.example:6000/d?sslmode=require", tmp_path)
    found = conninfo_to_dict(place.conninfo())
    assert (found["host"], found["port"], found["password"], found["sslmode"]) == (
        "db.example",
        "6000",
        "p@",
        "require",
    )
    assert found["options"] == "-c search_path=pg_catalog,postgres_ml_queue"
    assert place.name == "db.example:6000/d"
    assert place.profile()["mlflow_tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert place.profile()["search_path"] == "pg_catalog, postgres_ml_queue"
    pooled = of_dsn("host=h user=u dbname=d", tmp_path, is_pooled=True)
    assert "options" not in conninfo_to_dict(pooled.conninfo()) and "search_path" not in pooled.profile()


@pytest.mark.parametrize(
    ("dsn", "said"),
    [("nonsense", "--dsn: "), ("host=h gssencmode=disable", "gssencmode: dbt-postgres has no such key")],
)
def test_a_dsn_that_dbt_could_not_use_is_refused(tmp_path: Path, dsn: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        of_dsn(dsn, tmp_path)


def test_a_profile_names_the_server_the_role_and_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "profiles.yml").write_text(PROFILES)
    monkeypatch.chdir(tmp_path)
    place = of_profile("shop", None, tmp_path, tmp_path / "work")
    assert place.role == "ml_worker" and place.profile()["mlflow_tracking_uri"] == "http://mlflow.example"
    assert conninfo_to_dict(place.conninfo())["options"].endswith("-c role=ml_worker")
    local = of_profile("shop", "local", tmp_path, tmp_path / "work")
    assert local.directory == str(tmp_path / "shop.pgdata") and local.profile()["embedded"] == local.directory
    for name, target, said in (
        ("shop", "plain", "is of type postgres"),
        ("none", None, "profile none"),
        ("shop", "none", "profile shop"),
    ):
        with pytest.raises(SpecError, match=said):
            of_profile(name, target, tmp_path, tmp_path / "work")


def test_an_embedded_directory_shares_the_projects_mlflow(tmp_path: Path) -> None:
    assert (
        of_directory(tmp_path / "pg", tmp_path / "work").profile()["mlflow_tracking_uri"]
        == f"sqlite:///{tmp_path}/mlflow.db"
    )


def test_the_command_names_one_database() -> None:
    with pytest.raises(SpecError, match="name one database"):
        command.main(["x.pgdata", "--dsn", "host=h"])
    with pytest.raises(SystemExit):
        parser().parse_args(["x", "--concurrency", "0"])


def test_a_log_line_is_an_object_with_the_jobs_fields() -> None:
    record = logging.LogRecord("postgres_ml.worker", logging.INFO, "", 1, "%s begins", ("job",), None)
    record.job, record.model, record.seconds = 3, "ml.churn", 1.5
    said = json.loads(JsonFormatter().format(record))
    assert said.pop("time")
    assert said == {"level": "info", "message": "job begins", "job": 3, "model": "ml.churn", "seconds": 1.5}


@pytest.mark.parametrize(
    ("name", "action", "is_said"),
    [
        ("postgres_ml.worker", None, True),
        ("procrastinate.worker", "job_error", True),
        ("procrastinate.worker", "side_task_failed", False),
        ("procrastinate.periodic", None, False),
    ],
)
def test_of_the_queues_lines_those_of_failed_jobs_are_said(
    name: str, action: str | None, is_said: bool
) -> None:
    record = logging.LogRecord(name, logging.ERROR, "", 1, "Job run_job ended", (), None)
    record.action = action
    assert is_worth_saying(record) == is_said


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("0 3 * * *", datetime(2026, 1, 5, 3, tzinfo=timezone.utc)),
        ("*/5 * * * *", datetime(2026, 1, 5, 12, 0, tzinfo=timezone.utc)),
        ("0 3 * * sun", datetime(2026, 1, 4, 3, tzinfo=timezone.utc)),
        ("61 3 * * *", None),
        ("0 3 * *", None),
        ("0 0 30 2 *", None),
    ],
)
def test_a_schedule_is_due_in_utc(cron: str, due: datetime | None) -> None:
    assert last_due(cron, datetime(2026, 1, 5, 12, 4, tzinfo=timezone.utc)) == due
