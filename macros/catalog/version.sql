{#
  Opens the publishing transaction and returns the new version's number.
  The lock lasts until the commit: two builds of one model, or two threads that both create the catalog, take turns.
#}
{% macro postgres_ml__begin_version(card) %}
  {%- call statement('lock_catalog') -%}
    select pg_advisory_xact_lock(hashtext('dbt-postgres-ml'))
  {%- endcall -%}
  {%- do postgres_ml__create_catalog() -%}
  {%- set query -%}
    select coalesce(max(version), 0) + 1 as version
    from postgres_ml.model_version
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
  {%- endset -%}
  {{ return(run_query(query).columns[0].values()[0] | int) }}
{% endmacro %}


{#- Adds the new version to the catalog and makes it the one that serves. -#}
{% macro postgres_ml__record_version(card, version) %}
  {%- call statement('retire_version') -%}
    update postgres_ml.model_version
    set is_serving = false, state = 'SUPERSEDED'
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
        and is_serving
  {%- endcall -%}
  {%- set statement -%}
    insert into postgres_ml.model_version
    select * from jsonb_populate_record(
        null::postgres_ml.model_version, {{ postgres_ml__literal(adapter.catalog_row(model, version)) }}::jsonb
    )
  {%- endset -%}
  {%- do adapter.execute_quietly(
      statement, 'insert into postgres_ml.model_version: ' ~ card.identifier ~ ' version ' ~ version
  ) -%}
{% endmacro %}
