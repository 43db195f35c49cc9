{#
  The body of an incremental model that scores only what has to be scored: rows that are new, rows whose features have
  changed since they were scored, and all rows when another version of the model serves.

    {{ config(materialized='incremental', unique_key='customer_id') }}
    {{ predict_incremental('customer_churn', ref('customers'), key='customer_id') }}

  Columns: the key, prediction, features_hash, model_version. Arguments as in predict_table(). The key tells rows apart,
  is never NULL, and is the model's unique_key. Rows that have left the relation stay; a post_hook deletes them.
#}
{% macro predict_incremental(model, relation, key, features=none, chunk_rows=10000, package=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set called = ml.postgres_ml__called('predict_incremental', model, features, package, v) -%}
  {%- if not execute -%}
    {{ return('') }}
  {%- endif -%}
  {%- set keys = [key] if key is string else key -%}
  {%- do ml.postgres_ml__check_incremental(keys) -%}
  {%- set card = adapter.quote(called.function.schema) ~ '.' ~ adapter.quote(called.function.model) -%}
  {%- set changed -%}
    (
      select source.*
      from (select *, {{ ml.postgres_ml__features_hash(called, card) }} as postgres_ml_features from {{ relation }}) as source
      {%- if is_incremental() %}
      where not exists (
          select from {{ this }} as scored
          where {% for name in keys %}scored.{{ ml.postgres_ml__identifier(name) }} = source.{{ ml.postgres_ml__identifier(name) }} and {% endfor -%}
          scored.features_hash = source.postgres_ml_features
      )
      {%- endif %}
    ) as changed
  {%- endset -%}
  {%- set query -%}
select
    {% for name in keys %}{{ ml.postgres_ml__identifier(name) }}, {% endfor %}prediction,
    postgres_ml_features as features_hash, (select version from {{ card }}) as model_version
from (
{{ ml.postgres_ml__score(called, changed, keys + ['postgres_ml_features'], chunk_rows) }}
) as scored
  {%- endset -%}
  {{ return(query) }}
{%- endmacro %}


{#- An error where dbt would add rows that it should replace, or the table has other columns. -#}
{% macro postgres_ml__check_incremental(keys) %}
  {%- set given = config.get('unique_key') -%}
  {%- set given = [given] if given is string else given or [] -%}
  {%- if config.get('materialized') == 'incremental' and (given | sort != keys | sort or config.get('incremental_strategy') == 'append') -%}
    {%- do exceptions.raise_compiler_error(
        "predict_incremental() replaces the rows that it scores again, so the model's config needs unique_key="
        ~ (tojson(keys) if keys | length > 1 else tojson(keys[0])) ~ ' and any incremental_strategy but append'
    ) -%}
  {%- endif -%}
  {%- if is_incremental() and this is not string -%}  {#- of a unit test it is the name of a CTE -#}
    {%- set names = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
    {%- set lacking = [] -%}
    {%- for name in keys + ['prediction', 'features_hash', 'model_version'] if name not in names -%}
      {%- do lacking.append(name) -%}
    {%- endfor -%}
    {%- if lacking -%}
      {%- do exceptions.raise_compiler_error(
          'predict_incremental(): table ' ~ this ~ ' has no column ' ~ lacking | join(', ')
          ~ '; select all columns that predict_incremental() returns, and build the table anew: dbt build --full-refresh --select ' ~ this.identifier
      ) -%}
    {%- endif -%}
  {%- endif -%}
{% endmacro %}


{#-
  64 bits of a row's features, whatever the session's settings, with the training as their seed: another value or another
  training is a row to score again. The version's number would not tell: after drop_model it begins at 1 again.
-#}
{% macro postgres_ml__features_hash(called, card) %}
  {%- set texts = [] -%}
  {%- for _, type in called.columns -%}
    {%- set value = '(' ~ called['values'][loop.index0] ~ ')' -%}
    {%- if type in ('real', 'double precision') -%}
      {%- do texts.append('pg_catalog.float8send(' ~ value ~ '::float8)') -%}
    {%- elif type == 'timestamp with time zone' -%}
      {%- do texts.append('pg_catalog.to_json(' ~ value ~ "::timestamptz at time zone 'UTC') #>> '{}'") -%}
    {%- elif type in ('date', 'timestamp without time zone') -%}
      {%- do texts.append('pg_catalog.to_json(' ~ value ~ '::' ~ type ~ ") #>> '{}'") -%}
    {%- else -%}
      {%- do texts.append(value ~ '::text') -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set training -%}
    (
        select pg_catalog.hashtextextended(pg_catalog.concat_ws(
            ' ', version, pg_catalog.to_json(trained_at at time zone 'UTC') #>> '{}', mlflow_run_id
        ), 0) from {{ card }}
    )
  {%- endset -%}
  {{ return('pg_catalog.hashtextextended(row(' ~ texts | join(', ') ~ ')::text collate "C", ' ~ training ~ ')') }}
{% endmacro %}
