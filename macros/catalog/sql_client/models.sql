{#- What callers ask of a model besides predictions; the worker, to whom the functions belong, does it. -#}
{% macro postgres_ml__model_functions() %}
create or replace function postgres_ml.version_to_serve(of_schema text, of_name text, wanted integer)
returns integer
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $version_to_serve$
declare
    serving postgres_ml.model_version;
    found postgres_ml.model_version;
begin
    select v.* into serving from postgres_ml.model_version as v
    where v.model_schema = of_schema and v.model_name = of_name and v.is_serving;
    select v.* into found from postgres_ml.model_version as v
    where v.model_schema = of_schema and v.model_name = of_name
        and v.state <> 'STUB' and v.runtime <> 'stub'  -- READY once an older release had rolled back to it
        and case when wanted is null then v.version < serving.version else v.version = wanted end
    order by v.version desc limit 1;
    if found.version is null or found.function_name <> serving.function_name then
        raise exception 'model %.%: there is no version % to serve', of_schema, of_name, coalesce(wanted::text, 'before the serving one')
            using errcode = 'undefined_object', hint = coalesce('The catalog keeps ' || (
                select string_agg(v.version::text, ', ' order by v.version) from postgres_ml.model_version as v
                where v.model_schema = of_schema and v.model_name = of_name and v.function_name = serving.function_name
                    and v.state <> 'STUB' and v.runtime <> 'stub'
            ) || ' (settings: keep_versions).', 'The catalog has none of it.');
    end if;
    return found.version;
end
$version_to_serve$;
revoke execute on function postgres_ml.version_to_serve(text, text, integer) from public;
create or replace function postgres_ml.ask_in(what text, model text, wanted integer, schemas name[])
returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $ask$
declare
    place text[] := postgres_ml.model_place(model, schemas);  -- first: it checks the name
    parts constant text[] := parse_ident(model);
    made bigint;
begin
    if cardinality(parts) = 1 then
        select array[s.name::text, place[2]] into place
        from unnest(schemas) with ordinality as s (name, position)
        where exists (
            select from postgres_ml.serving_model as m where m.model_schema = s.name and m.model_name = parts[1]
            union all
            select from postgres_ml.job as j where j.model_schema = s.name and j.model_name = parts[1] and j.state = 'TRAINING'
        )
        order by s.position limit 1;
        if place is null then
            raise exception 'model "%" does not exist, or you may not execute its function', model using errcode = 'undefined_object';
        end if;
    end if;
    insert into postgres_ml.job (kind, model_schema, model_name, version) values (what, place[1], place[2], wanted)
    returning job into made;
    return made;
end
$ask$;
create or replace function postgres_ml.drop_model(model text)
returns bigint
language sql volatile
as $drop_model$
    select postgres_ml.ask_in('drop', model, null, pg_catalog.current_schemas(false))
$drop_model$;
create or replace function postgres_ml.rollback_model(model text, version integer default null)
returns bigint
language sql volatile
as $rollback_model$
    select postgres_ml.ask_in('rollback', model, version, pg_catalog.current_schemas(false))
$rollback_model$;
create or replace view postgres_ml.own_version with (security_barrier) as
select
    v.model_schema, v.model_name, v.version, v.state, v.is_serving, v.trained_at, v.model_type, v.metric, v.score, v.n_rows,
    v.mlflow_run_id, v.changes
from postgres_ml.model_version as v
where exists (
    select from pg_catalog.pg_namespace as n
    where n.nspname = v.model_schema and (
        pg_catalog.has_schema_privilege(n.oid, 'create') and not exists (
            select from postgres_ml.model_owner as o where o.model_schema = v.model_schema and o.model_name = v.model_name
        )
        or pg_catalog.pg_has_role(n.nspowner, 'usage')
        or exists (
            select from postgres_ml.model_owner as o
            join pg_catalog.pg_roles as r on r.rolname = o.owner
            where o.model_schema = v.model_schema and o.model_name = v.model_name and pg_catalog.pg_has_role(r.oid, 'usage')
        )
    )
);
grant select on postgres_ml.own_version to public;
create or replace function postgres_ml.list_versions_in(model text, schemas name[])
returns table (
    version integer, state text, is_serving boolean, trained_at timestamptz, model_type text, metric text,
    score double precision, n_rows bigint, mlflow_run_id text, changes text
)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $list_versions$
declare
    parts constant text[] := parse_ident(model);
begin
    return query
        select v.version, v.state, v.is_serving, v.trained_at, v.model_type, v.metric, v.score, v.n_rows, v.mlflow_run_id, v.changes
        from postgres_ml.own_version as v
        where v.model_name = parts[cardinality(parts)] and v.model_schema = case
            when cardinality(parts) > 1 then parts[cardinality(parts) - 1]
            else (
                select o.model_schema from postgres_ml.own_version as o
                where o.model_name = parts[1] and o.model_schema = any (schemas)
                order by array_position(schemas, o.model_schema::name) limit 1
            ) end
        order by v.version desc;
    if not found then
        raise exception 'model "%" does not exist, or is not yours', model using errcode = 'undefined_object';
    end if;
end
$list_versions$;
create or replace function postgres_ml.list_versions(model text)
returns table (
    version integer, state text, is_serving boolean, trained_at timestamptz, model_type text, metric text,
    score double precision, n_rows bigint, mlflow_run_id text, changes text
)
language sql stable
as $list_versions$
    select * from postgres_ml.list_versions_in(model, pg_catalog.current_schemas(false))
$list_versions$
{% endmacro %}
