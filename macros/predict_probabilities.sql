{#
  A call of a classifier's probabilities function: jsonb {"labels": […], "probabilities": […]}, most likely first.
  Arguments as in `predict`.
#}
{% macro predict_probabilities(model_name, features=none, alias=none, package=none, version=none, v=none) -%}
  {{ return(postgres_ml__call(model_name, '_probabilities', features, alias, package, version, v)) }}
{%- endmacro %}
