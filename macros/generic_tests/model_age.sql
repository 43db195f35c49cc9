{#- Fails if the serving version was trained longer ago than `max`, an interval such as '30 days'. -#}
{% test model_age(model, max) %}
{%- set ml = postgres_ml if postgres_ml is defined else context -%}
{%- if false -%}{{ postgres_ml__check_tested_model() }}{{ postgres_ml__literal() }}{%- endif -%}  {#- named for dbt, which shows a test those macros alone -#}
{%- do ml.postgres_ml__check_tested_model('model_age') if execute -%}
select version, trained_at, now() - trained_at as age
from {{ model }}
where trained_at < now() - {{ ml.postgres_ml__literal(max) }}::interval
{% endtest %}
