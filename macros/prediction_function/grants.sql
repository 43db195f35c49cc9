{#
  Makes the privileges those of the config: select and the like on the card by dbt's own macro, execute on
  the functions. Who has been granted execute and is no longer listed loses it, PUBLIC too. Without `execute` in the
  config the functions' privileges stay as they are. One query when nothing is to change.
#}
{% macro postgres_ml__apply_model_grants(card, grants, existing_relation) %}
  {%- set on_card = {} -%}
  {%- for privilege, grantees in grants.items() if privilege | lower != 'execute' -%}
    {%- do on_card.update({privilege: grantees}) -%}
  {%- endfor -%}
  {%- do apply_grants(card, on_card, should_revoke=should_revoke(existing_relation, full_refresh_mode=False)) -%}
  {%- for privilege, grantees in grants.items() if privilege | lower == 'execute' -%}
    {%- do postgres_ml__grant_execute(card, [grantees] if grantees is string else grantees) -%}
  {%- endfor -%}
{% endmacro %}


{% macro postgres_ml__grant_execute(card, grantees) %}
  {%- set roles = [] -%}
  {%- for grantee in grantees -%}
    {%- do roles.append(postgres_ml__literal(grantee)) -%}
  {%- endfor -%}
  {%- set query -%}
    with wanted as (
      select case when lower(role) = 'public' then 'public' else quote_ident(role) end as role
      from unnest(array[{{ roles | join(', ') }}]::text[]) as role
    ),
    functions as ({{ postgres_ml__functions_of(card) }}),
    held as (
      select functions.signature, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as role
      from functions cross join lateral aclexplode(functions.acl) as a
      where a.privilege_type = 'EXECUTE' and a.grantee <> functions.owner
    )
    select 'revoke execute on function ' || signature || ' from ' || role as change
    from held where role not in (select role from wanted)
    union all
    select 'grant execute on function ' || signature || ' to ' || role
    from functions cross join wanted where (signature, role) not in (select signature, role from held)
  {%- endset -%}
  {%- set changes = run_query(query).columns[0].values() -%}
  {%- if changes -%}
    {%- call statement('grant_execute') -%}
      {{ changes | join(';\n') }}
    {%- endcall -%}
  {%- endif -%}
{% endmacro %}


{#-
  A query of the model's functions, parts and pinned versions included, superseded overloads not.
  Comments by a join: obj_description() would be called for each function of the schema, of all its models.
-#}
{% macro postgres_ml__functions_of(card) %}
  select
      p.oid, p.oid::regprocedure::text as signature, p.proname as name, p.proowner as owner,
      coalesce(p.proacl, acldefault('f', p.proowner)) as acl, d.description as comment
  from pg_proc as p
  inner join pg_description as d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass and d.objsubid = 0
  where p.pronamespace = to_regnamespace({{ postgres_ml__literal(adapter.quote(card.schema)) }})
      and d.description like '%[dbt-postgres-ml]'
      and strpos(d.description, {{ postgres_ml__literal(' ' ~ card.identifier ~ ', version ') }}) > 0
{% endmacro %}
