{#-
  The table that a caller's rows go through. It belongs to the catalog's owner; the caller may only insert, until it is
  sealed in the same transaction, and only the worker may read it. Its types are Postgres's own, or enums of somebody
  whom the worker trusts: who owns a type may add casts to it, and those would run as the worker.
-#}
{% macro postgres_ml__handover_functions() %}
create or replace function postgres_ml.open_rows(of_job bigint, names text[], types oid[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $open_rows$
declare
    asked postgres_ml.job;
    problems text;
    definition text;
begin
    select j.* into asked from postgres_ml.job as j
    where j.job = of_job and j.created_in = txid_current() and j.kind = 'create' and not j.is_sealed and not j.has_rows;
    if asked.job is null then
        raise exception 'job % takes no rows', of_job using errcode = 'object_not_in_prerequisite_state';
    end if;
    select
        string_agg(case
            when t.oid is null then format('column "%s" has no type', c.name)
            when t.typtype = 'e' then format(
                'column "%s" is of type %s of role %s, whose casts would run as the worker: cast it to text, or alter type %s owner to %I',
                c.name, format_type(t.oid, null), pg_get_userbyid(t.typowner), format_type(t.oid, null), current_user)
            else format('column "%s" is of type %s: cast it to text or to a number, or leave it out', c.name, format_type(t.oid, null))
        end, '; ' order by c.place) filter (where t.oid is null or not (
            t.oid = any ('{bool,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,date,time,timetz,timestamp,timestamptz}'::regtype[])
            or t.typtype = 'e' and (
                pg_has_role(current_user, t.typowner, 'usage')
                and exists (select from pg_roles as r where r.oid = t.typowner and (r.rolsuper or r.rolname = current_user))
                or t.typowner in (select w.role from postgres_ml.worker_roles() as w)
            )
        )),
        string_agg(format('%I %s', c.name, format_type(t.oid, -1)), ', ' order by c.place)
        into problems, definition
    from unnest(names, types) with ordinality as c (name, type, place)
    left join pg_type as d on d.oid = c.type
    left join pg_type as t on t.oid = case when d.typtype = 'd' then postgres_ml.base_type(d.oid) else d.oid end;
    if problems is not null then
        raise exception 'the training query can''t be used: %', problems using errcode = 'datatype_mismatch';
    end if;
    execute format('create table postgres_ml.%I (%s)', 'rows_' || of_job, definition);
    execute format('revoke all on postgres_ml.%I from public', 'rows_' || of_job);
    execute format('grant insert on postgres_ml.%I to %I', 'rows_' || of_job, asked.requested_by);
    update postgres_ml.job as j set has_rows = true where j.job = of_job;
end
$open_rows$;
create or replace function postgres_ml.base_type(domain_type oid)
returns oid
language sql stable set search_path = pg_catalog, pg_temp
as $base_type$
    with recursive bases as (
        select t.oid, t.typtype, t.typbasetype from pg_type as t where t.oid = domain_type
        union all
        select t.oid, t.typtype, t.typbasetype from bases as b join pg_type as t on t.oid = b.typbasetype where b.typtype = 'd'
    )
    select b.oid from bases as b where b.typtype <> 'd'
$base_type$;
create or replace function postgres_ml.seal_rows(of_job bigint)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set extra_float_digits = 1
as $seal_rows$
declare
    asked postgres_ml.job;
    worker oid;
    n_columns integer;
    n_query bigint;
    n_kept bigint;
    max_cells numeric;
begin
    select j.* into asked from postgres_ml.job as j
    where j.job = of_job and j.created_in = txid_current() and j.has_rows and not j.is_sealed;
    if asked.job is null then
        raise exception 'job % has no rows to seal', of_job using errcode = 'object_not_in_prerequisite_state';
    end if;
    if asked.requested_by <> current_user then  -- the catalog's owner, whose the table is
        execute format('revoke all on postgres_ml.%I from %I', 'rows_' || of_job, asked.requested_by);
    end if;
    execute format('select count(*) from postgres_ml.%I', 'rows_' || of_job) into n_query;
    select count(*) into n_columns from pg_attribute as a
    where a.attrelid = to_regclass('postgres_ml.rows_' || of_job) and a.attnum > 0 and not a.attisdropped;
    n_kept := n_query;
    max_cells := case when asked.config #>> '{settings,max_cells}' ~ '^[0-9]{1,15}$'
        then (asked.config #>> '{settings,max_cells}')::numeric else 1000000 end;
    if n_query::numeric * n_columns > max_cells and lower(asked.config ->> 'model_type') = 'forecast' then
        raise exception 'the query returns % cells, more than max_cells (%), and a sample would tear holes into series',
            n_query * n_columns, max_cells using errcode = 'program_limit_exceeded',
            hint = format('Aggregate the rows, or set max_cells to %s.', n_query * n_columns);
    end if;
    if n_query::numeric * n_columns > max_cells then
        n_kept := postgres_ml.thin_rows(asked, greatest(floor(max_cells / n_columns), 1)::bigint);
    end if;
    for worker in select w.role from postgres_ml.worker_roles() as w loop
        execute format('grant select on postgres_ml.%I to %I', 'rows_' || of_job, pg_get_userbyid(worker));
    end loop;
    update postgres_ml.job as j
    set is_sealed = true, phase = 'queued', n_rows = n_kept, n_rows_query = n_query where j.job = of_job;
    perform pg_notify('postgres_ml', json_build_object('job', of_job, 'state', 'TRAINING')::text);
    return n_kept;
end
$seal_rows$;
{#- As the training samples (snapshot/query.py): by a hash of the content, without bias, some rows of every class. -#}
create or replace function postgres_ml.thin_rows(asked postgres_ml.job, max_rows bigint)
returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $thin_rows$
declare
    source constant text := format('postgres_ml.%I', 'rows_' || asked.job);
    target constant text := (
        select a.attname from pg_attribute as a
        where a.attrelid = to_regclass(source) and a.attnum > 0 and a.attname = asked.config ->> 'target'
    );
    stratum text := '''''';  -- the rows' alias is no name that a column of theirs may have, as it would come first
    is_measured boolean := lower(asked.config ->> 'problem_type') = 'regression';
    n_kept bigint;
begin
    if target is not null and is_measured is not true then
        execute format('select count(distinct r.%1$I) > 20 and max(pg_typeof(r.%1$I)::text) = any (%2$L) from %3$s as r',
            target, '{smallint,integer,bigint,real,double precision,numeric}', source) into is_measured;
        if is_measured is not true then
            stratum := format('postgres_ml_row.%I::text', target);
        end if;
    end if;
    execute format('create table postgres_ml.%I (like %s)', 'sample_' || asked.job, source);
    execute format($sample$
        insert into postgres_ml.%1$I
        with digested as (
            select postgres_ml_row as body, %2$s as stratum, md5(postgres_ml_row::text) as digest
            from %3$s as postgres_ml_row where %4$s
        ), numbered as (
            select d.*, row_number() over (partition by d.digest) as occurrence from digested as d
        ), ranked as (
            select
                n.body, n.stratum,
                row_number() over (partition by n.stratum order by md5(n.digest || ' ' || n.occurrence)) as rank
            from numbered as n
        ), strata as (
            select s.stratum, count(*) as n, count(*) over () as n_strata from digested as s group by s.stratum
        ), reserved as (
            select s.*, least(s.n, 50, %5$s / (2 * s.n_strata)) as kept from strata as s
        ), quotas as (
            select q.stratum, q.kept + floor((%5$s - sum(q.kept) over ())
                * (q.n - q.kept) / greatest(sum(q.n - q.kept) over (), 1)) as quota
            from reserved as q
        )
        select (r.body).* from ranked as r join quotas as q on q.stratum = r.stratum where r.rank <= q.quota
        $sample$, 'sample_' || asked.job, stratum, source, case when target is null then 'true' else format('postgres_ml_row.%I is not null', target) end,
        max_rows);
    get diagnostics n_kept = row_count;
    execute format('drop table %s', source);
    execute format('alter table postgres_ml.%I rename to %I', 'sample_' || asked.job, 'rows_' || asked.job);
    execute format('revoke all on postgres_ml.%I from public', 'rows_' || asked.job);
    return n_kept;
end
$thin_rows$;
revoke execute on function postgres_ml.thin_rows(postgres_ml.job, bigint) from public
{% endmacro %}
