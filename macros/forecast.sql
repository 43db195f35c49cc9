{#
  The rows that a forecast's function returns, for a from clause: series columns, time, mean and percentiles.

    select * from {{ forecast('sales') }}
    select * from {{ forecast('sales', horizon=6) }} as f where f.store = 'A'
    select * from {{ forecast('sales', version=3) }}      by that training's version, whichever serves
    select * from {{ forecast('sales', v=2) }}            of dbt's version 2 of the model, as ref(…, v=2)

  horizon : steps to tell, a number or an expression; all that were trained by default
#}
{% macro forecast(model_name, horizon=none, package=none, version=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {#- ref() draws the edge of the graph; its schema follows --defer -#}
  {%- set relation = ref(package, model_name, v=v) if package else ref(model_name, v=v) -%}
  {%- if not execute -%}
    {{ return('') }}
  {%- endif -%}
  {%- set function = ml.postgres_ml__function_to_call(relation, {'name': model_name, 'package': package, 'v': v}, '', version) -%}
  {%- if ml.postgres_ml__returns_table(function) is false -%}
    {%- do exceptions.raise_compiler_error("forecast('" ~ model_name ~ "'): that model scores rows: use predict('" ~ model_name ~ "')") -%}
  {%- endif -%}
  {{ return(function.qualified ~ '(' ~ ('' if horizon is none else horizon) ~ ')') }}
{%- endmacro %}


{#- Whether the function is a forecast's; none where it does not exist yet. -#}
{% macro postgres_ml__returns_table(function) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set search_path = ml.postgres_ml__trust_only_catalog() -%}
  {%- set overloads = ml.postgres_ml__overloads(function.schema, function.name) -%}
  {%- do ml.postgres_ml__restore_search_path(search_path) -%}
  {%- for overload in overloads if overload.is_ours and not overload.is_superseded and not overload.is_by_name -%}
    {{ return(overload.columns != '[]') }}
  {%- endfor -%}
  {{ return(none) }}
{% endmacro %}
