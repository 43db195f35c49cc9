"""What the database has to allow for a model to be published, asked before anything is read or trained.

Each lack is one sentence with the command that cures it; all are said at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbt.adapters.postgres_ml import limits
from dbt.adapters.postgres_ml.build.node import NodeBuild, TrainingQuery
from dbt.adapters.postgres_ml.catalog.search_path import trusted_path
from dbt.adapters.postgres_ml.config.grants import grant_problems
from dbt.adapters.postgres_ml.config.names import SUFFIXES, grants_of

from postgres_ml.contract.sql_names import identifier

LAYOUT = 6  # of the catalog, as macros/catalog/create.sql makes it
RIGHTS = """
select
    current_user::text as role, current_database()::text as database,
    current_setting('transaction_read_only') = 'on' as is_read_only, pg_is_in_recovery() as is_standby,
    has_database_privilege(current_database(), 'temporary') as has_temporary,
    has_database_privilege(current_database(), 'create') as may_create_schema,
    s.oid is null or has_schema_privilege(s.oid, 'usage') and has_schema_privilege(s.oid, 'create')
        as may_publish,
    t.oid is not null as has_catalog,
    coalesce(pg_has_role(t.relowner, 'usage'), false) as owns_catalog,
    pg_get_userbyid(t.relowner)::text as catalog_owner,
    coalesce(
        has_schema_privilege(c.oid, 'usage') and has_table_privilege(t.oid, 'select')
        and has_table_privilege(t.oid, 'insert') and has_table_privilege(t.oid, 'update')
        and has_table_privilege(t.oid, 'delete'), false
    ) as may_write_catalog,
    coalesce(
        (regexp_match(obj_description(c.oid, 'pg_namespace'), 'layout ([0-9]+)'))[1]::integer, 0
    ) as layout
from (values (1)) as one
left join pg_namespace as s on s.nspname = %s
left join pg_namespace as c on c.nspname = 'postgres_ml'
left join pg_class as t on t.relnamespace = c.oid and t.relname = 'model_version'
"""
IN_THE_WAY = """
select p.oid::regprocedure::text, pg_get_userbyid(p.proowner)::text,
    coalesce(obj_description(p.oid, 'pg_proc'), '') like '%%[dbt-postgres-ml]',
    pg_has_role(p.proowner, 'usage')
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname = %s and p.proname = any(%s::name[])
"""
MAY_READ_CATALOG = """
select coalesce(has_schema_privilege(c.oid, 'usage') and has_table_privilege(t.oid, 'select'), false)
from (values (1)) as one
left join pg_namespace as c on c.nspname = 'postgres_ml'
left join pg_class as t on t.relnamespace = c.oid and t.relname = 'model_version'
"""
# as macros/prediction_function/ownership.sql asks when it publishes
OTHER_MODELS = """
select distinct v.model_name, v.function_name
from postgres_ml.model_version as v
cross join unnest(%s::text[]) as theirs (suffix)
where v.is_serving and v.model_schema = %s and v.model_name <> %s
    and v.function_name || theirs.suffix = any(%s::text[])
order by 1
"""
# a model whose `function` was renamed leaves the old one as it is, for what calls it
LEFT_BEHIND = """
select p.oid::regprocedure::text, found.model
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
cross join lateral (
    select substring(
        obj_description(p.oid, 'pg_proc') from '^(?:Predicts|Forecasts) by ([^\n]+), version [0-9]+ [(]'
    ) as model
) as found
where n.nspname = %s and p.proname = %s and found.model <> %s
    and obj_description(p.oid, 'pg_proc') like '%%[dbt-postgres-ml]'
order by 1
"""
CARD_OWNER = """
select pg_get_userbyid(c.relowner)::text
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and not pg_has_role(c.relowner, 'usage')
"""


def find_problems(build: NodeBuild, query: TrainingQuery, cursor: Any) -> list[str]:
    """Return why the role could not publish the model, one sentence each; with the command that cures it."""
    with trusted_path(cursor):
        return [
            *_column_names(query),
            *rights_problems(build, cursor),
            *_names(build, cursor),
            *_other_models(build, cursor),
            *grant_problems(cursor, grants_of(build.node)),
        ]


def _column_names(query: TrainingQuery) -> list[str]:
    return [
        f'column "{column.name}": PL/pgSQL reads it as an argument\'s position; name it otherwise with `as`'
        for column in query.features
        if column.name.startswith("$") and column.name[1:].isdigit()
    ]


def rights_problems(build: NodeBuild, cursor: Any) -> Iterator[str]:
    """Yield the rights that the role lacks on server, database, schema and catalog."""
    schema = build.place[0]
    cursor.execute(RIGHTS, (schema,))
    [values] = cursor.fetchall()
    found = dict(zip((column[0] for column in cursor.description), values, strict=True))
    user, role = found["role"], identifier(found["role"])
    if found["is_standby"]:
        yield "the server is a standby, which takes no changes: name the primary in the profile"
    elif found["is_read_only"]:
        yield (
            f"publishing {build.function}: {limits.READ_ONLY} (transactions of role {user} are read-only: "
            f"alter role {role} set default_transaction_read_only = off)"
        )
    if not found["has_temporary"]:
        yield (
            f"role {user} may not create temporary tables, which the parity check needs: "
            f"grant temporary on database {identifier(found['database'])} to {role}"
        )
    if not found["may_publish"]:
        yield (
            f"role {user} may not create functions in schema {schema}: "
            f"grant usage, create on schema {identifier(schema)} to {role}"
        )
    yield from _catalog(found)


def _catalog(found: dict[str, Any]) -> Iterator[str]:
    user, owner = found["role"], found["catalog_owner"]
    cure = f"dbt run-operation create_catalog --args '{{trainers: [{user}]}}'"
    if not found["has_catalog"] and not found["may_create_schema"]:
        yield (
            f"the database has no catalog, and role {user} may not create it: an administrator runs {cure} "
            f"once (or: grant create on database {identifier(found['database'])} to {identifier(user)})"
        )
    elif found["has_catalog"] and not found["owns_catalog"]:
        if not found["may_write_catalog"]:
            yield f"role {user} may not write the catalog postgres_ml: its owner, {owner}, runs {cure}"
        elif found["layout"] < LAYOUT:
            yield f"the catalog postgres_ml is of an older release: its owner, {owner}, runs {cure}"


def _names(build: NodeBuild, cursor: Any) -> Iterator[str]:
    cursor.execute(
        IN_THE_WAY, (build.place[0], [build.spec.function + suffix for suffix in SUFFIXES.values()])
    )
    for signature, owner, is_ours, may_replace in cursor.fetchall():
        if not is_ours:
            yield (
                f"function {signature} exists and was not made by dbt-postgres-ml (owner {owner}); it stays "
                "as it is. Set the config `function` to another name, or drop it yourself"
            )
        elif not may_replace:
            yield f"function {signature} belongs to role {owner}: build as that role, or a member of it"
    cursor.execute(CARD_OWNER, build.place)
    for (owner,) in cursor.fetchall():
        card = ".".join(build.place)
        yield f"the card {card} belongs to role {owner}: build as that role, or a member of it"


def _other_models(build: NodeBuild, cursor: Any) -> Iterator[str]:
    """Yield the models, of this project or of another, that serve by functions of the same names."""
    cursor.execute(MAY_READ_CATALOG)
    if not cursor.fetchall()[0][0]:
        return
    schema, model = build.place
    suffixes = list(SUFFIXES.values())
    names = [build.spec.function + suffix for suffix in suffixes]
    cursor.execute(OTHER_MODELS, (suffixes, schema, model, names))
    serving = cursor.fetchall()
    if not serving:
        cursor.execute(LEFT_BEHIND, (schema, build.spec.function, model))
        for signature, other in cursor.fetchall():
            yield (
                f"function {signature} is of model {other}, which left it for what still calls it: set the "
                f"config `function` of {model} to another name, or drop function {signature}"
            )
    for other, function in serving:
        yield (
            f"function {function}, with its like, belongs to model {schema}.{other}: set the config "
            f"`function` of {model} to another name, or drop that model: "
            f"dbt run-operation drop_model --args '{{model: {schema}.{other}}}'"
        )
