{#-
  What the worker asks of the catalog; nobody else may. A worker that lost a job to another, because it was believed to
  be dead, is told by the number of the attempt: it can neither publish nor end the job any more.
-#}
{% macro postgres_ml__worker_functions() %}
create or replace function postgres_ml.waiting_jobs()
returns table (job bigint, model text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $waiting_jobs$
    select j.job, j.model_schema || '.' || j.model_name
    from postgres_ml.job as j
    where j.state = 'TRAINING' and j.is_sealed and not j.is_queued
    order by j.job
    limit 1000
$waiting_jobs$;
create or replace function postgres_ml.unfinished_jobs()
returns table (job bigint, model text, is_cancelled boolean, attempt integer)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $unfinished_jobs$
    select j.job, j.model_schema || '.' || j.model_name, j.is_cancelled, j.attempt
    from postgres_ml.job as j
    where j.state = 'TRAINING' and j.is_sealed
    order by j.job
$unfinished_jobs$;
create or replace function postgres_ml.note_queued(jobs bigint[])
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $note_queued$
    update postgres_ml.job as j set is_queued = true where j.job = any (jobs)
$note_queued$;
create or replace function postgres_ml.max_attempts()
returns integer
language sql immutable set search_path = pg_catalog, pg_temp
as $max_attempts$
    select 5
$max_attempts$;
create or replace function postgres_ml.claim_job(of_job bigint, by_worker text)
returns jsonb
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $claim_job$
declare
    asked postgres_ml.job;
    problem text;
begin
    select j.* into asked from postgres_ml.job as j where j.job = of_job for update;
    if asked.job is null or asked.state <> 'TRAINING' or not asked.is_sealed then
        return null;
    end if;
    update postgres_ml.job as j
    set attempt = j.attempt + 1, worker = by_worker, started_at = coalesce(j.started_at, clock_timestamp()), phase = 'starting',
        is_queued = true
    where j.job = of_job
    returning j.* into asked;
    if asked.is_cancelled then
        perform postgres_ml.end_job(of_job, asked.attempt, 'CANCELLED', 'cancelled');
        return null;
    end if;
    if asked.attempt - asked.n_stops > postgres_ml.max_attempts() then
        perform postgres_ml.end_job(of_job, asked.attempt, 'FAILED', format(
            'given up after %s attempts, each of which was lost with its worker or its server: %s',
            asked.attempt - asked.n_stops - 1, coalesce(asked.message, 'the worker was killed, perhaps for its use of memory')));
        return null;
    end if;
    if postgres_ml.settle_without_training(asked) then
        return null;
    end if;
    select string_agg(p.problem || ': ' || p.cure, '; ') into problem from postgres_ml.job_problem(asked) as p;
    if problem is not null then
        perform postgres_ml.end_job(of_job, asked.attempt, 'FAILED', problem);
        return null;
    end if;
    return jsonb_build_object('job', asked.job, 'attempt', asked.attempt, 'kind', asked.kind, 'schema', asked.model_schema,
        'model', asked.model_name, 'config', asked.config, 'requested_by', asked.requested_by, 'version', asked.version, 'query', asked.query);
end
$claim_job$;
create or replace function postgres_ml.settle_without_training(asked postgres_ml.job)
returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $settle$
declare
    serving integer;
begin
    if asked.kind = 'create' then
        return false;
    end if;
    select v.version into serving from postgres_ml.model_version as v
    where v.model_schema = asked.model_schema and v.model_name = asked.model_name and v.is_serving;
    if asked.kind = 'drop' and serving is null then
        delete from postgres_ml.model_owner as o where o.model_schema = asked.model_schema and o.model_name = asked.model_name;
        perform postgres_ml.end_job(asked.job, asked.attempt, 'READY', 'dropped');
        return true;
    end if;
    if asked.kind = 'rollback' and serving = asked.version then
        perform postgres_ml.end_job(asked.job, asked.attempt, 'READY', format('version %s serves', serving));
        return true;
    end if;
    return false;
end
$settle$;
create or replace function postgres_ml.note_progress(of_job bigint, in_attempt integer, news jsonb)
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $note_progress$
declare
    state text;
begin
    update postgres_ml.job as j
    set phase = coalesce(news ->> 'phase', j.phase), message = coalesce(news ->> 'message', j.message),
        progress = j.progress || (news - array['phase', 'message'])
    where j.job = of_job and j.attempt = in_attempt and j.state = 'TRAINING' and not j.is_cancelled
    returning j.state into state;
    if state is null then
        return false;
    end if;
    perform pg_notify('postgres_ml', json_build_object('job', of_job, 'state', state, 'phase', news ->> 'phase')::text);
    return true;
end
$note_progress$;
create or replace function postgres_ml.finish_job(of_job bigint, in_attempt integer, what text)
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $finish_job$
declare
    asked postgres_ml.job;
begin
    select j.* into asked from postgres_ml.job as j where j.job = of_job for update;
    if asked.attempt is distinct from in_attempt or asked.state <> 'TRAINING' or asked.is_cancelled then
        raise exception 'job % is not this worker''s any more (%)', of_job,
            case when asked.is_cancelled then 'it was cancelled' else 'another took it up' end
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    update postgres_ml.model_version as v
    set query = asked.query
    where v.model_schema = asked.model_schema and v.model_name = asked.model_name and v.is_serving;
    insert into postgres_ml.model_owner (model_schema, model_name, owner)
    values (asked.model_schema, asked.model_name, asked.requested_by)
    on conflict do nothing;
    perform postgres_ml.end_job(of_job, in_attempt, 'READY', what);
end
$finish_job$;
create or replace function postgres_ml.end_job(of_job bigint, in_attempt integer, as_state text, why text)
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $end_job$
begin
    update postgres_ml.job as j
    set state = as_state, message = why, phase = 'ended', ended_at = clock_timestamp()
    where j.job = of_job and j.attempt = in_attempt and j.state = 'TRAINING';
    if not found then
        return false;
    end if;
    delete from postgres_ml.model_owner as o
    using postgres_ml.job as j
    where j.job = of_job and j.kind = 'drop' and as_state = 'READY' and o.model_schema = j.model_schema and o.model_name = j.model_name;
    delete from postgres_ml.schedule as s  -- it would make the model again
    using postgres_ml.job as j
    where j.job = of_job and j.kind = 'drop' and as_state = 'READY' and s.model_schema = j.model_schema and s.model_name = j.model_name;
    perform pg_notify('postgres_ml', json_build_object('job', of_job, 'state', as_state)::text);
    return true;
end
$end_job$;
create or replace function postgres_ml.give_back_job(of_job bigint, in_attempt integer, why text)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $give_back_job$
    update postgres_ml.job as j
    set is_queued = false, phase = 'queued', message = why
    where j.job = of_job and j.attempt = in_attempt and j.state = 'TRAINING'
$give_back_job$;
{#- The worker was stopped in peace: this attempt is not counted among those that were lost. -#}
create or replace function postgres_ml.note_stop(of_job bigint, in_attempt integer)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $note_stop$
    update postgres_ml.job as j
    set is_queued = false, phase = 'queued', message = 'the worker was stopped', n_stops = j.n_stops + 1
    where j.job = of_job and j.attempt = in_attempt and j.state = 'TRAINING'
$note_stop$;
{#- Tables of rows whose job has ended, or was left unsealed by somebody who called the functions one by one. -#}
create or replace function postgres_ml.clear_jobs()
returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $clear_jobs$
declare
    ended bigint;
    n integer := 0;
begin
    for ended in
        select j.job from postgres_ml.job as j
        where j.has_rows and (j.state <> 'TRAINING' or not j.is_sealed)
        order by j.job limit 20
        for update skip locked
    loop
        begin
            set local lock_timeout = '200ms';
            execute format('drop table if exists postgres_ml.%I', 'rows_' || ended);
            update postgres_ml.job as j set has_rows = false where j.job = ended;
            n := n + 1;
        exception when lock_not_available or dependent_objects_still_exist then
            null;  -- the training that reads it has not ended yet: the next time
        end;
    end loop;
    delete from postgres_ml.job as j where not j.is_sealed and not j.has_rows;
    return n;
end
$clear_jobs$;
{#- Jobs that ended long ago; of each model everybody's last call stays, which his schedule repeats. -#}
create or replace function postgres_ml.prune_jobs(keep_days double precision)
returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $prune_jobs$
    with pruned as (
        delete from postgres_ml.job as j
        where j.state <> 'TRAINING' and not j.has_rows
            and j.ended_at < clock_timestamp() - make_interval(secs => keep_days * 86400)
            and (j.kind <> 'create' or exists (
                select from postgres_ml.job as n
                where n.model_schema = j.model_schema and n.model_name = j.model_name and n.job > j.job
                    and (n.kind = 'drop' or n.kind = 'create' and n.requested_by = j.requested_by)
            ))
        returning j.job
    )
    select count(*) from pruned
$prune_jobs$;
revoke execute on function postgres_ml.settle_without_training(postgres_ml.job) from public
{% endmacro %}


{#-
  The post-hook of the worker's project: the job ends in the transaction that publishes the model, so that one is not
  without the other. A version that is kept ends it too, afterwards.
-#}
{% macro postgres_ml__finish_job(job, attempt) %}
  {%- set result = load_result('main') if execute else none -%}  {#- dbt renders hooks while it parses, too -#}
  {%- set response = result.response if result else {} -%}
  {%- if response.code == 'CREATE MODEL' -%}
    select postgres_ml.finish_job({{ job | int }}, {{ attempt | int }}, {{ postgres_ml__literal(response | string) }})
  {%- else -%}
    select 1
  {%- endif -%}
{% endmacro %}
