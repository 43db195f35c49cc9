{#
  The function of one version, whatever serves: {name, schema, qualified} as adapter.prediction_function returns it.
  A copy of the version's functions under names of their own (`predict_churn__v3`), made where it is first called: it
  commits with the model that calls it, and a mere `dbt compile` leaves nothing behind.
#}
{% macro postgres_ml__pinned_function(function, suffix, version) %}
  {%- if adapter.type() != 'postgres_ml' -%}
    {%- do exceptions.raise_compiler_error(
        function.model ~ ': version=' ~ version ~ ' calls the function of one training, which the adapter publishes under a name '
        ~ 'of its own: it needs type: postgres_ml. The serving version is called without it; rollback_model changes which that is'
    ) -%}
  {%- endif -%}
  {%- set pinned = adapter.pinned_function(function, suffix, version) -%}
  {%- set search_path = adapter.trust_only_catalog() -%}
  {%- if postgres_ml__features_of(pinned) is none -%}  {#- the function may have had another name then -#}
    {%- set stored = adapter.pinned_version(function.schema, function.model, version) -%}
    {%- set pinned = adapter.pinned_function(function, suffix, version, stored.function_name) -%}
    {%- if postgres_ml__features_of(pinned) is none -%}
      {%- do postgres_ml__create_pinned(function, stored, version) -%}
    {%- endif -%}
  {%- endif -%}
  {%- do postgres_ml__check_pinned(function, pinned) -%}
  {%- do adapter.restore_search_path(search_path) -%}
  {{ return(pinned) }}
{% endmacro %}


{#- A model that had the function's name before may have left a version of its own. -#}
{% macro postgres_ml__check_pinned(function, pinned) %}
  {%- set card = api.Relation.create(database=target.dbname, schema=function.schema, identifier=function.model) -%}
  {%- set query -%}
    select 1 as one from ({{ postgres_ml__functions_of(card) }}) as f
    where f.name = {{ postgres_ml__literal(pinned.name) }} and f.head like '%, pinned (%'
    limit 1
  {%- endset -%}
  {%- if not run_query(query).rows -%}
    {%- do exceptions.raise_compiler_error(
        function.model ~ ': function ' ~ pinned.qualified ~ ' is a version of another model, which had the name before: drop it, '
        ~ 'or set the config `function` of ' ~ function.model ~ ' to another name'
    ) -%}
  {%- endif -%}
{% endmacro %}


{% macro postgres_ml__create_pinned(function, stored, version) %}
  {%- call statement('lock_pins') -%}
    select pg_advisory_xact_lock(hashtext('dbt-postgres-ml.pin')::bigint)
  {%- endcall -%}
  {%- set card = api.Relation.create(database=target.dbname, schema=function.schema, identifier=function.model) -%}
  {%- for body in stored.functions if body.composite and body.role == 'predict' -%}
    {%- do postgres_ml__create_features_type(card, body) -%}
  {%- endfor -%}
  {%- set role = adapter.become_schema_owner(card.schema, stored.functions) -%}
  {%- for body in stored.functions | list + adapter.by_name_overloads(card.schema, stored.functions) | list -%}
    {%- do postgres_ml__create_function(card.schema, body) -%}
    {%- do postgres_ml__comment_on_function(card, body, stored, version, is_pinned=true) -%}
  {%- endfor -%}
  {%- if role -%}
    {%- do adapter.become(role) -%}
  {%- endif -%}
  {%- if function.grantees is not none -%}
    {%- do postgres_ml__grant_execute(card, function.grantees) -%}
  {%- endif -%}
{% endmacro %}


{#- Pinned functions of versions that the catalog no longer keeps; those that something uses stay. -#}
{% macro postgres_ml__drop_stale_pins(card) %}
  {%- set query -%}
    with pinned as (
      select
          p.oid, f.signature,
          case when t.typtype = 'c' and d.description like '%[dbt-postgres-ml]' then t.oid::regtype::text end as features_type,
          substring(f.head from ', version ([0-9]+), pinned [(]')::integer as version,
          exists (
              select from pg_depend as d
              where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.deptype = 'n'
          ) as is_used
      from ({{ postgres_ml__functions_of(card) }}) as f
      inner join pg_proc as p on p.oid = f.oid
      left join pg_type as t on p.pronargs = 1 and t.oid = p.proargtypes[0]
      left join pg_description as d on d.objoid = t.oid and d.classoid = 'pg_type'::regclass
      where f.head like '%, pinned (%'
    )
    select signature, features_type from pinned
    where version not in (select version from pinned where is_used)
        and version not in (
          select version from postgres_ml.model_version
          where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
        )
  {%- endset -%}
  {%- set stale = run_query(query) -%}
  {%- for row in stale -%}
    {%- do postgres_ml__drop_function(row) -%}
  {%- endfor -%}
  {%- for type in stale.columns['features_type'].values() | select | unique -%}
    {%- call statement('drop_pinned_type') -%}
      drop type {{ type }}
    {%- endcall -%}
  {%- endfor -%}
{% endmacro %}
