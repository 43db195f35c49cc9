"""The YAML of docs/ci.md and of this repository's own workflow: it is valid, and its commands work.

What needs somebody's machine is done here instead: `pip install`, and the download of production's manifest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from postgres_ml import embedded
from support.doc_pages import blocks, read_page, run_shell

ROOT = Path(__file__).parents[2]
PAGE = read_page("ci.md")
GITHUB, PROFILES, GITLAB = map(yaml.safe_load, blocks(PAGE, "yaml"))
[SAMPLE] = blocks(PAGE, "sql")
[DEFER] = map(str.strip, blocks(PAGE, "sh"))
NOT_HERE = ("pip install ", "curl ")
CUSTOMERS = "customer_id,state,calls,churn\n" + "".join(
    f"{i},{'OHKS'[i % 2 * 2 :][:2]},{i % 9},{'yes' if i % 9 > 4 else 'no'}\n" for i in range(600)
)
FILES = {
    # no search: what is tested are the commands
    "dbt_project.yml": "name: shop\nprofile: shop\nmodels: {+auto: false, +model_type: linear_learner}\n",
    "seeds/customers.csv": CUSTOMERS,
    "models/customer_churn.sql": SAMPLE + "select state, calls, churn from {{ ref('customers') }}\n",
    "models/customers_at_risk.sql": "select customer_id, {{ predict('customer_churn', ['state', 'calls']) }} as will_churn\n"
    "from {{ ref('customers') }}\n",
}

pytestmark = pytest.mark.xdist_group("ci_page")


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


class Checkout:
    """A checkout of a project whose `.ci/profiles.yml` is the page's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in FILES.items():
            path = root / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        (root / ".ci").mkdir()
        (root / ".ci" / "profiles.yml").write_text(yaml.safe_dump(PROFILES))

    def run(self, command: str, environment: dict[str, str]) -> dict[str, str]:
        """Run a step as a runner does; return the status of each node of the last dbt command."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {**environment, "PATH": path, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        run_shell(command, self.root, settings)
        results = json.loads((self.root / "target" / "run_results.json").read_text())["results"]
        return {result["unique_id"].split(".")[2]: result["message"] for result in results}

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        at = embedded.ensure(self.root / "ci.pgdata", linger=5)
        with psycopg2.connect(host=at.host, port=at.port, user=at.user, dbname=at.dbname) as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return cursor.fetchall()


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    # not in pytest's folders: those of root are closed to the account that the server may run under
    root = Path(tempfile.mkdtemp(prefix="pgml-ci-", dir="/tmp"))
    root.chmod(0o755)
    yield Checkout(root)
    embedded.stop(root / "ci.pgdata")
    shutil.rmtree(root)


def test_the_jobs_commands_build_stubs_and_then_small_models(checkout: Checkout) -> None:
    job = GITHUB["jobs"]["build"]
    install, empty, sample = commands(job)
    assert install.startswith(NOT_HERE)
    assert checkout.run(empty, job["env"])["customer_churn"] == "CREATE STUB v1: it predicts NULL"
    assert checkout.run(sample, job["env"])["customer_churn"].startswith("CREATE MODEL v2 ")
    assert checkout.ask("select distinct will_churn from ci.customers_at_risk order by 1") == [
        ("no",),
        ("yes",),
    ]
    [(settings,)] = checkout.ask("select settings from postgres_ml.model_version where is_serving")
    assert (settings["max_cells"], settings["max_runtime"]) == (20000, 60)


def test_gitlab_runs_the_same_commands() -> None:
    assert GITLAB["dbt"]["script"] == commands(GITHUB["jobs"]["build"])
    assert (
        GITLAB["dbt"]["variables"]["DBT_PROFILES_DIR"] == GITHUB["jobs"]["build"]["env"]["DBT_PROFILES_DIR"]
    )


def test_the_other_job_defers_to_productions_function(checkout: Checkout) -> None:
    job = GITHUB["jobs"]["defer"]
    install, download, build = commands(job)
    assert install.startswith(NOT_HERE) and download.startswith(NOT_HERE)
    assert build == DEFER
    at = embedded.ensure(checkout.root / "ci.pgdata", linger=30)
    place = {
        "PGHOST": at.host,
        "PGPORT": str(at.port),
        "PGUSER": at.user,
        "PGDATABASE": at.dbname,
        "PGPASSWORD": "-",
    }
    environment = {**job["env"], **place, "PULL_REQUEST": "of_production"}
    checkout.run("dbt build", environment)
    (checkout.root / "prod-artifacts").mkdir()
    shutil.copy(checkout.root / "target" / "manifest.json", checkout.root / "prod-artifacts")
    with (checkout.root / "models" / "customers_at_risk.sql").open("a") as model:
        model.write("where customer_id > 0\n")
    built = checkout.run(build, {**environment, "PULL_REQUEST": "17"})
    assert list(built) == ["customers_at_risk"]
    [(definition,)] = checkout.ask("select pg_get_viewdef('pr_17.customers_at_risk'::regclass)")
    assert "pr_of_production.predict_customer_churn(" in definition
    functions = "select count(*) from pg_proc where pronamespace = 'pr_17'::regnamespace"
    assert checkout.ask(functions) == [(0,)]


def test_this_repositorys_workflow_tests_every_python_it_promises() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    promised = re.findall(r"Programming Language :: Python :: (3\.\d+)", (ROOT / "setup.py").read_text())
    assert set(workflow["jobs"]) == {"test", "dbt-1-12", "wheel", "coverage"}
    job = workflow["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == promised
    [command] = commands(job)
    assert command.startswith("make test ")
