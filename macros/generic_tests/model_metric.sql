{#- Fails if a metric of the serving version, on its hold-out, is below `min` or above `max`, or if it has no such metric. -#}
{% test model_metric(model, metric, min=none, max=none) %}
{%- if min is none and max is none -%}
  {%- do exceptions.raise_compiler_error("model_metric: set 'min', 'max' or both") -%}
{%- endif -%}
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
{% endtest %}
