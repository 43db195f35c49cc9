{#- Fails if the serving version was trained longer ago than `max`, an interval such as '30 days'. -#}
{% test model_age(model, max) %}
{%- do adapter.check_tested_model(context.get('model') or {}, 'model_age') if execute -%}
select version, trained_at, now() - trained_at as age
from {{ model }}
where trained_at < now() - {{ postgres_ml__literal(max) }}::interval
{% endtest %}
