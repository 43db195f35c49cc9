{#-
  What a row of the table job has to meet, whoever inserts it and however: by create_model or by hand. The first trigger
  runs as the caller and notes who that is; the second, with the owner's rights, looks into the catalog.
-#}
{% macro postgres_ml__job_rules() %}
create or replace function postgres_ml.note_caller()
returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $note_caller$
begin
    new.requested_by := current_user;
    return new;
end
$note_caller$;
create or replace function postgres_ml.worker_roles()
returns table (role oid)
language sql stable set search_path = pg_catalog, pg_temp
as $worker_roles$
    with granted as (
        select p.proowner, a.grantee
        from pg_proc as p
        cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
        where p.oid = to_regprocedure('postgres_ml.claim_job(bigint, text)') and a.privilege_type = 'EXECUTE'
    )
    select g.grantee from granted as g where g.grantee not in (0, g.proowner)
    union all
    select p.proowner from pg_proc as p
    where p.oid = to_regprocedure('postgres_ml.claim_job(bigint, text)')
        and not exists (select from granted as g where g.grantee not in (0, g.proowner))
$worker_roles$;
create or replace function postgres_ml.model_owner_of(of_schema text, of_name text)
returns setof oid
language sql stable set search_path = pg_catalog, pg_temp
as $model_owner_of$
    select r.oid
    from postgres_ml.model_owner as o
    join pg_roles as r on r.rolname = o.owner
    where o.model_schema = of_schema and o.model_name = of_name
    union all
    select r.oid
    from postgres_ml.job as j
    join pg_roles as r on r.rolname = j.requested_by
    where j.model_schema = of_schema and j.model_name = of_name and j.kind = 'create'
        and j.state = 'TRAINING' and j.is_sealed
        and not exists (
            select from postgres_ml.model_owner as o where o.model_schema = of_schema and o.model_name = of_name
        )
    union all
    select p.proowner
    from postgres_ml.model_version as v
    join pg_namespace as n on n.nspname = v.model_schema
    cross join jsonb_array_elements(v.functions) as f
    join pg_proc as p on p.pronamespace = n.oid and p.proname = v.function_name
        and p.pronargs = jsonb_array_length(f.value -> 'arguments') and not exists (  -- whoever adds an overload owns no model
            -- by name: to_regtype() takes rights on the type's schema
            select from unnest(p.proargtypes) with ordinality as a (type, position)
            join pg_type as t on t.oid = a.type
            join pg_namespace as s on s.oid = t.typnamespace
            cross join lateral (
                select f.value -> 'arguments' -> (a.position - 1)::integer ->> 1 as name
            ) as stored
            where case when s.nspname = 'pg_catalog' then stored.name <> format_type(t.oid, null)
                else parse_ident(stored.name, false) <> array[s.nspname::text, t.typname::text] end
        )
    where v.model_schema = of_schema and v.model_name = of_name and v.is_serving and f.value ->> 'role' = 'predict'
        and not exists (
            select from postgres_ml.model_owner as o where o.model_schema = of_schema and o.model_name = of_name
        )
$model_owner_of$;
create or replace function postgres_ml.config_keys()
returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
as $config_keys$
    select {{ postgres_ml__sql_config_keys() }}
$config_keys$;
create or replace function postgres_ml.job_problem(asked postgres_ml.job)
returns table (problem text, cure text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $job_problem$
declare
    place constant text := format('%I.%I', asked.model_schema, asked.model_name);
    schema_oid constant oid := (select n.oid from pg_namespace as n where n.nspname = asked.model_schema);
    caller constant oid := (select r.oid from pg_roles as r where r.rolname = asked.requested_by);
    is_known constant boolean := exists (
        select from postgres_ml.model_version as v where v.model_schema = asked.model_schema and v.model_name = asked.model_name
    );
    owner text;
    found text;
begin
    if schema_oid is null then
        return query select format('schema "%s" does not exist', asked.model_schema), format('create schema %I', asked.model_schema);
        return;
    end if;
    if asked.kind = 'create' and not has_function_privilege(caller, 'postgres_ml.create_model(text, text, jsonb)', 'execute') then
        return query select format('role %I may not create models', asked.requested_by),
            format('grant execute on function postgres_ml.create_model(text, text, jsonb) to %I', asked.requested_by);
    end if;
    if not (has_schema_privilege(caller, schema_oid, 'usage') and has_schema_privilege(caller, schema_oid, 'create')) then
        return query select format('role %I may not create in schema "%s"', asked.requested_by, asked.model_schema),
            format('grant usage, create on schema %I to %I', asked.model_schema, asked.requested_by);
    end if;
    if not exists (
        select from postgres_ml.worker_roles() as w
        where has_schema_privilege(w.role, schema_oid, 'usage') and has_schema_privilege(w.role, schema_oid, 'create')
    ) then
        select string_agg(quote_ident(pg_get_userbyid(w.role)), ', ') into found from postgres_ml.worker_roles() as w;
        return query select format('the worker (role %s) may not create in schema "%s"', found, asked.model_schema),
            format('grant usage, create on schema %I to %s', asked.model_schema, found);
    end if;
    select string_agg(distinct pg_get_userbyid(o), ', ') into owner
    from postgres_ml.model_owner_of(asked.model_schema, asked.model_name) as o;
    if owner is not null and not exists (
        select from postgres_ml.model_owner_of(asked.model_schema, asked.model_name) as o where pg_has_role(caller, o, 'usage')
    ) and not exists (
        select from pg_namespace as n where n.oid = schema_oid and pg_has_role(caller, n.nspowner, 'usage')
    ) then
        return query select format('model %s belongs to %s', place, owner), 'take another name, or let its owner do it'::text;
        return;
    end if;
    if asked.kind <> 'create' then
        if not is_known and not exists (
            select from postgres_ml.job as j
            where j.model_schema = asked.model_schema and j.model_name = asked.model_name and j.kind = 'create' and j.state = 'TRAINING'
        ) then
            return query select format('model %s does not exist', place), 'postgres_ml.show_model_all() names those that do'::text;
        end if;
        return;
    end if;
    select format('%s "%s" exists, and is no model', case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
        when 'i' then 'index' when 'S' then 'sequence' else 'table' end, asked.model_name) into found
    from pg_class as c
    where c.relnamespace = schema_oid and c.relname = asked.model_name and not (is_known and c.relkind = 'v');
    if found is not null then
        return query select found || ': the model''s card would take its place', 'give the model another name'::text;
    end if;
    select format('function %I, with its like, belongs to model %I.%I', t.function_name, t.model_schema, t.model_name) into found
    from (
        select v.model_schema, v.model_name, v.function_name from postgres_ml.model_version as v where v.is_serving
        union all
        select j.model_schema, j.model_name, j.function_name from postgres_ml.job as j
        where j.state = 'TRAINING' and j.is_sealed and j.kind = 'create' and j.job is distinct from asked.job
    ) as t
    where t.model_schema = asked.model_schema and t.model_name <> asked.model_name and (
        ltrim(t.function_name, '_') ^@ (ltrim(asked.function_name, '_') || '__')
        or ltrim(asked.function_name, '_') ^@ (ltrim(t.function_name, '_') || '__')
        or exists (
            select from unnest('{"",_probabilities,_distances,_explain,_is_anomaly,_interval,_scorecard}'::text[]) as theirs (suffix)
            join unnest('{"",_probabilities,_distances,_explain,_is_anomaly,_interval,_scorecard}'::text[]) as ours (suffix)
                on t.function_name || theirs.suffix = asked.function_name || ours.suffix
        )
    )
    limit 1;
    if found is not null then
        return query select found, 'name another one: {"function": "…"}'::text;
    end if;
end
$job_problem$;
create or replace function postgres_ml.check_config(config jsonb)
returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $check_config$
declare
    unknown text;
begin
    if jsonb_typeof(config) is distinct from 'object' then
        raise exception 'the config is no JSON object: %', coalesce(left(config::text, 100), 'NULL') using errcode = 'invalid_parameter_value',
            hint = 'It is one such as {"target": "churn", "settings": {"max_runtime": 300}}.';
    end if;
    select string_agg(k, ', ' order by k) into unknown
    from jsonb_object_keys(config) as k
    where k = any ('{source, trust, endpoint, arguments, returns}');
    if unknown is not null then
        raise exception 'config %: a model that was made elsewhere is not published by SQL', unknown using errcode = 'feature_not_supported',
            hint = 'A worker reads no files and calls no services that SQL clients name. Publish it by dbt: docs/bring-your-own-model.md.';
    end if;
    select string_agg(k, ', ' order by k) into unknown
    from jsonb_object_keys(config) as k
    where k <> all (postgres_ml.config_keys());
    if unknown is not null then
        raise exception 'unknown config: %', unknown using errcode = 'invalid_parameter_value',
            hint = 'There are: ' || array_to_string(postgres_ml.config_keys(), ', ') || '.';
    end if;
end
$check_config$;
create or replace function postgres_ml.check_job()
returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $check_job$
declare
    problems text;
    cures text;
begin
    if tg_relid <> 'postgres_ml.job'::regclass then  -- its columns' types and their casts would be somebody else's
        raise exception 'postgres_ml.check_job() is a trigger of postgres_ml.job alone' using errcode = 'insufficient_privilege';
    end if;
    perform postgres_ml.model_place(quote_ident(new.model_schema) || '.' || quote_ident(new.model_name), '{}');
    perform postgres_ml.check_config(new.config);
    delete from postgres_ml.model_owner as o  -- of a model that dbt dropped: an owner is noted when a version is
    where o.model_schema = new.model_schema and o.model_name = new.model_name and not exists (
        select from postgres_ml.model_version as v where v.model_schema = o.model_schema and v.model_name = o.model_name
    );
    new.function_name := coalesce(new.config ->> 'function', 'predict_' || new.model_name);
    select string_agg(p.problem, '; '), string_agg(p.cure, '; ') into problems, cures from postgres_ml.job_problem(new) as p;
    if problems is not null then
        raise exception '%', problems using errcode = 'insufficient_privilege', hint = cures || '.';
    end if;
    if new.kind = 'rollback' then
        new.version := postgres_ml.version_to_serve(new.model_schema, new.model_name, new.version);
    end if;
    if new.kind <> 'create' then
        new.is_sealed := true;
        new.phase := 'queued';
        update postgres_ml.job as j
        set is_cancelled = true
        where new.kind = 'drop' and j.model_schema = new.model_schema and j.model_name = new.model_name and j.kind = 'create'
            and j.state = 'TRAINING' and not j.is_cancelled;
        perform pg_notify('postgres_ml', json_build_object('job', new.job, 'state', new.state)::text);
    end if;
    return new;
end
$check_job$;
create or replace function postgres_ml.note_cancel()
returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $note_cancel$
begin
    if tg_relid <> 'postgres_ml.job'::regclass then  -- as in check_job
        raise exception 'postgres_ml.note_cancel() is a trigger of postgres_ml.job alone' using errcode = 'insufficient_privilege';
    end if;
    new.is_cancelled := true;  -- a job that was called off can't be called back
    if new.attempt = 0 and new.state = 'TRAINING' and new.is_sealed then
        new.state := 'CANCELLED';
        new.phase := 'ended';
        new.message := 'cancelled before a worker took it';
        new.ended_at := clock_timestamp();
    end if;
    perform pg_notify('postgres_ml', json_build_object('job', new.job, 'state', new.state, 'is_cancelled', true)::text);
    return new;
end
$note_cancel$;
drop trigger if exists a_caller on postgres_ml.job;
drop trigger if exists b_check on postgres_ml.job;
drop trigger if exists c_cancel on postgres_ml.job;
create trigger a_caller before insert on postgres_ml.job for each row execute function postgres_ml.note_caller();
create trigger b_check before insert on postgres_ml.job for each row execute function postgres_ml.check_job();
create trigger c_cancel before update of is_cancelled on postgres_ml.job for each row execute function postgres_ml.note_cancel();
{#- A trigger of one's own on a table of one's own runs the function with its owner's rights, on types of one's own. -#}
revoke execute on function
    postgres_ml.note_caller(), postgres_ml.check_job(), postgres_ml.note_cancel(),
    postgres_ml.job_problem(postgres_ml.job), postgres_ml.model_owner_of(text, text) from public
{% endmacro %}


{#- Keys of a create_model's config that SQL clients may give. -#}
{% macro postgres_ml__sql_config_keys() -%}
  array['{{ (postgres_ml__worker_keys() + ['grants']) | join("', '") }}']
{%- endmacro %}
