"""`postgres-ml server` and `postgres-ml psql`, as a user runs them."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress
from support.embedded_servers import PATIENCE_S, RUNTIME, scratch, wait_until, wait_until_gone

DIRECTORY = "shop.pgdata"


@pytest.fixture
def project(pristine_data) -> Iterator[Path]:
    """A directory that the commands run in, and the check that no process of it is left."""
    made = scratch()
    shutil.copytree(pristine_data, made / DIRECTORY / "data")
    yield made
    embedded.stop(made / DIRECTORY)
    wait_until_gone(made / DIRECTORY)
    shutil.rmtree(made)


def run(project: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "postgres_ml", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(RUNTIME), **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_url_works_in_libpq_and_sqlalchemy_until_stop(project):
    outcome = run(project, "server", "url", DIRECTORY)
    assert outcome.returncode == 0, outcome.stderr
    url = outcome.stdout.strip()
    assert "server stop" in outcome.stderr
    with psycopg2.connect(url) as connection:
        assert connection.info.host == str(project / DIRECTORY)
    connection.close()
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as session:
        assert session.execute(sqlalchemy.text("select 1")).scalar() == 1
    engine.dispose()

    status = run(project, "server", "status", DIRECTORY)
    assert (status.returncode, url in status.stdout) == (0, True)
    assert "until it is stopped" in status.stdout
    assert run(project, "server", "stop", DIRECTORY).returncode == 0
    wait_until_gone(project / DIRECTORY)
    assert run(project, "server", "status", DIRECTORY).returncode == 3
    assert "no server was running" in run(project, "server", "stop", DIRECTORY).stderr


def test_start_says_what_runs(project):
    outcome = run(project, "server", "start", DIRECTORY)
    assert outcome.returncode == 0, outcome.stderr
    description = embedded.describe(project / DIRECTORY)
    assert description.kept
    assert f"PostgreSQL {description.version} runs in {project / DIRECTORY}" in outcome.stdout


def test_psql_starts_the_server_and_passes_arguments_on(project):
    outcome = run(
        project,
        "psql",
        DIRECTORY,
        "template1",
        "-XAt",
        "-c",
        "select current_database(), 1 + 1",
        PGHOST="x",
        PGPORT="1",
    )
    assert outcome.stdout == "template1|2\n", outcome.stderr


def test_psql_fails_as_psql_does(project):
    outcome = run(project, "psql", DIRECTORY, "-X", "-v", "ON_ERROR_STOP=1", "-c", "select nonsense")
    assert (outcome.returncode, "nonsense" in outcome.stderr) == (1, True)


def test_the_server_stays_as_long_as_psql_runs(project):
    embedded.ensure(project / DIRECTORY, linger=0, durability="off")
    psql = subprocess.Popen(
        [sys.executable, "-m", "postgres_ml", "psql", DIRECTORY, "-XAt"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(RUNTIME)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    psql.stdin.write("select 1;\n")
    assert psql.stdout.readline() == "1\n"
    (project / DIRECTORY / "linger").write_text("0")
    embedded.release(project / DIRECTORY)
    psql.stdin.write("select pg_sleep(1.5);\n")  # three looks of the supervisor
    psql.stdin.write("select 2;\n")
    assert psql.stdout.readline() == "\n"
    assert psql.stdout.readline() == "2\n"
    psql.send_signal(signal.SIGKILL)
    psql.communicate()
    wait_until_gone(project / DIRECTORY)


def test_psql_that_is_nowhere(project):
    programs = project / "bin"
    programs.mkdir()
    for name in ("postgres", "initdb"):
        (programs / name).write_text('#!/bin/sh\necho "postgres (PostgreSQL) 18.4"\n')
        (programs / name).chmod(0o755)
    embedded.ensure(project / DIRECTORY, durability="off")
    description = project / DIRECTORY / "server.json"
    description.write_text(
        description.read_text().replace(str(embedded.describe(project / DIRECTORY).bindir), str(programs))
    )
    outcome = run(project, "psql", DIRECTORY, PATH="/nonexistent")
    assert outcome.returncode == 1
    assert f"no psql in {programs} or on the PATH" in outcome.stderr
    embedded.release(project / DIRECTORY)


def test_errors_are_one_line_and_exit_code_1(project):
    (project / "notes").mkdir()
    (project / "notes" / "notes.txt").touch()
    for words in (("server", "url", "notes"), ("server", "status", "notes"), ("psql", "notes")):
        outcome = run(project, *words)
        assert (outcome.returncode, outcome.stdout) == (1, "")
        assert outcome.stderr.startswith("postgres-ml: ")
        assert len(outcome.stderr.splitlines()) == 1


def test_usage_errors_are_exit_code_2(project):
    assert run(project, "server").returncode == 2
    assert run(project, "server", "url").returncode == 2


def test_url_encodes_what_a_url_can_not_hold():
    address = ServerAddress(host="/tmp/a b%c&d", port=5432, user="postgres", dbname="postgres")
    assert address.url == "postgresql://postgres@/postgres?host=%2Ftmp%2Fa%20b%25c%26d&port=5432"
    assert psycopg2.extensions.parse_dsn(address.url)["host"] == address.host


def test_kept_server_is_reached_by_url_after_its_starter_has_ended(project):
    url = run(project, "server", "url", DIRECTORY).stdout.strip()
    pid = embedded.describe(project / DIRECTORY).pid
    (project / DIRECTORY / "linger").write_text("0")
    wait_until(lambda: (project / DIRECTORY / "keep").exists(), "the server is kept")
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("select pg_sleep(1.5)")
    connection.close()
    assert embedded.describe(project / DIRECTORY).pid == pid
