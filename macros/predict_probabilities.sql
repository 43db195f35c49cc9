{#
  A call of a classifier's probabilities function: jsonb {"labels": […], "probabilities": […]}, most likely first.
  Arguments as in `predict`.
#}
{% macro predict_probabilities(model_name, features=none, alias=none, package=none, version=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {{ return(ml.postgres_ml__call(model_name, '_probabilities', features, alias, package, version, v)) }}
{%- endmacro %}
