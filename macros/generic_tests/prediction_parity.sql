{#
  On a create_model: fails if the function in the database no longer predicts what the pipeline predicted when it was
  published, on a hundred rows that the catalog keeps: after an upgrade of the server, a restore, another machine.
#}
{% test prediction_parity(model) %}
{%- set query = adapter.parity_query(model) if execute -%}
{%- if query -%}
select n_rows, n_different, difference from (
{{ query }}
) as compared
where n_different > 0
{%- else -%}
select 1 as n_rows where false
{%- endif -%}
{% endtest %}
