"""Reads the catalog's versions of a model. Everything that writes it is in macros/catalog."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dbt.adapters.postgres_ml.config.names import SUFFIXES

from postgres_ml.contract.sql_names import identifier
from postgres_ml.snapshot.copy import Cursor

STUB = "STUB"
LAYOUT = """select to_regclass('postgres_ml.model_version') is not null, coalesce((regexp_match(
    obj_description(to_regnamespace('postgres_ml')::oid, 'pg_namespace'), 'layout ([0-9]+)'
))[1]::integer, 0)"""


ARGUMENTS = """(
    select json_agg(json_build_array(a.value ->> 0, a.value ->> 1) order by a.n)
    from jsonb_array_elements(functions) as f
    cross join lateral jsonb_array_elements(
      case when f.value -> 'composite' = '[]' then f.value -> 'arguments' else f.value -> 'composite' end
    ) with ordinality as a(value, n)
    where is_serving and f.value ->> 'role' = 'predict'
)"""


COLUMNS = """(
    select f.value -> 'columns' from jsonb_array_elements(functions) as f
    where is_serving and f.value ->> 'role' = 'predict'
)"""


@dataclass(frozen=True)
class StoredVersion:
    """A version of a model, without the functions themselves.

    Parameters
    ----------
    version, state, is_serving, function_name : as in the catalog
    age_s : seconds since its training
    digest : what its training followed from, a `digest.Digest` as JSON; None before layout 2
    is_champion : whether MLflow's alias is known to point at it; None where it has none, or before layout 4
    summary : what run_results.json shows: metric, score, metrics, model_type, runtime, n_rows, mlflow_run_id;
        of the serving version also the function's arguments, and the columns of the table that it returns,
        as [name, type]
    """

    version: int
    state: str
    is_serving: bool
    function_name: str
    age_s: float
    digest: dict[str, Any] | None
    is_champion: bool | None
    summary: dict[str, Any]

    @property
    def age(self) -> str:
        """The age in words."""
        for name, seconds in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
            if self.age_s >= 2 * seconds:
                return f"{self.age_s / seconds:.0f} {name}"
        return f"{self.age_s:.0f} seconds"


def read_versions(cursor: Cursor, schema: str, model: str) -> tuple[StoredVersion, ...]:
    """Return the versions that the catalog holds, the newest first; none where there is no catalog.

    Parameters
    ----------
    schema, model : of the card, unquoted

    Raises
    ------
    psycopg2.Error
        The role may not read the catalog.
    """
    cursor.execute(LAYOUT)
    exists, layout = cursor.fetchall()[0]
    if not exists:
        return ()
    cursor.execute(
        f"""select version, case runtime when 'stub' then 'STUB' else state end, is_serving, function_name,
            extract(epoch from now() - trained_at)::float8,
            coalesce({"digest" if layout >= 2 else "null"}::text, 'null'),
            {"is_champion" if layout >= 4 else "null::boolean"},
            json_build_object('arguments', {ARGUMENTS}, 'columns', {COLUMNS},
                'metric', metric, 'score', score, 'metrics', metrics,
                'model_type', model_type, 'runtime', runtime, 'n_rows', n_rows,
                'mlflow_run_id', mlflow_run_id)::text
        from postgres_ml.model_version where model_schema = %s and model_name = %s order by version desc""",
        (schema, model),
    )
    return tuple(
        StoredVersion(
            version,
            state,
            is_serving,
            function,
            age_s,
            json.loads(digest),
            is_champion,
            json.loads(summary),
        )
        for version, state, is_serving, function, age_s, digest, is_champion, summary in cursor.fetchall()
    )


def read_champion(cursor: Cursor, schema: str, model: str) -> dict[str, Any]:
    """Return what a training needs to score the serving version, as `evaluate.champion` reads it."""
    cursor.execute(
        """select version, coalesce(evaluated_program, ''), coalesce(settings, '{}')::text,
            coalesce(labels, '[]')::text
        from postgres_ml.model_version where model_schema = %s and model_name = %s and is_serving""",
        (schema, model),
    )
    version, program, settings, labels = cursor.fetchall()[0]
    return {
        "version": version,
        "program": program,
        "settings": json.loads(settings),
        "labels": json.loads(labels),
    }


@dataclass(frozen=True)
class FunctionsThere:
    """What the database has of a model's functions.

    Parameters
    ----------
    serves : whether the prediction function, with our comment on this model, is there
    superseded : signatures of overloads with other arguments on which nothing depends any more
    """

    serves: bool
    superseded: tuple[str, ...]


def read_functions(cursor: Cursor, schema: str, model: str, function: str) -> FunctionsThere:
    """Return what there is under a prediction function's name and those beside it.

    Parameters
    ----------
    model : the card's name; a function that another model has replaced doesn't serve this one
    """
    cursor.execute(
        """select p.proname = %s and p.proargtypes::text <> 'jsonb'::regtype::oid::text
                and strpos(split_part(d.description, E'\\n', 1), %s) > 0,
            p.oid::regprocedure::text, d.description like 'SUPERSEDED%%',
            not exists (select 1 from pg_catalog.pg_depend as u where u.refclassid = d.classoid
                and u.refobjid = p.oid and u.deptype = 'n')
        from pg_catalog.pg_proc as p
        join pg_catalog.pg_description as d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
        where p.pronamespace = to_regnamespace(%s) and p.proname = any(%s)
            and d.description like '%%[dbt-postgres-ml]'""",
        (
            function,
            f" {model}, version ",
            identifier(schema),
            [function + suffix for suffix in SUFFIXES.values()],
        ),
    )
    rows = cursor.fetchall()
    serves = any(is_predict and not is_superseded for is_predict, _, is_superseded, _ in rows)
    return FunctionsThere(
        serves, tuple(name for _, name, superseded, is_free in rows if superseded and is_free)
    )
