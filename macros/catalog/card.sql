{#- The model's card: a view of one row on the version that serves (SPEC 8.8). -#}
{% macro postgres_ml__create_card(card, existing_relation) %}
  {%- if existing_relation is not none and not existing_relation.is_view -%}
    {%- do adapter.drop_relation(existing_relation) -%}
  {%- endif -%}
  {%- call statement('create_card') -%}
    create or replace view {{ card }} as
    select
        model_name as model, version, state, trained_at, problem_type, model_type, objective, metric, score, metrics,
        n_rows, n_holdout, n_features, model_schema || '.' || function_name as function, signature, runtime, n_nodes,
        est_rows_per_s, mlflow_run_id, dbt_unique_id
    from postgres_ml.model_version
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
        and is_serving
  {%- endcall -%}
{% endmacro %}
