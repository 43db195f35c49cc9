{#
  A call of a kmeans model's distances function: double precision[], element k + 1 is the distance to the centre of
  cluster k, in the space that the preprocessing makes. Arguments as in predict().
#}
{% macro predict_distances(model_name, features=none, alias=none, package=none, version=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {{ return(ml.postgres_ml__call(model_name, '_distances', features, alias, package, version, v)) }}
{%- endmacro %}
