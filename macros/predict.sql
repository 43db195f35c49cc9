{#
  A call of a create_model's prediction function, for use in the SELECT of a downstream model.

    predict('customer_churn', ['state', 'spend'])         features in the order of the training query
    predict('customer_churn', {'spend': 'total / days'})  by name; features left out are NULL
    predict('customer_churn', alias='c')                  the columns of c that are named like the features
    predict('customer_churn')                             the same, of the only relation in scope
    predict('customer_churn', […], version=3)             by that training's version, whichever serves
    predict('customer_churn', […], v=2)                   of dbt's version 2 of the model, as ref(…, v=2)
#}
{% macro predict(model_name, features=none, alias=none, package=none, version=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {{ return(ml.postgres_ml__call(model_name, '', features, alias, package, version, v)) }}
{%- endmacro %}


{% macro postgres_ml__call(model_name, suffix, features, alias, package, version=none, v=none) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {#- ref() draws the edge of the graph; its schema follows --defer -#}
  {%- set relation = ref(package, model_name, v=v) if package else ref(model_name, v=v) -%}
  {%- if not execute -%}
    {{ return('') }}
  {%- endif -%}
  {%- set reference = {'name': model_name, 'package': package, 'v': v} -%}
  {%- set function = ml.postgres_ml__function_to_call(relation, reference, suffix, version) -%}
  {%- set known = ml.postgres_ml__features_of(function) -%}
  {%- if suffix and known is none and (features is none or features is mapping) -%}
    {%- set predicts = ml.postgres_ml__features_of(ml.postgres_ml__function_to_call(relation, reference, '', version)) -%}
    {%- do ml.postgres_ml__check_kind(model_name, function, suffix, predicts) -%}
  {%- endif -%}
  {%- if known == ['horizon'] and ml.postgres_ml__returns_table(function) -%}
    {%- do exceptions.raise_compiler_error(
        "predict('" ~ model_name ~ "'): that model forecasts, which is a table: select * from {{ forecast('" ~ model_name ~ "') }}"
    ) -%}
  {%- endif -%}
  {%- do ml.postgres_ml__check_features(model_name, function, known, features) -%}

  {%- set arguments = [] -%}
  {%- if features is none -%}
    {%- set prefix = alias ~ '.' if alias else '' -%}
    {%- for name in known -%}
      {%- do arguments.append(prefix ~ ml.postgres_ml__identifier(name)) -%}
    {%- endfor -%}
  {%- elif features is mapping -%}
    {%- for name in known -%}
      {%- do arguments.append('null' if features.get(name) is none else features.get(name)) -%}
    {%- endfor -%}
  {%- else -%}
    {%- for value in features -%}
      {%- do arguments.append('null' if value is none else value) -%}
    {%- endfor -%}
  {%- endif -%}
  {%- set arguments = ml.postgres_ml__cast_to(function, arguments) | join(', ') -%}
  {%- if (known or features) | length > 100 -%}
    {#- Postgres allows 100 arguments: a wider model takes one of a composite type -#}
    {%- set arguments = 'row(' ~ arguments ~ ')::' ~ function.features_type -%}
  {%- endif -%}
  {{ return(function.qualified ~ '(' ~ arguments ~ ')') }}
{% endmacro %}


{#- The function of the version that serves, or of the one that is named. -#}
{% macro postgres_ml__function_to_call(relation, reference, suffix, version) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set function = ml.postgres_ml__prediction_function(relation, reference, suffix) -%}
  {{ return(function if version is none else ml.postgres_ml__pinned_function(function, suffix, version)) }}
{% endmacro %}


{#- Refuse what this kind of model never tells; the features it predicts by are none where it isn't built yet. -#}
{% macro postgres_ml__check_kind(model_name, function, suffix, predicts) %}
  {%- set has_one = {
      '_interval': 'a regression has one whose config sets `interval`: set it and build the model again',
      '_probabilities': 'a classifier has one',
      '_distances': 'a model of type kmeans has one',
      '_is_anomaly': 'a model of type isolation_forest has one',
  } -%}
  {%- if predicts is not none -%}
    {%- do exceptions.raise_compiler_error(
        'predict' ~ suffix ~ "('" ~ model_name ~ "'): the model has no function " ~ function.qualified ~ '; ' ~ has_one[suffix]
    ) -%}
  {%- endif -%}
{% endmacro %}


{#- The names of the function's features in order; none where the function does not exist yet. -#}
{% macro postgres_ml__features_of(function) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set search_path = ml.postgres_ml__trust_only_catalog() -%}
  {%- set overloads = ml.postgres_ml__overloads(function.schema, function.name) -%}
  {%- do ml.postgres_ml__restore_search_path(search_path) -%}
  {%- for overload in overloads if overload.is_ours and not overload.is_superseded and not overload.is_by_name -%}
    {{ return(fromjson(overload.features)) }}
  {%- endfor -%}
  {{ return(none) }}
{% endmacro %}


{#-
  The arguments, cast to the function's types while there is a SUPERSEDED overload: that may fit them better, as the
  integers of an earlier release fit an integer column, and whatever called it would never let it go.
-#}
{% macro postgres_ml__cast_to(function, arguments) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set search_path = ml.postgres_ml__trust_only_catalog() -%}
  {%- set superseded = [] -%}
  {%- for overload in ml.postgres_ml__overloads(function.schema, function.name) if overload.is_ours and overload.is_superseded -%}
    {%- do superseded.append(overload.signature) -%}
  {%- endfor -%}
  {%- set types = ml.postgres_ml__feature_types(function) if superseded else [] -%}
  {%- do ml.postgres_ml__restore_search_path(search_path) -%}
  {%- if not types -%}
    {{ return(arguments) }}
  {%- endif -%}
  {%- set casts = [] -%}
  {%- for argument in arguments -%}
    {%- do casts.append('(' ~ argument ~ ')::' ~ ('bpchar' if types[loop.index0][1] == 'character' else types[loop.index0][1])) -%}
  {%- endfor -%}
  {{ return(casts) }}
{% endmacro %}


{% macro postgres_ml__check_features(model_name, function, known, features) %}
  {%- set call = "predict('" ~ model_name ~ "')" -%}
  {%- if known is none -%}
    {%- if features is none or features is mapping -%}
      {%- do exceptions.raise_compiler_error(
          call ~ ': function ' ~ function.qualified ~ ' does not exist yet, so the names of its features are not known; '
          ~ 'build it first: dbt build --select ' ~ model_name
      ) -%}
    {%- endif -%}
  {%- elif features is mapping -%}
    {%- for name in features if name not in known -%}
      {%- do exceptions.raise_compiler_error(
          call ~ " has no feature '" ~ name ~ "'; its features are " ~ known | join(', ')
      ) -%}
    {%- endfor -%}
  {%- elif features is string -%}
    {%- do exceptions.raise_compiler_error(
        call ~ ": features must be a list such as ['" ~ known | join("', '") ~ "'], found the text '" ~ features ~ "'"
    ) -%}
  {%- elif features is not none and features | length != known | length -%}
    {%- do exceptions.raise_compiler_error(
        call ~ ' got ' ~ features | length ~ ' features and takes ' ~ known | length ~ ': ' ~ known | join(', ')
    ) -%}
  {%- endif -%}
{% endmacro %}
