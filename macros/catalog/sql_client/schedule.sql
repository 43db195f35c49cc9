{#-
  Trains a model again by the clock, on its query. The query is a caller's text, so it runs neither as the worker nor as
  the catalog's owner: the caller himself makes a function of it, which has his rights, and a role without any rights of
  its own calls that, in a session of its own (decision 30).
-#}
{% macro postgres_ml__schedule_functions() %}
create table if not exists postgres_ml.schedule (
    model_schema text not null,
    model_name text not null,
    cron text not null,
    scheduled_by name not null default current_user,
    created_at timestamptz not null default clock_timestamp(),
    fired_for timestamptz,
    message text,
    primary key (model_schema, model_name)
);
comment on table postgres_ml.schedule is 'Models that are trained again by the clock (UTC), by postgres_ml.schedule()';
revoke all on postgres_ml.schedule from public;
grant select, insert (model_schema, model_name, cron), delete on postgres_ml.schedule to public;
alter table postgres_ml.schedule enable row level security;
drop policy if exists own_schedules on postgres_ml.schedule;
create policy own_schedules on postgres_ml.schedule using (
    exists (
        select from pg_catalog.pg_roles as r
        where r.rolname = scheduled_by and pg_catalog.pg_has_role(r.oid, 'usage')
    )
);
{#- Whether the model's function is the scheduler's, and has his rights: with the rights of its caller it is the runner's. -#}
create or replace function postgres_ml.may_be_fired(of_schema text, of_name text, scheduler name)
returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $may_be_fired$
    select exists (
        select from pg_proc as p
        join pg_namespace as n on n.oid = p.pronamespace
        where n.nspname = of_schema and p.proname = of_name || '__retrain' and p.pronargs = 0 and p.prosecdef
            and pg_get_userbyid(p.proowner) = scheduler and obj_description(p.oid, 'pg_proc') like '%[postgres_ml.schedule]'
    )
$may_be_fired$;
create or replace function postgres_ml.note_scheduler()
returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $note_scheduler$
begin
    if not postgres_ml.may_be_fired(new.model_schema, new.model_name, current_user) then
        raise exception 'there is no function %.% of yours that a schedule could call',
            quote_ident(new.model_schema), quote_ident(new.model_name || '__retrain') using errcode = 'insufficient_privilege',
            hint = 'postgres_ml.schedule() makes it.';
    end if;
    new.scheduled_by := current_user;
    return new;
end
$note_scheduler$;
revoke execute on function postgres_ml.note_scheduler() from public;
drop trigger if exists a_caller on postgres_ml.schedule;
create trigger a_caller before insert on postgres_ml.schedule for each row execute function postgres_ml.note_scheduler();
{#- The role that fires schedules: it may call this function, and nothing else of the catalog is granted to it. -#}
create or replace function postgres_ml.scheduler_role()
returns name
language sql stable set search_path = pg_catalog, pg_temp
as $scheduler_role$
    select r.rolname
    from pg_proc as p
    cross join lateral aclexplode(p.proacl) as a
    join pg_roles as r on r.oid = a.grantee
    where p.oid = to_regprocedure('postgres_ml.scheduler_role()') and a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner
    limit 1
$scheduler_role$;
create or replace function postgres_ml.schedule(model text, cron text)
returns text
language sql volatile
as $schedule$
    select postgres_ml.schedule_in(
        model, cron, pg_catalog.current_setting('search_path'), pg_catalog.current_schemas(false)
    )
$schedule$;
create or replace function postgres_ml.schedule_in(model text, cron text, path text, schemas name[])
returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $schedule$
declare
    place constant text[] := postgres_ml.model_place(model, schemas);
    runner constant name := postgres_ml.scheduling_role();
    retrain constant text := format('%I.%I', place[1], place[2] || '__retrain');
    asked postgres_ml.job;
begin
    if cron is null or cron !~ '^\s*([0-9*,/-]+\s+){2}[0-9*,/-]+\s+[0-9a-zA-Z*,/-]+\s+[0-9a-zA-Z*,/-]+\s*$' then
        raise exception '% is no cron expression', coalesce('"' || cron || '"', 'NULL') using errcode = 'invalid_parameter_value',
            hint = 'It has five fields, in UTC: minute, hour, day, month, weekday. "0 3 * * 1" is Mondays at 3.';
    end if;
    if not has_schema_privilege(runner, place[1], 'usage') then
        raise exception 'role %, which fires schedules, may not use schema "%"', runner, place[1] using errcode = 'insufficient_privilege',
            hint = format('grant usage on schema %I to %I', place[1], runner);
    end if;
    select j.* into asked from postgres_ml.job as j
    where j.model_schema = place[1] and j.model_name = place[2] and j.kind = 'create' and j.is_sealed
        and j.requested_by = current_user  -- the row policy lets superusers and members see the queries of others
    order by j.job desc limit 1;
    if asked.job is null then
        raise exception 'you have created no model %.%', place[1], place[2] using errcode = 'undefined_object',
            hint = 'create_model() comes first: a schedule repeats your last call of it.';
    elsif asked.query is null then
        raise exception 'the rows of model %.% were handed over, and there is no query to repeat', place[1], place[2]
            using errcode = 'object_not_in_prerequisite_state', hint = 'Schedule what hands them over: a dbt build, for instance.';
    end if;
    if to_regprocedure(retrain || '()') is not null
        and coalesce(obj_description(to_regprocedure(retrain || '()'), 'pg_proc'), '') not like '%[postgres_ml.schedule]' then
        raise exception 'function %() is not of postgres_ml.schedule, and stands where its function would', retrain
            using errcode = 'duplicate_function', hint = 'Rename it, or create the model under another name.';
    end if;
    execute format('drop function if exists %s()', retrain);  -- `or replace` would leave it to whoever scheduled before
    execute format(
        'create function %s() returns bigint language plpgsql security definer set search_path = %s as %L', retrain,
        coalesce((select string_agg(quote_ident(s), ', ') from unnest(schemas) as s) || ', ', '') || 'pg_temp',
        format('begin return postgres_ml.create_model(%L, %L, %L::pg_catalog.jsonb); end',
            quote_ident(place[1]) || '.' || quote_ident(place[2]), asked.query, asked.config)
    );
    execute format('comment on function %s() is %L', retrain, 'Trains the model again, with the rights of its owner [postgres_ml.schedule]');
    execute format('revoke all on function %s() from public', retrain);
    execute format('grant execute on function %s() to %I', retrain, runner);
    delete from postgres_ml.schedule as s where s.model_schema = place[1] and s.model_name = place[2];
    begin
        insert into postgres_ml.schedule (model_schema, model_name, cron) values (place[1], place[2], cron);
    exception when unique_violation then  -- the row policy hides it
        raise exception 'another role has scheduled model %.%', place[1], place[2] using errcode = 'insufficient_privilege',
            hint = 'Whoever scheduled it, or an administrator, calls unschedule() first.';
    end;
    return format('%s.%s is trained again at "%s" (UTC) if its rows have changed', place[1], place[2], cron);
end
$schedule$;
create or replace function postgres_ml.scheduling_role()
returns name
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $scheduling_role$
declare
    found constant name := postgres_ml.scheduler_role();
begin
    if found is null then
        raise exception 'there is no role that fires schedules' using errcode = 'object_not_in_prerequisite_state',
            hint = 'dbt run-operation create_catalog --args ''{scheduler: ml_scheduler}'' names one; docs/worker.md.';
    end if;
    return found;
end
$scheduling_role$;
create or replace function postgres_ml.unschedule(model text)
returns boolean
language sql volatile
as $unschedule$
    select postgres_ml.unschedule_in(model, pg_catalog.current_schemas(false))
$unschedule$;
create or replace function postgres_ml.unschedule_in(model text, schemas name[])
returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $unschedule$
declare
    place constant text[] := postgres_ml.model_place(model, schemas);
    retrain constant text := format('%I.%I', place[1], place[2] || '__retrain');
begin
    delete from postgres_ml.schedule as s where s.model_schema = place[1] and s.model_name = place[2];
    if not found then
        return false;
    end if;
    if obj_description(to_regprocedure(retrain || '()'), 'pg_proc') like '%[postgres_ml.schedule]' then
        execute format('drop function %s()', retrain);
    end if;
    return true;
end
$unschedule$;
create or replace view postgres_ml.schedules with (security_barrier) as
select s.model_schema || '.' || s.model_name as model, s.cron, s.scheduled_by, s.fired_for, s.message
from postgres_ml.schedule as s
where exists (
    select from pg_catalog.pg_roles as r
    where r.rolname = s.scheduled_by and pg_catalog.pg_has_role(r.oid, 'usage')
);
grant select on postgres_ml.schedules to public;
{#- The worker's: what there is, since when, and who of several workers fires it. -#}
create or replace function postgres_ml.all_schedules()
returns table (model_schema text, model_name text, cron text, since timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $all_schedules$
    select s.model_schema, s.model_name, s.cron, coalesce(s.fired_for, s.created_at) from postgres_ml.schedule as s
$all_schedules$;
create or replace function postgres_ml.claim_schedule(of_schema text, of_name text, due timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $claim_schedule$
declare
    scheduler name;
begin
    update postgres_ml.schedule as s set fired_for = due, message = 'fired'
    where s.model_schema = of_schema and s.model_name = of_name and coalesce(s.fired_for, s.created_at) < due
    returning s.scheduled_by into scheduler;
    if scheduler is null then
        return false;
    end if;
    if not postgres_ml.may_be_fired(of_schema, of_name, scheduler) then
        perform postgres_ml.note_schedule(of_schema, of_name, format(
            'not fired: %I.%I() is not as postgres_ml.schedule() made it; schedule the model again', of_schema, of_name || '__retrain'
        ));
        return false;
    end if;
    return true;
end
$claim_schedule$;
create or replace function postgres_ml.note_schedule(of_schema text, of_name text, what text)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $note_schedule$
    update postgres_ml.schedule as s set message = what where s.model_schema = of_schema and s.model_name = of_name
$note_schedule$;
{#- A claim is taken back: whoever looks next fires it for the same time. -#}
create or replace function postgres_ml.give_back_schedule(of_schema text, of_name text, due timestamptz, since timestamptz, why text)
returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $give_back_schedule$
    update postgres_ml.schedule as s set fired_for = nullif(since, s.created_at), message = why
    where s.model_schema = of_schema and s.model_name = of_name and s.fired_for = due
$give_back_schedule$
{% endmacro %}
