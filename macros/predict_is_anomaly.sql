{#
  A call of an isolation_forest's is_anomaly function: boolean, whether the row is one of the anomalies whose share
  the config's contamination says. Arguments as in predict().
#}
{% macro predict_is_anomaly(model_name, features=none, alias=none, package=none, version=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {{ return(ml.postgres_ml__call(model_name, '_is_anomaly', features, alias, package, version, v)) }}
{%- endmacro %}
