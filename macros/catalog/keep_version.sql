{#-
  A build that publishes nothing: the serving version stays. What somebody dropped by hand, functions or card, is made
  again from the catalog.
-#}
{% macro postgres_ml__keep_version(card, existing_relation, plan) %}
  {%- do log(card.identifier ~ ': ' ~ plan.reason ~ ', kept v' ~ plan.serving.version, info=not plan.is_warning) -%}
  {%- if plan.is_warning -%}
    {%- do exceptions.warn(card.identifier ~ ': ' ~ plan.reason ~ ', kept v' ~ plan.serving.version) -%}
  {%- endif -%}
  {%- if plan.action == 'restore' -%}
    {%- do postgres_ml__lock_catalog() -%}
    {%- do postgres_ml__publish_functions(card, adapter.stored_version(card, plan.serving.version), plan.serving.version) -%}
  {%- endif -%}
  {%- for signature in plan.superseded -%}  {#- their parts go with the next publication -#}
    {%- do postgres_ml__drop_function({'signature': signature}) -%}
  {%- endfor -%}
  {%- if existing_relation is none or not existing_relation.is_view or not postgres_ml__reads_model_card(card) -%}
    {%- do postgres_ml__create_card(card, existing_relation) -%}
  {%- endif -%}
{% endmacro %}
