{#
  Makes the privileges those of the config: execute on the functions, all others on the card. Who has been granted one
  and is no longer listed loses it, PUBLIC too. A privilege that the config doesn't name stays as it is. One query for
  each privilege when nothing is to change. Roles are written as in SQL: quoted, folded, public, current_user.
#}
{% macro postgres_ml__apply_model_grants(card, grants) %}
  {%- for privilege, grantees in grants.items() -%}
    {%- set grantees = [grantees] if grantees is string else grantees -%}
    {%- if privilege | lower == 'execute' -%}
      {%- do postgres_ml__grant_execute(card, grantees) -%}
    {%- else -%}
      {%- do postgres_ml__grant(privilege, postgres_ml__acl_of_card(card), grantees) -%}
    {%- endif -%}
  {%- endfor -%}
{% endmacro %}


{% macro postgres_ml__grant_execute(card, grantees) %}
  {%- set acls -%}
    select 'function ' || f.signature as object, f.owner, f.acl from ({{ postgres_ml__functions_of(card) }}) as f
  {%- endset -%}
  {%- do postgres_ml__grant('execute', acls, grantees) -%}
{% endmacro %}


{#- Who else than their owner may execute the functions that serve; none where that is everybody, or nothing serves. -#}
{% macro postgres_ml__present_grantees(card) %}
  {%- set query -%}
    select distinct case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as role
    from ({{ postgres_ml__functions_of(card) }}) as f
    inner join postgres_ml.model_version as v on v.function_name = f.name
    left join lateral aclexplode(f.acl) as a on a.privilege_type = 'EXECUTE' and a.grantee <> f.owner
    where v.is_serving and v.model_schema = {{ postgres_ml__literal(card.schema) }}
        and v.model_name = {{ postgres_ml__literal(card.identifier) }} and f.head not like '%, pinned (%'
  {%- endset -%}
  {%- set roles = run_query(query).columns[0].values() | list -%}
  {{ return(none if not roles or 'public' in roles else roles | reject('none') | list) }}
{% endmacro %}


{% macro postgres_ml__acl_of_card(card) %}
  select 'table ' || c.oid::regclass::text as object, c.relowner as owner, coalesce(c.relacl, acldefault('r', c.relowner)) as acl
  from pg_class as c
  where c.oid = to_regclass({{ postgres_ml__literal(card.include(database=false)) }})
{% endmacro %}


{#- acls: a query of object, owner and acl -#}
{% macro postgres_ml__grant(privilege, acls, grantees) %}
  {%- set roles = [] -%}
  {%- for grantee in adapter.grantee_names(grantees) -%}
    {%- do roles.append(postgres_ml__literal(grantee)) -%}
  {%- endfor -%}
  {%- set query -%}
    with wanted as (
      select role from unnest(array[{{ roles | join(', ') }}]::text[]) as role
    ),
    objects as ({{ acls }}),
    held as (
      select o.object, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as role
      from objects as o cross join lateral aclexplode(o.acl) as a
      where lower(a.privilege_type) = {{ postgres_ml__literal(privilege | lower) }} and a.grantee <> o.owner
    )
    select 'revoke {{ privilege }} on ' || object || ' from ' || role as change
    from held where role not in (select role from wanted)
    union all
    select 'grant {{ privilege }} on ' || o.object || ' to ' || w.role
    from objects as o cross join wanted as w
    where (o.object, w.role) not in (select object, role from held)
        and w.role <> quote_ident(pg_get_userbyid(o.owner))
  {%- endset -%}
  {%- set changes = run_query(query).columns[0].values() -%}
  {%- if changes -%}
    {%- call statement('grant_' ~ privilege) -%}
      {{ changes | join(';\n') }}
    {%- endcall -%}
  {%- endif -%}
{% endmacro %}


{#-
  A query of the model's functions, parts and pinned versions included, superseded overloads not; `head` is the comment's
  first line. That alone says whose a function is, and wholly: below it persist_docs writes what the user describes, and
  `my churn` is not `churn`.
  Comments by a join: obj_description() would be called for each function of the schema, of all its models.
-#}
{% macro postgres_ml__functions_of(card) %}
  {%- set purposes = [] -%}
  {%- for kind, purpose in postgres_ml__purposes(card, '').items() if kind != 'by_name' -%}
    {%- do purposes.append(postgres_ml__literal(purpose)) -%}
  {%- endfor -%}
  select
      p.oid, p.oid::regprocedure::text as signature, p.proname as name, p.proowner as owner,
      coalesce(p.proacl, acldefault('f', p.proowner)) as acl, d.description as comment, line.head
  from pg_proc as p
  inner join pg_description as d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass and d.objsubid = 0
  cross join lateral (select split_part(d.description, E'\n', 1) as head) as line
  where p.pronamespace = to_regnamespace({{ postgres_ml__literal(adapter.quote(card.schema)) }})
      and d.description like '%[dbt-postgres-ml]'
      and substring(line.head from '^(.*), version [0-9]+(?:, pinned)? [(]') = any(array[
          {{ purposes | join(', ') }},
          'Features by name, as jsonb, for ' || p.proname || {{ postgres_ml__literal(' of ' ~ card.identifier) }}
      ])
{% endmacro %}
