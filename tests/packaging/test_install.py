"""However it is installed, dbt finds the adapter, its macros and its profile template, with no packages.yml."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml

PROJECT = """
name: shop
profile: shop
flags: {send_anonymous_usage_stats: false}
"""
CHURN = """
{{ config(materialized='create_model', target='churn') }}
select 1 as visits, true as churn
"""
SCORED = """
select {{ predict('churn', ['visits']) }} as churn, {{ predict_probabilities('churn', ['visits']) }} as odds
from (select 1 as visits) as customers
"""
SCORED_BY_PACKAGE = "select {{ postgres_ml.predict('churn', ['visits']) }} as churn, 1 as visits"


@pytest.fixture
def target(server):
    where = {"host": server.host, "port": server.port, "user": server.user, "dbname": server.dbname}
    return {"type": "postgres_ml", **where, "pass": "unused", "schema": "packaging", "threads": 3}


@pytest.fixture
def shop(tmp_path, target):
    """A dbt project that uses the materialization and both macros."""
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "models" / "churn.sql").write_text(CHURN)
    (tmp_path / "models" / "scored.sql").write_text(SCORED)
    profiles = {"shop": {"target": "dev", "outputs": {"dev": target}}}
    (tmp_path / "profiles.yml").write_text(yaml.safe_dump(profiles))
    return tmp_path


@pytest.fixture
def home():
    """A folder outside of pytest's: those of root are closed to the account that the server then runs under."""
    directory = Path(tempfile.mkdtemp(prefix="pgml-test-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


def artifact(project: Path, path: str) -> str:
    return (project / "target" / path).read_text()


def test_imports_come_from_the_installation(environment, distributions, tmp_path):
    code = """if True:
        import dbt.adapters.postgres_ml as adapter, postgres_ml
        from dbt.adapters.factory import get_adapter_class_by_name, load_plugin
        load_plugin("postgres_ml")
        print(get_adapter_class_by_name("postgres_ml").type(), adapter.__file__, postgres_ml.__file__)
    """
    adapter_type, *files = environment.run(str(environment.python), "-c", code, cwd=tmp_path).split()
    assert adapter_type == "postgres_ml"
    home = distributions.sources if environment.kind == "editable" else environment.root
    assert [file for file in files if not Path(file).is_relative_to(home)] == []


def test_project_compiles_without_packages_yml(environment, shop):
    environment.dbt("compile", "--profiles-dir", ".", cwd=shop)
    manifest = json.loads(artifact(shop, "manifest.json"))
    assert "macro.dbt_postgres_ml.materialization_create_model_postgres_ml" in manifest["macros"]
    node = manifest["nodes"]["model.shop.scored"]
    assert node["depends_on"]["nodes"] == ["model.shop.churn"]
    called = {"macro.dbt_postgres_ml.predict", "macro.dbt_postgres_ml.predict_probabilities"}
    assert called <= set(node["depends_on"]["macros"])
    compiled = artifact(shop, "compiled/shop/models/scored.sql")
    assert '"packaging"."predict_churn"(visits) as churn' in compiled
    assert '"packaging"."predict_churn_probabilities"(visits) as odds' in compiled


def test_the_repository_as_a_package_does_no_harm(environment, shop, distributions):
    """Its macros then have a name of their own as well, `postgres_ml.predict`."""
    (shop / "packages.yml").write_text(f"packages: [{{local: {distributions.sources}}}]")
    (shop / "models" / "scored_by_package.sql").write_text(SCORED_BY_PACKAGE)
    environment.dbt("deps", "--profiles-dir", ".", cwd=shop)
    environment.dbt("compile", "--profiles-dir", ".", cwd=shop)
    for name in ("scored", "scored_by_package"):
        compiled = artifact(shop, f"compiled/shop/models/{name}.sql")
        assert '"packaging"."predict_churn"(visits) as churn' in compiled
    manifest = json.loads(artifact(shop, "manifest.json"))
    assert [name for name in manifest["nodes"] if not name.startswith("model.shop.")] == []


def test_version(environment, tmp_path):
    """dbt lists adapters by looking into its own folder, which an editable install leaves alone."""
    lists_it = "- postgres_ml: 0.1.0" in environment.dbt("--version", cwd=tmp_path)
    assert lists_it == (environment.kind != "editable")


def test_profile_template(environment, target, tmp_path):
    """What `dbt init` asks once the adapter is chosen, answered for a server."""
    code = """if True:
        import sys
        from argparse import Namespace
        from dbt.flags import set_from_args
        from dbt.task.init import InitTask
        arguments = Namespace(PROFILES_DIR=".")
        set_from_args(arguments, None)
        InitTask(arguments).create_profile_from_target("postgres_ml", "shop")
    """
    asked = ("host", "port", "user", "pass", "dbname", "schema", "threads")
    answers = ["2", *(str(target[key]) for key in asked)]
    environment.run(str(environment.python), "-c", code, cwd=tmp_path, answers="\n".join(answers) + "\n")
    written = yaml.safe_load((tmp_path / "profiles.yml").read_text())["shop"]
    assert written["outputs"][written["target"]] == target


# dbt init lists adapters as dbt --version does
@pytest.mark.parametrize("environment", ["wheel_of_sdist"], indirect=True)
def test_init_and_debug_on_an_embedded_server(environment, home):
    """From nothing to a connection: `dbt init` with its defaults, then `dbt debug`."""
    options = ["--profiles-dir", str(home)]
    adapters = re.findall(r"^  - (\w+):", environment.dbt("--version", cwd=home).split("Plugins:")[1], re.M)
    choice = adapters.index("postgres_ml") + 1
    environment.dbt("init", "shop", *options, cwd=home, answers=f"{choice}\n1\n\n\n\n")
    target = yaml.safe_load((home / "profiles.yml").read_text())["shop"]["outputs"]["dev"]
    assert target == {
        "type": "postgres_ml",
        "embedded": "./postgres.pgdata",
        "schema": "ml",
        "threads": 4,
    }
    try:
        assert "All checks passed!" in environment.dbt("debug", *options, cwd=home / "shop")
        ignored = (home / "shop" / ".gitignore").read_text().splitlines()
        assert {"target/", "mlflow.db*", "mlartifacts/", "mlruns/", "postgres.pgdata/"} <= set(ignored)
    finally:
        script = environment.root / "bin" / "postgres-ml"
        environment.run(str(script), "server", "stop", str(home / "shop" / "postgres.pgdata"), cwd=home)
