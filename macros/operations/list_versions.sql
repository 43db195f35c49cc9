{#
  Prints the versions of a model that the catalog keeps, the newest first, and returns their rows.

    dbt run-operation list_versions --args '{model: customer_churn}'

  model: a node's name, or 'schema.name'
#}
{% macro list_versions(model) %}
  {%- set found = postgres_ml__operation_model(model) -%}
  {%- set query -%}
    select
        version, state, is_serving, to_char(trained_at, 'YYYY-MM-DD HH24:MI') as trained_at, model_type, metric, score,
        n_rows, mlflow_run_id, changes
    {%- if adapter.type() == 'postgres_ml' %}
    from postgres_ml.model_version
    where model_schema = {{ postgres_ml__literal(found.schema) }} and model_name = {{ postgres_ml__literal(found.identifier) }}
    {%- else %}
    from postgres_ml.list_versions({{ postgres_ml__literal(found.quoted) }})
    {%- endif %}
    order by version desc
  {%- endset -%}
  {%- set versions = run_query(query) -%}
  {%- for v in versions -%}
    {%- do log(
        ('* ' if v.is_serving else '  ') ~ 'v' ~ v.version ~ '  ' ~ v.state ~ '  ' ~ v.trained_at ~ '  ' ~ v.model_type
        ~ '  ' ~ v.metric ~ ' ' ~ (v.score if v.score is not none else '-') ~ '  ' ~ v.n_rows ~ ' rows  run ' ~ v.mlflow_run_id
        ~ '  ' ~ (v.changes or ''), info=true
    ) -%}
  {%- endfor -%}
  {{ return(versions) }}
{% endmacro %}
