"""The dbt project of one model: constant texts, and everything of the caller in variables.

dbt renders what stands in its files as Jinja, so nothing of the caller stands there: config and schema come
by `env_var()`, whose value is not rendered again. The model's name is checked; the query stays out.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.config.grants import privilege_problems
from dbt.adapters.postgres_ml.config.keys import MODEL
from dbt.adapters.postgres_ml.worker.place import WHOLE, Place

PROJECT = """\
name: sql_client
profile: worker
flags: {send_anonymous_usage_stats: false, use_colors: false, partial_parse: true}
"""
SCHEMA_MACRO = """\
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ env_var('POSTGRES_ML_SCHEMA', 'public') }}
{%- endmacro %}
"""
MODEL_FILE = """\
{{ config(
    materialized='create_model',
    pre_hook="create or replace temporary view postgres_ml_rows as
        select * from postgres_ml.rows_{{ env_var('POSTGRES_ML_JOB') | int }}",
    post_hook="{{ postgres_ml__finish_job(env_var('POSTGRES_ML_JOB'), env_var('POSTGRES_ML_ATTEMPT')) }}"
) }}
{{ config(**fromjson(env_var('POSTGRES_ML_CONFIG'))) }}
select * from pg_temp.postgres_ml_rows
"""
#: keys that read files, call services or run code on the worker's machine are not among them
CONFIG_KEYS = {*MODEL.names, "grants"} - {"source", "trust", "endpoint", "arguments", "returns"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")


def make_project(place: Place, job: Mapping[str, Any], n_threads: int) -> Path:
    """Return the folder of a model's project, made if need be.

    It keeps what could not be published. An operation has a project of its own without the model, which would
    have to be configured.
    """
    is_build = job["kind"] == "create"
    folder = _folder(place, job, is_build)
    template = place.folder / "template"
    if not folder.exists() and (template / "target" / "partial_parse.msgpack").exists():
        (folder / "target").mkdir(parents=True)
        shutil.copy(template / "target" / "partial_parse.msgpack", folder / "target")
    write_project(folder, place, n_threads)
    if is_build:
        _write(folder / "models" / f"{job['model']}.sql", MODEL_FILE)
    return folder


def remove_projects(place: Place, job: Mapping[str, Any]) -> None:
    """Remove the folders of a model that is dropped, as far as that is allowed."""
    for is_build in (True, False):
        shutil.rmtree(_folder(place, job, is_build), ignore_errors=True)


def _folder(place: Place, job: Mapping[str, Any], is_build: bool) -> Path:
    model = job["model"]
    if not NAME.fullmatch(model):
        raise ValueError(f"{model!r} is no model's name")
    place_digest = hashlib.sha256(f"{job['schema']}\0{model}".encode()).hexdigest()[:12]
    return place.folder / "projects" / f"{model}-{place_digest}{'' if is_build else '-operation'}"


def write_project(folder: Path, place: Place, n_threads: int) -> None:
    """Write what all projects have: the project file, the profile and the macro of the schema."""
    values = "\n".join(f'      {key}: "{_by_variable(key)}"' for key in sorted(place.profile()))
    profile = (
        "worker:\n  target: worker\n  outputs:\n    worker:\n      type: postgres_ml\n      schema: public\n"
        f"      threads: {n_threads}\n{values}\n"
    )
    (folder / "models").mkdir(parents=True, exist_ok=True)
    _write(folder / "dbt_project.yml", PROJECT)
    _write(folder / "profiles.yml", profile)
    _write(folder / "macros" / "schema.sql", SCHEMA_MACRO)


def variables(place: Place, job: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the environment that the project reads."""
    found = {_variable(key): value for key, value in place.profile().items()}
    if job is not None:
        found |= {
            "POSTGRES_ML_SCHEMA": job["schema"],
            "POSTGRES_ML_JOB": str(job["job"]),
            "POSTGRES_ML_ATTEMPT": str(job["attempt"]),
            "POSTGRES_ML_CONFIG": json.dumps(config_of(job)),
        }
    return found


def config_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that the project's model has: the caller's, and rights for the caller himself.

    Raises
    ------
    ValueError
        The catalog let a key through that SQL clients may not give, or `grants` names no roles.
    """
    config = dict(job["config"])
    unknown = config.keys() - CONFIG_KEYS
    if unknown:
        raise ValueError(f"config {sorted(unknown)} is not for SQL clients")
    quoted = '"' + job["requested_by"].replace('"', '""') + '"'
    given = config.get("grants")
    problems = privilege_problems(given or {})
    if problems:
        raise ValueError("; ".join(problems))
    grants = {key: [value] if isinstance(value, str) else list(value) for key, value in (given or {}).items()}
    grants["select"] = [*grants.get("select", []), quoted]
    if "execute" in grants:
        grants["execute"] = [*grants["execute"], quoted]
    return {**config, "grants": grants}


def _variable(key: str) -> str:
    secret = "DBT_ENV_SECRET_" if key == "password" else ""
    return f"{secret}POSTGRES_ML_WORKER_{key.upper()}"


def _by_variable(key: str) -> str:
    number = " | as_number" if key in (*WHOLE, "linger") else ""
    return f"{{{{ env_var('{_variable(key)}'){number} }}}}"


def _write(path: Path, text: str) -> None:
    """Write a file unless it says so already: dbt parses what is new."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
