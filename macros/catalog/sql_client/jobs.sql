{#- What callers ask of their jobs. -#}
{% macro postgres_ml__job_functions() %}
create or replace function postgres_ml.wait(job bigint, seconds double precision default 5400)
returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $wait$
declare
    until constant timestamptz := clock_timestamp() + make_interval(secs => seconds);
    pause double precision := 0.05;
    said text := '';
    asked postgres_ml.jobs;
begin
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'wait() sees no change of the job in a transaction of isolation level %', current_setting('transaction_isolation')
            using errcode = 'invalid_transaction_state', hint = 'Call it outside of the transaction.';
    end if;
    if exists (select from postgres_ml.job as j where j.job = wait.job and j.created_in = txid_current()) then
        raise exception 'job % was created in this transaction, and no worker sees it before the commit', job
            using errcode = 'invalid_transaction_state', hint = 'Commit first, then wait in a statement of its own.';
    end if;
    loop
        select j.* into asked from postgres_ml.jobs as j where j.job = wait.job;
        if asked.job is null then
            raise exception 'job % does not exist, or is not yours', job using errcode = 'undefined_object';
        end if;
        if asked.state = 'READY' then
            return asked.state;
        elsif asked.state <> 'TRAINING' then
            raise exception '% of %: %: %', asked.kind, asked.model, asked.state, asked.message using errcode = 'PML01';
        end if;
        if clock_timestamp() > until then
            raise exception 'job % is not done after % s: %', job, seconds, coalesce(asked.message, asked.phase)
                using errcode = 'query_canceled', hint = case when asked.started_at is null
                    then 'No worker has taken it: does `postgres-ml worker status` name one?' else 'It goes on; wait again, or cancel it.' end;
        end if;
        if coalesce(asked.message, asked.phase) <> said then
            said := coalesce(asked.message, asked.phase);
            raise notice '%: %', asked.model, said;
        end if;
        perform pg_sleep(pause);
        pause := least(pause * 1.5, 0.5);
    end loop;
end
$wait$;
create or replace function postgres_ml.cancel(job bigint)
returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $cancel$
declare
    found text;
begin
    select j.state into found from postgres_ml.jobs as j where j.job = cancel.job;
    if found is null then
        raise exception 'job % does not exist, or is not yours', job using errcode = 'undefined_object';
    end if;
    if found = 'TRAINING' then
        update postgres_ml.job as j set is_cancelled = true where j.job = cancel.job and j.state = 'TRAINING';
        select j.state into found from postgres_ml.jobs as j where j.job = cancel.job;
    end if;
    return case found when 'TRAINING' then 'CANCELLING' else found end;
end
$cancel$
{% endmacro %}
