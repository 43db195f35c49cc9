"""create_model under dbt v2, which is written in Rust and loads no Python adapter: `make test-dbt-2` runs this."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_ml.embedded import ServerAddress
from support.any_dbt import PARITY, SMALL, Project, World, any_dbt_world
from support.tcp_door import tcp_door

DBT = os.environ.get("POSTGRES_ML_DBT_2", "")
pytestmark = [
    pytest.mark.xdist_group("dbt_2"),
    pytest.mark.skipif(not DBT, reason="needs dbt v2: make test-dbt-2"),
]
#: where this release of dbt v2 keeps the driver that it downloads before its first query
DRIVER = "com.getdbt/adbc/x86_64-manylinux_2_17-linux-gnu/libadbc_driver_postgresql-0.21.0+dbt0.21.0.so"
COMPLAINT = re.compile(r"^\[(?:error|warning)\].*", re.MULTILINE)


class Project2(Project):
    """A project that dbt v2 runs."""

    def run(self, *arguments: str, target: str = "dev") -> Any:
        """Run a command without the frames of Rust's that dbt v2 prints below an error."""
        done = super().run(*arguments, target=target)
        return type(done)(done.code, re.sub(r"\n +\d+: <unknown>", "", done.output), done.results)


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What dbt v2 reads; the driver is PyPI's where it fits, so that nothing is downloaded from elsewhere."""
    cache = tmp_path_factory.mktemp("cache")
    driver = next(Path(DBT).parents[1].rglob("libadbc_driver_postgresql.so"), None)
    if driver and (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        (cache / DRIVER).parent.mkdir(parents=True)
        shutil.copy(driver, cache / DRIVER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_ALLOW_EXPERIMENTAL_ADAPTERS", "true")
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield


@pytest.fixture(scope="module")
def world(server: ServerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with any_dbt_world(server, tmp_path_factory.mktemp("dbt_2")) as made:
        yield made


@pytest.fixture(scope="module")
def project(world: World) -> Iterator[Project]:
    """The project on a port: this release of dbt v2 can't name a server's Unix socket."""
    with tcp_door(Path(world.server.host) / f".s.PGSQL.{world.server.port}") as port:
        outputs = world.outputs(host="127.0.0.1", port=port, password="-")
        made = world.project(Path(DBT), {name: outputs[name] for name in ("dev", "admin")}, SMALL)
        name_number_types(made.folder / "seeds")
        yield Project2(made.dbt, made.folder)


def name_number_types(seeds: Path) -> None:
    """Name the types of a seed's fractions: this release of dbt v2 calls them `double`, which Postgres doesn't know."""
    described = json.loads((seeds / "schema.yml").read_text())
    with (seeds / "concrete_mixtures.csv").open() as file:
        names = next(csv.reader(file))
    types = {name: "double precision" for name in names if name not in ("mixture_id", "age")}
    described["seeds"][0]["config"] = {"column_types": types}
    (seeds / "schema.yml").write_text(json.dumps(described))


@pytest.fixture(scope="module")
def built(world: World, project: Project) -> Any:
    world.ask("create schema ml", world.analyst)
    without = project.run("build", "-s", "+heavy")
    world.install(project)
    world.start_worker()
    return without, project.run("build")


def test_it_parses_without_a_complaint(project: Project) -> None:
    done = project.run("parse")
    assert done.code == 0 and COMPLAINT.findall(done.output) == []


def test_it_builds_all_of_it_without_a_complaint(built: Any) -> None:
    done = built[1]
    assert done.code == 0, done.output
    assert COMPLAINT.findall(done.output) == []
    assert {"heavy", "calls", "scored"} <= set(done.results)
    assert {row["status"] for row in done.results.values()} == {"success", "pass"}
    assert "heavy: training: there is no version yet" in done.output


def test_it_compiles_calls_and_draws_their_edges(project: Project, built: Any) -> None:
    done = project.run("compile")
    assert done.code == 0 and COMPLAINT.findall(done.output) == []
    compiled = (project.folder / "target" / "compiled" / "shop" / "models" / "calls.sql").read_text()
    assert '"ml"."says_heavy"(cement, water, fly_ash, age) as by_list' in compiled
    manifest = json.loads((project.folder / "target" / "manifest.json").read_text())
    assert "model.shop.heavy" in manifest["nodes"]["model.shop.calls"]["depends_on"]["nodes"]


def test_predictions_hooks_and_grants_are_there(world: World, built: Any) -> None:
    [(n, n_equal)] = world.ask(
        "select count(*), count(*) filter (where by_scope = by_alias and by_alias = by_list and by_list = by_name"
        " and by_name = s.prediction) from ml.calls join ml.scored as s using (mixture_id)",
        world.analyst,
    )
    assert n == n_equal == 1030
    assert world.ask("select at from ml.hooks") == [("after",)]
    [(acl,)] = world.ask("select proacl::text from pg_proc where proname = 'says_heavy' and pronargs > 1")
    assert world.analyst in acl


def test_errors_name_cause_and_cure(project: Project, built: Any) -> None:
    assert re.search(
        r"heavy: this database has no postgres_ml\.create_model.*postgres_ml\.create_catalog", built[0].output
    )
    path = project.folder / "models" / "tests.yml"
    path.write_text(json.dumps(PARITY))
    done = project.run("test", "-s", "postgres_ml_prediction_parity_heavy_")
    path.write_text(SMALL["tests.yml"])
    assert "prediction_parity compares by Python" in done.output and done.code == 1


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("show_models", {}, r"ml\.heavy +v1 +READY +binary_classification"),
        ("show_model", {"model": "heavy"}, r"Function Name +says_heavy"),
        ("explain_model", {"model": "heavy"}, r"\n *1 +\w+ +[\d.]+ +[\d.]+ %"),
        ("list_versions", {"model": "ml.heavy"}, r"\* v1  READY"),
        ("drop_orphans", {}, r"no model is orphaned"),
    ],
)
def test_operations(project: Project, built: Any, name: str, arguments: dict[str, Any], words: str) -> None:
    command = ("run-operation", f"postgres_ml.{name}", "--args", json.dumps(arguments))
    done = project.run(*command)
    assert re.search(words, done.output) and COMPLAINT.findall(done.output) == []


def test_a_model_is_dropped_by_the_worker(world: World, project: Project, built: Any) -> None:
    world.ask("drop table ml.calls; drop view ml.scored")
    command = ("run-operation", "postgres_ml.drop_model", "--args", '{"model": "heavy"}')
    assert project.run(*command).code == 0
    assert world.value("select to_regclass('ml.heavy')") is None
