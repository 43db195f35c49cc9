"""The commands of docs/operations.md that back a model up, restore it and move it, run as they stand."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from dbt.tests.util import run_dbt
from postgres_ml import embedded
from support.debian_server import install
from support.doc_pages import blocks, read_page, run_shell

MODEL = """{{ config(materialized='create_model', target='y', auto=false, model_type='linear_learner',
    problem_type='binary_classification', runtime='sql') }}
select x, region, y from raw.events"""
ROWS = """create schema raw; create table raw.events as select i % 17 as x,
    (array['north', 'south', null])[1 + i % 3] as region, i % 17 > 8 as y from generate_series(1, 600) as i"""
CALLS = """select ml.predict_customer_churn(x, r), ml.predict_customer_churn_probabilities(x, r)::text
    from generate_series(0, 16) as x, unnest(array['north', 'south', null]) as r"""
CATALOG = "select model_name, version, state, is_serving from postgres_ml.model_version order by version"

pytestmark = pytest.mark.xdist_group("debian")


def commands(section: str) -> list[str]:
    """Return the shell commands of a section of the page."""
    text = read_page("operations.md").partition(f"## {section}\n")[2].partition("\n## ")[0]
    [block] = blocks(text, "sh")
    return block.strip().splitlines()


class Server:
    """A server whose installation has pg_dump, with a model in it."""

    def __init__(self, root: Path, bindir: Path) -> None:
        self.root, self.bindir = root, bindir
        self.address = embedded.ensure(root / "data", bindir=bindir, linger=60, durability="off")

    def run(self, command: str) -> None:
        at = self.address
        url = f"postgresql:///{at.dbname}?host={quote(at.host, safe='')}&port={at.port}&user={at.user}"
        place = {"PGHOST": at.host, "PGPORT": str(at.port), "PGUSER": at.user, "DATABASE_URL": url}
        path = f"{self.bindir}{os.pathsep}{os.environ['PATH']}"
        run_shell(command, self.root, {**place, "PATH": path})

    def ask(self, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
        at = self.address
        connection = psycopg2.connect(host=at.host, port=at.port, user=at.user, dbname=database or at.dbname)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query)
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def build(self) -> None:
        (self.root / "models").mkdir()
        (self.root / "models" / "customer_churn.sql").write_text(MODEL)
        (self.root / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
        at = self.address
        target = {"type": "postgres_ml", "host": at.host, "port": at.port, "user": at.user, "password": "",
                  "dbname": at.dbname, "schema": "ml", "threads": 1}  # fmt: skip
        profile = {"shop": {"target": "dev", "outputs": {"dev": target}}}
        (self.root / "profiles.yml").write_text(json.dumps(profile))
        self.ask(ROWS)
        run_dbt(["build", "--project-dir", str(self.root), "--profiles-dir", str(self.root)])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # not in pytest's folders: those of root are closed to the account that the server then runs under
    root = Path(tempfile.mkdtemp(prefix="pgml-move-", dir="/tmp"))
    root.chmod(0o755)
    made = Server(root, install())
    made.build()
    yield made
    embedded.stop(root / "data")
    shutil.rmtree(root)


def test_a_restored_database_predicts_the_same(server: Server) -> None:
    for command in commands("Back up and restore"):
        server.run(command)
    assert server.ask(CALLS, "shop_restored") == server.ask(CALLS)
    assert server.ask(CATALOG, "shop_restored") == [("customer_churn", 1, "READY", True)]
    assert server.ask("select version from ml.customer_churn", "shop_restored") == [(1,)]


def test_a_model_moves_without_what_it_was_trained_on(server: Server) -> None:
    server.run("createdb elsewhere")
    for command in commands("Move a model to another database"):
        server.run(command)
    assert server.ask("select to_regclass('raw.events')", "elsewhere") == [(None,)]
    assert server.ask(CALLS, "elsewhere") == server.ask(CALLS)
    shown = dict(server.ask("select * from postgres_ml.show_model('ml.customer_churn')", "elsewhere"))
    assert shown["Function Name"] == "predict_customer_churn"
