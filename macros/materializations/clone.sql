{#
  `dbt clone` of a create_model clones its functions, its catalog row and its card from the schema of the state; without
  that a clone would be a card without a function. Everything else is cloned as dbt does it.
#}
{% materialization clone, adapter='postgres_ml' %}
  {%- if model.config.materialized != 'create_model' -%}
    {{ return(context['materialization_clone_default']()) }}
  {%- endif -%}
  {%- set card = adapter.card_of(this) -%}
  {%- set existing_relation = load_cached_relation(this) -%}
  {%- set version = none -%}
  {%- if not defer_relation -%}
    {%- do log('No relation found in state manifest for ' ~ model.unique_id, info=true) -%}
  {%- elif existing_relation and not flags.FULL_REFRESH -%}
    {%- do log('Relation ' ~ existing_relation ~ ' already exists', info=true) -%}
  {%- elif defer_relation.schema == this.schema and defer_relation.identifier == this.identifier -%}
    {%- do log(this ~ ' is the model to clone itself', info=true) -%}
  {%- else -%}
    {%- set version = postgres_ml__clone_model(card, adapter.card_of(defer_relation), existing_relation) -%}
  {%- endif -%}
  {{ return({'relations': [card] if version else []}) }}
{% endmaterialization %}


{#- Returns the number of the new version here, none where the other schema has no such model. -#}
{% macro postgres_ml__clone_model(card, source, existing_relation) %}
  {%- do postgres_ml__lock_catalog() -%}
  {%- do adapter.trust_only_catalog() -%}
  {%- do postgres_ml__create_catalog() -%}
  {%- set stored = adapter.cloned_version(source, card.schema) -%}
  {%- if stored is none -%}
    {%- do log('No model ' ~ source ~ ' is published; nothing to clone', info=true) -%}
    {{ return(none) }}
  {%- endif -%}
  {%- set version = postgres_ml__newest_version(card) + 1 -%}
  {%- do postgres_ml__publish_functions(card, stored, version) -%}
  {%- do postgres_ml__retire_version(card) -%}
  {%- set insertion -%}
    insert into postgres_ml.model_version
    select cloned.*
    from postgres_ml.model_version as v
    cross join lateral jsonb_populate_record(v, jsonb_build_object(
        'model_schema', {{ postgres_ml__literal(card.schema) }}, 'model_name', {{ postgres_ml__literal(card.identifier) }},
        'version', {{ version }}, 'state', v.state, 'is_champion', null, 'functions', {{ postgres_ml__literal(stored.functions_json) }}::jsonb,
        'changes', {{ postgres_ml__literal('cloned from ' ~ source ~ ' v' ~ stored.version) }}
    )) as cloned
    where v.model_schema = {{ postgres_ml__literal(source.schema) }} and v.model_name = {{ postgres_ml__literal(source.identifier) }}
        and v.is_serving
  {%- endset -%}
  {%- do adapter.execute_quietly(insertion, 'insert into postgres_ml.model_version: ' ~ card ~ ' version ' ~ version) -%}
  {%- do postgres_ml__create_card(card, existing_relation) -%}
  {%- call statement('main') -%}
    select {{ version }} as version
  {%- endcall -%}
  {%- do postgres_ml__apply_model_grants(card, config.get('grants') or {}) -%}
  {%- do persist_docs(card, model) -%}
  {%- do postgres_ml__comment_on_card(card) -%}
  {{ adapter.commit() }}
  {{ return(version) }}
{% endmacro %}
