{#- Fails if a metric of the serving version, on its hold-out, is below `min` or above `max`, or if it has no such metric. -#}
{% test model_metric(model, metric, min=none, max=none) %}
{%- do adapter.check_tested_model(context.get('model') or {}, 'model_metric') if execute -%}
{%- if min is none and max is none -%}
  {%- do exceptions.raise_compiler_error("model_metric: set 'min', 'max' or both") -%}
{%- endif -%}
{%- set query -%}
select version, {{ postgres_ml__literal(metric) }} as metric, (metrics ->> {{ postgres_ml__literal(metric) }}::text)::float8 as value
from {{ model }}
where state <> 'STUB' and (
    metrics ->> {{ postgres_ml__literal(metric) }}::text is null
    {%- if min is not none %}
    or (metrics ->> {{ postgres_ml__literal(metric) }}::text)::float8 < '{{ min }}'
    {%- endif %}
    {%- if max is not none %}
    or (metrics ->> {{ postgres_ml__literal(metric) }}::text)::float8 > '{{ max }}'
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
