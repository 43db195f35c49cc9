"""The pages for each person of the audience, followed on one small database: files, commands, SQL and Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from postgres_ml import embedded
from postgres_ml.embedded import ServerAddress
from support.doc_pages import blocks, read_page

ROOT = Path(__file__).parents[2]
QUICKSTART = read_page("quickstart.md")
ADMINISTRATORS = read_page("administrators.md")
NOT_HERE = re.compile(r"python3 -m venv|\. \.venv|pip install")
# a search of two candidates: what is tested are the commands
FEWER = ("'max_runtime': 60", "'max_runtime': 60, 'max_trials': 2")

pytestmark = pytest.mark.xdist_group("person_pages")


def commands(text: str) -> list[str]:
    lines = [line for block in blocks(text, "sh") for line in block.strip().splitlines()]
    return [line for line in lines if not NOT_HERE.match(line)]


def files() -> dict[str, str]:
    """Return the quickstart's files, each named by the comment in its first line."""
    found = {}
    for language in ("yaml", "sql"):
        for block in blocks(QUICKSTART, language):
            name, _, text = block.partition("\n")
            found[name.lstrip("#- ")] = text
    return found


class Reader:
    """Somebody who follows the pages in a folder of his own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, command: str, **environment: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"PATH": path, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", **environment}
        done = subprocess.run(
            ["sh", "-e", "-c", command], cwd=self.root, env={**os.environ, **settings}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def address(self) -> ServerAddress:
        return embedded.ensure(self.root / "shop.pgdata", linger=30)

    def ask(self, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
        at = self.address
        connection = psycopg2.connect(host=at.host, port=at.port, user=at.user, dbname=database or at.dbname)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    # not in pytest's folders: those of root are closed to the account that the server may run under
    root = Path(tempfile.mkdtemp(prefix="pgml-pages-", dir="/tmp"))
    root.chmod(0o755)
    (root / "seeds").mkdir()
    (root / "models").mkdir()
    shutil.copy(ROOT / "models_examples/seeds/telco_customers.csv", root / "seeds/customers.csv")
    yield Reader(root)
    embedded.stop(root / "shop.pgdata")
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def printed(reader: Reader) -> dict[str, list[str]]:
    """What the quickstart's commands print, in its order; a file is there before the command below it."""
    written = files()
    last = written.pop("models/customers_at_risk.sql")
    for name, text in written.items():
        (reader.root / name).write_text(text.replace(*FEWER))
    found: dict[str, list[str]] = {}
    for command in commands(QUICKSTART):
        if command == "dbt build" and found.get(command):
            (reader.root / "models/customers_at_risk.sql").write_text(last)
        found.setdefault(command, []).append(reader.run(command))
    return found


def shape(text: str) -> str:
    """Return psql's answer without its figures and the widths that follow from them."""
    return re.sub(r"[-+ ]{2,}", " ", re.sub(r"\d+(\.\d+)?", "0", text)).strip()


def test_the_quickstart_prints_what_it_says(printed: dict[str, list[str]]) -> None:
    [_] = printed["dbt seed"]
    first, second = printed["dbt build"]
    assert re.search(r"create_model model ml\.customer_churn .*CREATE MODEL v1 f1=0\.\d+", first)
    assert "unchanged, kept v1" in second
    answers = [shape(block) for block in re.findall(r"```\n( .*?)```", QUICKSTART, re.DOTALL)]
    asked = [printed[command][0] for command in printed if command.startswith("postgres-ml psql")]
    assert [shape(text) for text in asked[:2]] == answers
    assert "yes" in asked[1]
    assert int(re.findall(r"\d+", asked[2])[0]) > 300


@pytest.mark.parametrize("page", ["analysts.md", "functions.md"])
def test_every_statement_of_the_page_runs(printed: Any, reader: Reader, page: str) -> None:
    for statement in blocks(read_page(page), "sql"):
        assert "{{" not in statement
        rows = reader.ask(statement)
        if not re.search(r"create table|is null;", statement):
            assert rows, statement


def test_what_the_analyst_finds(printed: Any, reader: Reader) -> None:
    page = blocks(read_page("analysts.md"), "sql")
    [importance] = [text for text in page if "feature_importance" in text]
    assert reader.ask(importance)[0][1] in ("total_day_minutes", "international_plan")
    [ranked] = [text for text in page if "probability_of_yes" in text]
    shares = [share for _, share in reader.ask(ranked)]
    assert len(shares) == 10 and shares == sorted(shares, reverse=True) and shares[0] > 0.5
    assert reader.ask("select distinct model_version from ml.scored_customers") == [(1,)]


def test_every_number_and_string_that_a_driver_binds_is_taken(printed: Any, reader: Reader) -> None:
    """As JDBC declares them: setString, setBigDecimal, setLong, setInt."""
    at = reader.address
    with psycopg2.connect(host=at.host, port=at.port, user=at.user, dbname=at.dbname) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "prepare of_a_driver (varchar, varchar, numeric, bigint, integer) as "
            "select ml.predict_customer_churn($1, $2, $3, $4, $5)"
        )
        cursor.execute("execute of_a_driver ('OH', 'no', 265.1, 3, 5)")
        assert cursor.fetchall() == [("yes",)]
    connection.close()


def test_python_calls_the_function(printed: Any, reader: Reader) -> None:
    # the address has the server's own port and no password, as the command prints it
    names: dict[str, Any] = {"url": reader.run("postgres-ml server url shop.pgdata").strip()}
    for code in blocks(read_page("analysts.md"), "python"):
        exec(code, names)
    assert len(names["scored"]) == len(names["rows"]) == 5000
    assert list(map(tuple, names["scored"].sort_values("customer_id").to_numpy())) == sorted(
        tuple(row) for row in names["rows"]
    )
    assert names["will_churn"] == "yes"
    names["engine"].dispose()


def test_the_administrators_list_ends_with_a_build_of_the_trainer(printed: Any, reader: Reader) -> None:
    at = reader.address
    common = {"type": "postgres_ml", "host": at.host, "port": at.port, "password": "", "dbname": "shop",
              "schema": "ml", "threads": 1}  # fmt: skip
    outputs = {"admin": {**common, "user": at.user}, "trainer": {**common, "user": "ml_train"}}
    (reader.root / "profiles.yml").write_text(json.dumps({"shop": {"target": "admin", "outputs": outputs}}))
    [profile] = blocks(ADMINISTRATORS, "yaml")
    assert set(yaml.safe_load(profile.replace("…, ", ""))["prod"]) <= {
        "type", "mlflow_tracking_uri", "mlflow_experiment"
    }  # fmt: skip
    reader.ask("create database shop")
    build = False
    for language, text in re.findall(r"```(sql|sh)\n(.*?)```", ADMINISTRATORS, re.DOTALL):
        if language == "sql":
            rows = reader.ask(text, "shop")
            assert False not in (rows[0] if rows else ()), text
        elif text.startswith("dbt"):
            build = "create_catalog" not in text
            for command in text.strip().splitlines():
                reader.run(command, DBT_TARGET="trainer" if build else "admin")
    assert build
    owners = "select distinct pg_get_userbyid(proowner) from pg_proc where pronamespace = 'ml'::regnamespace"
    assert reader.ask(owners, "shop") == [("ml_train",)]
    assert reader.ask("select state from ml.customer_churn", "shop") == [("STUB",)]
