{#-
  One row for each call of create_model, drop_model and rollback_model. Callers insert their row themselves, so that
  Postgres says who they are: in a function that runs with its owner's rights nothing does.
-#}
{% macro postgres_ml__job_table() %}
create table if not exists postgres_ml.job (
    job bigint generated always as identity primary key,
    kind text not null default 'create' check (kind in ('create', 'drop', 'rollback')),
    model_schema text not null,
    model_name text not null,
    function_name text,
    version integer,
    query text,
    config jsonb not null default '{}',
    requested_by name not null default current_user,
    state text not null default 'TRAINING' check (state in ('TRAINING', 'READY', 'FAILED', 'CANCELLED')),
    is_cancelled boolean not null default false,
    phase text not null default 'handing over',
    message text,
    progress jsonb not null default '{}',
    n_rows bigint,
    n_rows_query bigint,
    is_sealed boolean not null default false,
    is_queued boolean not null default false,
    has_rows boolean not null default false,
    attempt integer not null default 0,
    worker text,
    created_in bigint not null default txid_current(),
    created_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    ended_at timestamptz
);
alter table postgres_ml.job add column if not exists n_stops integer not null default 0;
create index if not exists job_of_model on postgres_ml.job (model_schema, model_name, job);
create index if not exists job_unfinished on postgres_ml.job (job) where state = 'TRAINING' or has_rows;
comment on table postgres_ml.job is 'Calls of create_model, drop_model and rollback_model; the view jobs shows callers theirs';
create table if not exists postgres_ml.model_owner (
    model_schema text not null,
    model_name text not null,
    owner name not null,
    primary key (model_schema, model_name)
);
comment on table postgres_ml.model_owner is 'Who created a model by SQL; its functions belong to the worker''s role';
revoke all on postgres_ml.job, postgres_ml.model_owner from public;
grant insert (kind, model_schema, model_name, version, query, config), update (is_cancelled), select on postgres_ml.job to public;
alter table postgres_ml.job enable row level security;
drop policy if exists own_jobs on postgres_ml.job;
create policy own_jobs on postgres_ml.job using (
    exists (
        select from pg_catalog.pg_roles as r
        where r.rolname = requested_by and pg_catalog.pg_has_role(r.oid, 'usage')
    )
);
create or replace view postgres_ml.jobs with (security_barrier) as
select
    j.job, j.kind, j.model_schema || '.' || j.model_name as model, j.state, j.phase, j.message,
    (j.progress ->> 'candidates')::numeric::bigint as candidates, j.progress ->> 'best' as best, j.progress ->> 'metric' as metric,
    (j.progress ->> 'score')::double precision as best_score, (j.progress ->> 'seconds_left')::double precision as seconds_left,
    j.n_rows, j.n_rows_query, j.requested_by, j.worker, j.attempt, j.created_at, j.started_at, j.ended_at
from postgres_ml.job as j
where j.is_sealed and exists (
    select from pg_catalog.pg_roles as r
    where r.rolname = j.requested_by and pg_catalog.pg_has_role(r.oid, 'usage')
);
comment on view postgres_ml.jobs is 'What you asked for: its state, how far it is, and why it failed (release {{ postgres_ml__sql_client_release() }})'
{% endmacro %}


{#- Schema and name that a text such as 'ml.customer_churn' means; the first schema of the search_path without one. -#}
{% macro postgres_ml__model_place_function() %}
create or replace function postgres_ml.model_place(model text, schemas name[])
returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp
as $model_place$
declare
    parts text[];
    found text;
begin
    begin
        parts := parse_ident(model);
    exception when invalid_parameter_value then
        parts := null;
    end;
    if parts is null or cardinality(parts) > 2 then
        raise exception '"%" is no model''s name', model using errcode = 'invalid_name',
            hint = 'A model is named like a table: customer_churn or ml.customer_churn.';
    end if;
    found := parts[cardinality(parts)];
    if found !~ '^[A-Za-z_][A-Za-z0-9_]*$' or length(found) > 50 then
        raise exception '"%" is no model''s name', found using errcode = 'invalid_name',
            hint = 'A model''s name has up to 50 letters of the Latin alphabet, digits and underscores, and begins with no digit.';
    end if;
    if cardinality(parts) = 2 then
        return parts;
    end if;
    if schemas[1] is null then
        raise exception 'no schema has been selected to create model "%" in', found using errcode = 'invalid_schema_name',
            hint = 'Name it with its schema: ml.' || found || '.';
    end if;
    return array[schemas[1]::text, found];
end
$model_place$
{% endmacro %}
