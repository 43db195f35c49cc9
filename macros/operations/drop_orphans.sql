{#
  Lists the models that this project, or a package of it, built in this target's schemas and has no longer; with
  dry_run false drops them. What other projects and SQL clients made is theirs: drop_model names one of it.

    dbt run-operation drop_orphans                                       only lists them
    dbt run-operation drop_orphans --args '{dry_run: false}'
#}
{% macro drop_orphans(dry_run=true) %}
  {%- if adapter.type() != 'postgres_ml' -%}
    {{ return(postgres_ml__drop_orphans_by_worker(dry_run)) }}
  {%- endif -%}
  {%- do adapter.trust_only_catalog() -%}
  {%- if dry_run -%}
    {%- set orphans = adapter.orphaned_models() -%}
  {%- else -%}
    {%- do postgres_ml__lock_catalog() -%}
    {%- set orphans = adapter.orphaned_models() -%}
    {%- for card in orphans -%}
      {%- do postgres_ml__drop_model(card) -%}
    {%- endfor -%}
    {%- do adapter.commit() -%}
  {%- endif -%}
  {%- for card in orphans -%}
    {%- do log(card ~ (': would be dropped' if dry_run else ': dropped'), info=true) -%}
  {%- endfor -%}
  {%- if not orphans -%}
    {%- do log('no model is orphaned', info=true) -%}
  {%- endif -%}
  {{ return(orphans) }}
{% endmacro %}
