{#- Fails if a metric of the serving version, on its hold-out, is below `min` or above `max`, or if it has no such metric. -#}
{% test model_metric(model, metric, min=none, max=none) %}
{%- set ml = postgres_ml if postgres_ml is defined else context -%}
{%- if false -%}{{ postgres_ml__check_tested_model() }}{{ postgres_ml__literal() }}{%- endif -%}  {#- named for dbt, which shows a test those macros alone -#}
{%- do ml.postgres_ml__check_tested_model('model_metric') if execute -%}
{%- if min is none and max is none -%}
  {%- do exceptions.raise_compiler_error("model_metric: set 'min', 'max' or both") -%}
{%- endif -%}
{%- set query -%}
select version, {{ ml.postgres_ml__literal(metric) }} as metric, (metrics ->> {{ ml.postgres_ml__literal(metric) }}::text)::float8 as value
from {{ model }}
where state <> 'STUB' and (
    metrics ->> {{ ml.postgres_ml__literal(metric) }}::text is null
    {%- if min is not none %}
    or (metrics ->> {{ ml.postgres_ml__literal(metric) }}::text)::float8 < '{{ min }}'
    {%- endif %}
    {%- if max is not none %}
    or (metrics ->> {{ ml.postgres_ml__literal(metric) }}::text)::float8 > '{{ max }}'
    {%- endif %}
)
{%- endset -%}
{%- if execute and flags.WHICH in ('test', 'build') -%}
  {#- dbt's own line only says how many rows a test returned -#}
  {%- for row in run_query(query) -%}
    {%- set limits = ([] if min is none else ['min: ' ~ min]) + ([] if max is none else ['max: ' ~ max]) -%}
    {%- do log(
        'model_metric: ' ~ model ~ ' v' ~ row['version'] ~ (' has no metric ' ~ metric if row['value'] is none
        else ': ' ~ metric ~ ' is ' ~ row['value']) ~ ' (' ~ limits | join(', ') ~ ')', info=true
    ) -%}
  {%- endfor -%}
{%- endif -%}
{{ query }}
{% endtest %}
