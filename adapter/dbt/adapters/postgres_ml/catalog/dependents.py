"""What keeps values that a model's functions computed, and the statement that renews each.

Postgres believes that an immutable function never changes; a new version changes it. What calls the function
at each query (views, policies, defaults) is right by itself. What stored its values is not: indexes,
materialized views, generated columns, constraints that were checked, partitions that rows were put into,
statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dbt.adapters.postgres_ml.catalog.exclusive_lock import execute_exclusively
from dbt.adapters.postgres_ml.log import logger

INDEX = "index"

# From the functions on through what calls them and stores nothing (views, SQL functions of others, operators,
# casts, types), and through what stores values and can be read in turn: materialized views, generated
# columns. What is found behind these is right once they are renewed: is_copy. A rule depends on its view, not
# the view on its rule, and a generated column not on its expression, so both steps are added.
USED = """
with recursive used (classid, objid, objsubid, is_copy) as (
    select 'pg_proc'::regclass::oid, p.oid, 0, false
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = %s and p.proname = any(%s::name[])
    union
    select next.classid, next.objid, next.objsubid, next.is_copy
    from used
    left join pg_class as c on used.classid = 'pg_class'::regclass and c.oid = used.objid
    cross join lateral (
        select
            d.classid, d.objid, d.objsubid,
            used.is_copy or c.relkind is not distinct from 'm' or used.objsubid <> 0 as is_copy
        from pg_depend as d
        where d.refclassid = used.classid and d.refobjid = used.objid and d.deptype in ('n', 'a')
            and case
                when used.objsubid <> 0 then d.refobjsubid = used.objsubid
                else c.relkind is null or c.relkind in ('v', 'm')
            end
        union all
        select 'pg_class'::regclass::oid, r.ev_class, 0, used.is_copy
        from pg_rewrite as r
        where used.classid = 'pg_rewrite'::regclass and r.oid = used.objid and r.rulename = '_RETURN'
        union all
        select 'pg_class'::regclass::oid, e.adrelid, e.adnum::integer, used.is_copy
        from pg_attrdef as e
        join pg_attribute as a on a.attrelid = e.adrelid and a.attnum = e.adnum
        where used.classid = 'pg_attrdef'::regclass and e.oid = used.objid and a.attgenerated <> ''
    ) as next
),
relation as (
    select distinct c.oid, c.oid::regclass::text as name, used.objsubid as attnum, c.relkind, used.is_copy
    from used
    join pg_class as c on used.classid = 'pg_class'::regclass and c.oid = used.objid
),
generated as (
    select
        r.name as relation, quote_ident(a.attname) as name, format_type(a.atttypid, a.atttypmod) as type,
        pg_get_expr(e.adbin, e.adrelid) as expression, (
            select quote_ident(b.attname)
            from pg_depend as d
            join pg_attribute as b on b.attrelid = d.refobjid and b.attnum = d.refobjsubid
            where d.classid = 'pg_attrdef'::regclass and d.objid = e.oid and d.refobjid = r.oid
                and b.attgenerated = ''
            order by b.attnum
            limit 1
        ) as source
    from relation as r
    join pg_attribute as a on a.attrelid = r.oid and a.attnum = r.attnum and a.attgenerated = 's'
    join pg_attrdef as e on e.adrelid = r.oid and e.adnum = a.attnum
),
checked as (
    select
        case when k.conrelid = 0 then 'domain ' || k.contypid::regtype::text
            else 'table ' || k.conrelid::regclass::text end as owner,
        quote_ident(k.conname) as name, pg_get_constraintdef(k.oid) as definition
    from used
    join pg_constraint as k on used.classid = 'pg_constraint'::regclass and k.oid = used.objid
    where k.contype = 'c' and k.coninhcount = 0
)
"""

# Postgres computes a generated column again where a column that it reads is assigned, checks a constraint
# when it is added, and puts a row into its partition when it is inserted.
STORED = f"""{USED}
select '{INDEX}', r.name, 'reindex index ' || r.name, pg_has_role(t.relowner, 'usage')
from relation as r
join pg_index as i on i.indexrelid = r.oid
join pg_class as t on t.oid = i.indrelid
where r.relkind = 'i' and not r.is_copy and not pg_is_other_temp_schema(t.relnamespace)
union
select 'materialized view', r.name, 'refresh materialized view ' || r.name, false
from relation as r
where r.relkind = 'm'
union
select
    'generated column', g.relation || '.' || g.name,
    case
        when current_setting('server_version_num')::integer >= 170000 then format(
            'alter table %%s alter column %%s set expression as (%%s)', relation, name, expression
        )
        when source is not null then format('update %%s set %%s = %%s', relation, source, source)
        else format(
            'alter table %%s drop column %%s, add column %%s %%s generated always as (%%s) stored',
            relation, name, name, type, expression
        )
    end,
    false
from generated as g
union
select
    'check constraint', name || ' of ' || owner,
    case
        when owner like 'domain %%' then format(
            'alter %%s drop constraint %%s; alter %%s add constraint %%s %%s',
            owner, name, owner, name, definition
        )
        else format('alter %%s drop constraint %%s, add constraint %%s %%s', owner, name, name, definition)
    end,
    false
from checked
union
select
    'partition key', pg_get_partkeydef(r.oid) || ' of ' || r.name,
    format('with moved as (delete from %%s returning *) insert into %%s select * from moved', r.name, r.name),
    false
from relation as r
where r.relkind = 'p' and r.attnum = 0
union
select
    'statistics', format('%%I.%%I', n.nspname, s.stxname),
    format('analyze %%s', s.stxrelid::regclass), false
from used
join pg_statistic_ext as s on used.classid = 'pg_statistic_ext'::regclass and s.oid = used.objid
join pg_namespace as n on n.oid = s.stxnamespace
order by 1, 2
"""


@dataclass(frozen=True)
class Dependent:
    """Something that holds values of the functions.

    Parameters
    ----------
    kind, name : what it is, and its quoted name
    statement : renews it
    may_reindex : whether it is an index of a table that the role owns
    """

    kind: str
    name: str
    statement: str
    may_reindex: bool


def read_dependents(cursor: Any, schema: str, functions: list[str]) -> tuple[Dependent, ...]:
    """Return what holds values that these functions, of every signature, computed.

    Parameters
    ----------
    cursor : psycopg2's, whose search_path names pg_catalog alone
    schema, functions : unquoted
    """
    cursor.execute(STORED, (schema, functions))
    return tuple(Dependent(*row) for row in cursor.fetchall())


def renew_dependents(cursor: Any, schema: str, functions: list[str], reindex: bool) -> list[str]:
    """Reindex what calls the functions, in the open transaction; return a sentence on each of the others.

    Parameters
    ----------
    cursor, schema, functions : as in `read_dependents`
    reindex : whether indexes are; else they are among the sentences

    Raises
    ------
    DbtRuntimeError
        Another session holds an index or its table for ten seconds.
    psycopg2.Error
        An index can't be built, such as a unique one whose expression now has equal values.
    """
    sentences = []
    for dependent in read_dependents(cursor, schema, functions):
        if dependent.may_reindex and reindex:
            logger.info(f"reindexing {dependent.name}, which calls a function of the new version")
            execute_exclusively(cursor, dependent.statement, [dependent.name])
        else:
            sentences.append(
                f"{dependent.kind} {dependent.name} keeps predictions of the version before; renew it: "
                f"{dependent.statement};"
            )
    return sentences
