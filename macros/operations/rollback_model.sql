{#
  Makes an older version serve again, in one transaction: readers see the one or the other, never none.

    dbt run-operation rollback_model --args '{model: customer_churn}'              the version before
    dbt run-operation rollback_model --args '{model: customer_churn, version: 3}'

  The version keeps its number. The next build compares with the newest version: if nothing has changed since that was
  trained, the one rolled back to goes on serving. MLflow's alias `champion` follows.
#}
{% macro rollback_model(model, version=none) %}
  {%- if adapter.type() != 'postgres_ml' -%}
    {%- set found = postgres_ml__operation_model(model) -%}
    {{ return(postgres_ml__ask_worker('postgres_ml.rollback_model(' ~ postgres_ml__literal(found.quoted) ~ (', ' ~ version | int if version is not none else '') ~ ')', found.schema ~ '.' ~ found.identifier)) }}
  {%- endif -%}
  {%- set card = postgres_ml__card_of(model) -%}
  {%- do postgres_ml__lock_catalog() -%}
  {%- do postgres_ml__create_catalog() -%}
  {%- set stored = adapter.version_to_serve(card, version) -%}
  {%- set present = postgres_ml__present_grantees(card) -%}
  {%- do postgres_ml__publish_functions(card, stored, stored.version) -%}
  {%- do postgres_ml__retire_version(card) -%}
  {%- call statement('serve_version') -%}
    update postgres_ml.model_version set is_serving = true, state = case state when 'STUB' then state else 'READY' end,
        is_champion = case when is_champion is not null then false end  -- null: MLflow has no such version
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
        and version = {{ stored.version }}
  {%- endcall -%}
  {#- functions that are made anew, such as those of other arguments, would be everybody's by Postgres's default -#}
  {%- set configured = adapter.execute_grantees(stored.dbt_unique_id) -%}
  {%- set grantees = configured if configured is not none else present -%}
  {%- if grantees is not none -%}
    {%- do postgres_ml__grant_execute(card, grantees) -%}
  {%- endif -%}
  {%- do postgres_ml__comment_on_card(card) -%}
  {%- do adapter.commit() -%}
  {%- do log(card ~ ': v' ~ stored.version ~ ' serves', info=true) -%}
  {%- if stored.mlflow_run_id -%}
    {%- do adapter.move_champion(card, stored) -%}
  {%- endif -%}
{% endmacro %}


{#- The card of the published model that a node's name or 'schema.name' means. -#}
{% macro postgres_ml__card_of(model) %}
  {%- set found = postgres_ml__operation_model(model) -%}
  {{ return(api.Relation.create(database=target.dbname, schema=found.schema, identifier=found.identifier, type='view')) }}
{% endmacro %}
