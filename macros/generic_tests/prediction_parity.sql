{#
  On a create_model: fails if the function in the database no longer predicts what the pipeline predicted when it was
  published, on a hundred rows that the catalog keeps: after an upgrade of the server, a restore, another machine.
  It compares where the test runs, not where dbt only compiles it.
#}
{% test prediction_parity(model) %}
{%- set runs = execute and flags.WHICH not in ('compile', 'generate') -%}
{%- set compared = adapter.compare_parity_rows(context.get('model') or {}) if runs -%}
{%- if compared -%}
select {{ compared.n_rows }} as n_rows, {{ compared.n_different }} as n_different, '{{ compared.difference }}'::float8 as difference
where {{ compared.n_different }} > 0
{%- else -%}
select 1 as n_rows where false
{%- endif -%}
{% endtest %}
