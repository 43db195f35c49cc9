{#
  Prints one line for each published model.

    dbt run-operation show_models
#}
{% macro show_models() %}
  {%- do postgres_ml__trust_only_catalog() -%}
  {%- set rows = [] -%}
  {%- if run_query("select to_regclass('postgres_ml.model_info') is not null").columns[0].values()[0] -%}
    {%- set query -%}
      select
          schema_name || '.' || model_name as model, 'v' || version as version, model_state, problem_type, model_type, runtime,
          metric || '=' || coalesce(round(score::numeric, 4)::text, '-') as score,
          to_char(trained_at, 'YYYY-MM-DD HH24:MI') as trained_at, function_name
      from postgres_ml.model_info
      order by 1
    {%- endset -%}
    {%- set rows = run_query(query).rows | list -%}
  {%- endif -%}
  {%- if rows -%}
    {%- set head = ['model', 'version', 'state', 'problem type', 'model type', 'runtime', 'score', 'trained at', 'function'] -%}
    {%- do print(postgres_ml__aligned([head] + rows)) -%}
  {%- else -%}
    {%- do print('no model is published in this database, or you may execute none of their functions') -%}
  {%- endif -%}
{% endmacro %}
