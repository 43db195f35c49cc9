{#
  Trains a model on the node's query and publishes it as a SQL function:
  query -> snapshot -> fit -> evaluate -> lower -> track -> gates -> publish.
  Each phase takes the value that the one before returned: a plan, a snapshot, a result.
  What `adapter.` stands for is in build/materialization.py; its train_model starts the process whose course is `train` in
  python_runtime/postgres_ml/pipeline.py.
#}
{% materialization create_model, adapter='postgres_ml', supported_languages=['sql', 'python'] %}
  {%- set existing_relation = load_cached_relation(this) -%}
  {%- set card = adapter.card_of(this) -%}

  {#- What waits for others comes before the first transaction, which the hooks may begin. -#}
  {%- set build = adapter.begin_build(model, compiled_code) -%}
  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {%- set plan = adapter.plan_model(build, should_full_refresh(), flags.EMPTY) -%}
  {%- set result = postgres_ml__result_of(plan) -%}
  {%- set refusal = none if result is none else adapter.check_gates(result) -%}
  {%- set is_published = result is not none and refusal is none -%}
  {%- if plan.leaves_transaction -%}
    {%- do adapter.begin_publication() -%}
  {%- endif -%}

  {#-
    From here to the commit everything is one transaction: readers see the old version or the new one. Hooks, as the
    training query, run under the session's search_path, this package's own statements under Postgres's names alone.
  -#}
  {%- set search_path = adapter.trust_only_catalog() -%}
  {%- if is_published -%}
    {%- set result, version = postgres_ml__publish_version(card, result, search_path) -%}
    {%- do postgres_ml__create_card(card, existing_relation) -%}
    {%- do store_result('main', adapter.create_model_response(result, version)) -%}
  {%- else -%}
    {%- do postgres_ml__keep_version(card, existing_relation, plan) -%}
    {%- do store_result('main', adapter.kept_model_response(plan, refusal)) -%}
  {%- endif -%}

  {%- do adapter.restore_search_path(search_path) -%}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {%- do adapter.trust_only_catalog() -%}
  {%- do postgres_ml__apply_model_grants(card, config.get('grants') or {}) -%}
  {%- do persist_docs(card, model) -%}
  {%- if config.persist_relation_docs() and model.description -%}
    {%- do postgres_ml__persist_function_docs(card, model.description) -%}
  {%- else -%}
    {%- do postgres_ml__comment_on_card(card) -%}
  {%- endif -%}
  {{ adapter.commit() }}

  {%- if is_published -%}
    {%- do adapter.finish_training(result, version) -%}
  {%- else -%}
    {%- do adapter.repair_champion(plan) -%}
  {%- endif -%}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [card]}) }}
{% endmaterialization %}


{#- What the plan comes to: a model that may be published; none where the serving version is kept or restored. -#}
{% macro postgres_ml__result_of(plan) %}
  {%- if plan.action == 'stub' -%}
    {{ return(adapter.stub_model(plan)) }}
  {%- elif plan.action == 'publish' -%}
    {{ adapter.commit() }}
    {{ return(adapter.recover_model(plan)) }}
  {%- elif plan.action == 'train' and plan.build.is_remote -%}
    {{ adapter.commit() }}
    {{ return(adapter.declare_model(plan)) }}
  {%- elif plan.action == 'train' -%}
    {%- set snapshot = adapter.take_snapshot(plan) -%}
    {#- No transaction stays open while the process starts and trains: vacuum would stand still behind it, and a
        role's idle_in_transaction_session_timeout would end it. -#}
    {{ adapter.commit() }}
    {{ return(adapter.train_model(snapshot)) }}
  {%- endif -%}
  {{ return(none) }}
{% endmacro %}
