{#
  A call of a regression's interval function: jsonb {"lower": …, "upper": …}, between which the true value lies in the
  share of rows that the config's `interval` asks for. Arguments as in predict().
#}
{% macro predict_interval(model_name, features=none, alias=none, package=none, version=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {{ return(ml.postgres_ml__call(model_name, '_interval', features, alias, package, version, v)) }}
{%- endmacro %}
