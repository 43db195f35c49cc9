{#
  Trains a model on the node's query and publishes it as a SQL function:
  query -> snapshot -> fit -> evaluate -> track -> lower -> publish.
#}
{% materialization create_model, adapter='postgres_ml', supported_languages=['sql'] %}
  {%- set existing_relation = load_cached_relation(this) -%}
  {%- set card = this.incorporate(type='view') -%}
  {%- set grants = config.get('grants') or {} -%}

  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {%- do adapter.take_snapshot(model, sql) -%}
  {#- A training can take an hour: no transaction stays open meanwhile, vacuum would stand still behind it. -#}
  {{ adapter.commit() }}
  {%- set trained = adapter.train_model(model) -%}

  {#- From here to the commit everything is one transaction: readers see the old version or the new one. -#}
  {%- do adapter.begin_publication() -%}
  {%- set version = postgres_ml__begin_version(card) -%}
  {%- do postgres_ml__publish_functions(card, trained, version, grants.get('execute')) -%}
  {%- do adapter.check_parity(model) -%}
  {%- do postgres_ml__record_version(card, version) -%}
  {%- do postgres_ml__create_card(card, existing_relation) -%}
  {%- do store_result('main', adapter.create_model_response(model, version)) -%}

  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {%- set card_grants = postgres_ml__grants_on_card(grants) -%}
  {%- do apply_grants(card, card_grants, should_revoke=should_revoke(existing_relation, full_refresh_mode=False)) -%}
  {%- do persist_docs(card, model) -%}
  {{ adapter.commit() }}

  {%- do adapter.finish_training(model, version) -%}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [card]}) }}
{% endmaterialization %}
