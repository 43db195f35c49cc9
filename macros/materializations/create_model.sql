{#
  Trains a model on the node's query and publishes it as a SQL function:
  plan -> snapshot -> fit -> evaluate -> track -> lower -> gates -> publish.
#}
{% materialization create_model, adapter='postgres_ml', supported_languages=['sql', 'python'] %}
  {%- set existing_relation = load_cached_relation(this) -%}
  {%- set card = this.incorporate(type='view') -%}

  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {%- set plan = adapter.plan_model(model, compiled_code, should_full_refresh(), flags.EMPTY) -%}
  {%- set is_candidate = plan.action in ['train', 'publish'] -%}
  {%- set is_published = plan.action != 'keep' and plan.action != 'restore' -%}
  {%- if plan.action == 'stub' -%}
    {%- set trained = adapter.stub_model(model) -%}
  {%- elif is_candidate -%}
    {%- if plan.action == 'train' -%}
      {%- do adapter.take_snapshot(model) -%}
    {%- endif -%}
    {#- A training can take an hour: no transaction stays open meanwhile, vacuum would stand still behind it. -#}
    {{ adapter.commit() }}
    {%- set trained = adapter.train_model(model, recover=plan.action == 'publish') -%}
    {%- set is_published = not adapter.is_refused(model) -%}
    {%- do adapter.begin_publication() -%}
  {%- endif -%}

  {#- From here to the commit everything is one transaction: readers see the old version or the new one. -#}
  {%- if is_published -%}
    {%- set version = postgres_ml__begin_version(card) -%}
    {%- do postgres_ml__publish_functions(card, trained, version) -%}
    {%- if is_candidate -%}
      {%- do adapter.check_parity(model) -%}
    {%- endif -%}
    {%- do postgres_ml__record_version(card, version) -%}
    {%- do postgres_ml__create_card(card, existing_relation) -%}
    {%- do store_result('main', adapter.create_model_response(model, version)) -%}
  {%- else -%}
    {%- do postgres_ml__keep_version(card, existing_relation, plan) -%}
    {%- do store_result('main', adapter.kept_model_response(model)) -%}
  {%- endif -%}

  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {%- do postgres_ml__apply_model_grants(card, config.get('grants') or {}, existing_relation) -%}
  {%- do persist_docs(card, model) -%}
  {%- if config.persist_relation_docs() and model.description -%}
    {%- do postgres_ml__persist_function_docs(card, model.description) -%}
  {%- endif -%}
  {{ adapter.commit() }}

  {%- if is_published and is_candidate -%}
    {%- do adapter.finish_training(model, version) -%}
  {%- elif not is_published -%}
    {%- do adapter.repair_champion(model) -%}
  {%- endif -%}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [card]}) }}
{% endmaterialization %}
