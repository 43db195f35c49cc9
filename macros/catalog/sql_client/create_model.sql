{#-
  Hands the rows of a query over to the worker and returns the job's number. It runs as the caller, and so does the query,
  once, under the caller's search_path; everything around it sees Postgres's names alone.
-#}
{% macro postgres_ml__create_model_functions() %}
create or replace function postgres_ml.create_model(name text, query text, config jsonb default '{}')
returns bigint
language sql volatile
as $create_model$
    select postgres_ml.create_model_in(
        name, query, config, pg_catalog.current_setting('search_path'), pg_catalog.current_schemas(false)
    )
$create_model$;
create or replace function postgres_ml.create_model_in(name text, query text, config jsonb, path text, schemas name[])
returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $create_model$
declare
    place constant text[] := postgres_ml.model_place(name, schemas);
    body constant text := postgres_ml.without_end(query);
    made bigint;
    names text[];
    types oid[];
    wanted text;
    statement text;
begin
    if body is null or body = '' then
        raise exception 'there is no query to train model "%" on', name using errcode = 'invalid_parameter_value';
    end if;
    insert into postgres_ml.job (kind, model_schema, model_name, query, config)
    values ('create', place[1], place[2], body, coalesce(config, '{}')) returning job into made;

    statement := format($names$
        select pg_catalog.array_agg(k.name) from (
            select pg_catalog.json_object_keys(pg_catalog.row_to_json(r.*)) as name from (
                select query.* from (select 1) as one left join (select * from (
%s
                ) as query limit 0) as query on true
            ) as r
        ) as k
        $names$, body);
    perform set_config('search_path', path, true);
    execute statement into names;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    perform postgres_ml.check_columns(names, config);
    statement := format(E'select array[%s] from (select 1) as one left join (select * from (\n%s\n) as query limit 0) as query on true',
        (select string_agg(format('pg_catalog.pg_typeof(query.%I)::pg_catalog.oid', n), ', ') from unnest(names) as n), body);
    perform set_config('search_path', path, true);
    execute statement into types;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    perform postgres_ml.open_rows(made, names, types);
    statement := format(E'insert into postgres_ml.%I select query.* from (\n%s\n) as query', 'rows_' || made, body);
    perform set_config('search_path', path, true);
    execute statement;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    perform postgres_ml.seal_rows(made);
    return made;
end
$create_model$;
{#- A query without the semicolons that end it, and without what is said after them. -#}
create or replace function postgres_ml.without_end(query text)
returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $without_end$
declare
    bare constant text := rtrim(query, E'; \n\t\r');
    tokens postgres_ml.token[];
    last integer;
begin
    if bare is null or strpos(bare, ';') = 0 then
        return bare;
    end if;
    tokens := postgres_ml.tokens_of(bare);
    last := cardinality(tokens) - 1;  -- before the one of kind 'end'
    while tokens[last].kind = 'sign' and tokens[last].value = ';' loop
        last := last - 1;
    end loop;
    return left(bare, tokens[last].ends - 1);
end
$without_end$;
create or replace function postgres_ml.check_columns(names text[], config jsonb)
returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $check_columns$
declare
    found text;
begin
    if names is null then
        raise exception 'the training query has no column' using errcode = 'invalid_parameter_value';
    end if;
    if '?column?' = any (names) then
        raise exception 'column % of the training query has no name', array_position(names, '?column?')
            using errcode = 'invalid_parameter_value', hint = 'Add `as <name>` to it.';
    end if;
    select string_agg(format('"%s"', n), ', ') into found from (select n from unnest(names) as n group by n having count(*) > 1) as n;
    if found is not null then
        raise exception 'several columns of the training query are named %', found
            using errcode = 'duplicate_column', hint = 'Rename or leave out all but one.';
    end if;
    if config ->> 'target' <> all (names) then
        raise exception 'the query has no column "%" (target)', config ->> 'target'
            using errcode = 'undefined_column', hint = 'It has: ' || array_to_string(names, ', ') || '.';
    end if;
end
$check_columns$
{% endmacro %}
