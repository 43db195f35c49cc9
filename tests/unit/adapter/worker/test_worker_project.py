"""The project that a worker generates: constant texts, and of the caller nothing but variables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.postgres_ml.config.keys import MODEL
from dbt.adapters.postgres_ml.worker.place import Place, of_dsn
from dbt.adapters.postgres_ml.worker.project import (
    CONFIG_KEYS,
    config_of,
    make_project,
    remove_projects,
    variables,
)
from dbt.adapters.postgres_ml.worker.setup import RELEASE

MACROS = Path(__file__).parents[4] / "macros"
SQL_CLIENT = MACROS / "catalog" / "sql_client"
JOB = {
    "kind": "create", "job": 7, "attempt": 2, "schema": "m{{ 1 }}l", "model": "churn", "requested_by": 'an"a',
    "config": {"target": "{{ env_var('HOME') }}"},
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return of_dsn("host=h user=u dbname=d password=se{{cret}}", tmp_path)


def test_the_keys_that_the_catalog_lets_through_are_those_that_the_worker_takes() -> None:
    [keys] = re.findall(
        r"macro postgres_ml__worker_keys.*?return\(\[(.*?)\]\)",
        (MACROS / "any_dbt" / "config.sql").read_text(),
        re.DOTALL,
    )
    assert {*re.findall(r"'(\w+)'", keys), "grants"} == CONFIG_KEYS
    assert {"source", "trust", "endpoint"}.isdisjoint(CONFIG_KEYS) and {"target", "settings"} <= CONFIG_KEYS
    assert CONFIG_KEYS - {"grants"} < set(MODEL.names)


def test_the_release_of_the_functions_is_the_workers() -> None:
    [release] = re.findall(
        r"sql_client_release\(\) %\}\{\{ return\((\d+)\)", (SQL_CLIENT / "install.sql").read_text()
    )
    assert int(release) == RELEASE


def test_nothing_of_the_caller_stands_in_a_file(place: Place) -> None:
    folder = make_project(place, JOB, 1)
    texts = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert len(texts) == 4
    for text in texts.values():
        assert not re.search(r"HOME|se\{\{|m\{\{ 1|an\"a", text)
    values = variables(place, JOB)
    assert values["POSTGRES_ML_SCHEMA"] == "m{{ 1 }}l"
    assert values["DBT_ENV_SECRET_POSTGRES_ML_WORKER_PASSWORD"] == "se{{cret}}"
    assert json.loads(values["POSTGRES_ML_CONFIG"])["target"] == "{{ env_var('HOME') }}"
    assert make_project(place, {**JOB, "schema": "other"}, 1) != folder


def test_a_dropped_models_folders_go_and_no_others(place: Place) -> None:
    folders = [make_project(place, {**JOB, "kind": kind}, 1) for kind in ("create", "drop")]
    other = make_project(place, {**JOB, "schema": "other"}, 1)
    remove_projects(place, {**JOB, "kind": "drop"})
    assert not any(folder.exists() for folder in folders) and other.exists()
    remove_projects(place, {**JOB, "kind": "drop"})


def test_an_operation_has_a_project_without_the_model(place: Place) -> None:
    folder = make_project(place, {**JOB, "kind": "drop"}, 1)
    assert list((folder / "models").iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a b", "1a", "", "x" * 51, "{{ x }}", "a\n"])
def test_a_models_name_is_a_files_name(place: Place, name: str) -> None:
    with pytest.raises(ValueError, match="is no model's name"):
        make_project(place, {**JOB, "model": name}, 1)


@pytest.mark.parametrize("key", ["pre_hook", "post_hook", "source", "trust", "sql_header", "alias"])
def test_keys_that_run_code_are_refused_once_more(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        config_of({**JOB, "config": {key: "x"}})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, {"select": ['"an""a"']}),
        ({"select": "b"}, {"select": ["b", '"an""a"']}),
        ({"execute": ["b"]}, {"execute": ["b", '"an""a"'], "select": ['"an""a"']}),
    ],
)
def test_who_created_a_model_may_use_it(given: Any, found: dict[str, list[str]]) -> None:
    assert config_of({**JOB, "config": {"grants": given}})["grants"] == found


@pytest.mark.parametrize("given", [{"execute": None}, {"execute": [5]}, {"run": ["b"]}, ["b"]])
def test_grants_that_name_no_roles_fail_the_job(given: Any) -> None:
    with pytest.raises(ValueError, match="grants"):
        config_of({**JOB, "config": {"grants": given}})
