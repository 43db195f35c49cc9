{#
  On a create_model: fails if the function in the database no longer predicts what the pipeline predicted when it was
  published, on a hundred rows that the catalog keeps: after an upgrade of the server, a restore, another machine.
  It compares where the test runs, not where dbt only compiles it.
#}
{% test prediction_parity(model) %}
{%- set ml = postgres_ml if postgres_ml is defined else context -%}
{%- if false -%}{{ postgres_ml__compared_parity_rows() }}{%- endif -%}  {#- named for dbt, which shows a test those macros alone -#}
{%- set runs = execute and flags.WHICH not in ('compile', 'generate') -%}
{%- set compared = ml.postgres_ml__compared_parity_rows() if runs -%}
{%- if compared -%}
select {{ compared.n_rows }} as n_rows, {{ compared.n_different }} as n_different, '{{ compared.difference }}'::float8 as difference
where {{ compared.n_different }} > 0
{%- else -%}
select 1 as n_rows where false
{%- endif -%}
{% endtest %}


{% macro postgres_ml__compared_parity_rows() %}
  {%- if adapter.type() != 'postgres_ml' -%}
    {%- do exceptions.raise_compiler_error(
        'prediction_parity compares by Python what the catalog keeps of a pipeline: it needs type: postgres_ml. Here disable it: '
        ~ "config: {enabled: \"{{ target.type == 'postgres_ml' }}\"}"
    ) -%}
  {%- endif -%}
  {{ return(adapter.compare_parity_rows(context.get('model') or {})) }}
{% endmacro %}
