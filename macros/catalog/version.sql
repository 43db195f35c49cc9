{#- Until the commit: two builds of one model, or two threads that both create the catalog, take turns. -#}
{% macro postgres_ml__lock_catalog() %}
  {%- do postgres_ml__begin_if_idle() -%}
  {%- call statement('lock_catalog') -%}
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('dbt-postgres-ml')::bigint)
  {%- endcall -%}
{% endmacro %}


{#-
  Publishes a result as the version that serves, in the open transaction: functions, parity check, catalog row. Returns
  the result, with the scores that an endpoint has now, and the version's number. search_path is the session's.
-#}
{% macro postgres_ml__publish_version(card, result, search_path) %}
  {%- set version = postgres_ml__begin_version(card, result) -%}
  {%- if result.trained.deployed.artifact -%}
    {%- do postgres_ml__publish_artifact(result) -%}
  {%- elif result.build.is_remote -%}
    {%- do postgres_ml__create_endpoint_table() -%}
    {#- it reads the node's query -#}
    {%- do adapter.restore_search_path(search_path) -%}
    {%- set result = adapter.evaluate_endpoint(result) -%}
    {%- do adapter.trust_only_catalog() -%}
  {%- endif -%}
  {%- do postgres_ml__publish_functions(card, adapter.publication_of(result), version, is_stored=false) -%}
  {%- do adapter.check_parity(result) -%}
  {%- do postgres_ml__record_version(card, result, version) -%}
  {{ return((result, version)) }}
{% endmacro %}


{#- Opens the publishing transaction and returns the new version's number. -#}
{% macro postgres_ml__begin_version(card, result) %}
  {%- do postgres_ml__lock_catalog() -%}
  {%- do postgres_ml__create_catalog() -%}
  {%- set newest = postgres_ml__newest_version(card) -%}
  {%- do adapter.check_not_overtaken(result, newest) -%}
  {{ return(newest + 1) }}
{% endmacro %}


{#- 0 where there is none. -#}
{% macro postgres_ml__newest_version(card) %}
  {%- set query -%}
    select coalesce(max(version), 0) as version
    from postgres_ml.model_version
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
  {%- endset -%}
  {{ return(run_query(query).columns[0].values()[0] | int) }}
{% endmacro %}


{#- Adds the new version to the catalog and makes it the one that serves. -#}
{% macro postgres_ml__record_version(card, result, version) %}
  {%- do postgres_ml__retire_version(card) -%}
  {%- set statement -%}
    insert into postgres_ml.model_version
    select * from jsonb_populate_record(
        null::postgres_ml.model_version, {{ postgres_ml__literal(adapter.catalog_row(result, version)) }}::jsonb
    )
  {%- endset -%}
  {%- do adapter.execute_quietly(
      statement, 'insert into postgres_ml.model_version: ' ~ card.identifier ~ ' version ' ~ version
  ) -%}
  {%- do postgres_ml__prune_versions(card, result.build.spec.settings.keep_versions) -%}
{% endmacro %}


{#- The one that serves no longer does. -#}
{% macro postgres_ml__retire_version(card) %}
  {%- call statement('retire_version') -%}
    update postgres_ml.model_version
    set is_serving = false, state = case state when 'STUB' then state else 'SUPERSEDED' end
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
        and is_serving
  {%- endcall -%}
{% endmacro %}


{#- Forgets all but the newest versions; the one that serves always stays. -#}
{% macro postgres_ml__prune_versions(card, keep) %}
  {%- call statement('prune_versions') -%}
    delete from postgres_ml.model_version as v
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
        and not is_serving
        and version not in (
          select version from postgres_ml.model_version
          where model_schema = v.model_schema and model_name = v.model_name
          order by version desc
          limit {{ keep }}
        )
  {%- endcall -%}
  {%- do postgres_ml__drop_stale_pins(card) -%}
{% endmacro %}
