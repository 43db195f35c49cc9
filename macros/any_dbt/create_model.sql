{#
  create_model without this package's adapter: a worker beside the server trains, by the same code as the adapter's own
  build. The query runs once, in this session; then the job is waited for, with its progress in the log.

  vars:
    postgres_ml_timeout         seconds that a training is waited for (14400); then it is cancelled
    postgres_ml_worker_timeout  seconds that a worker is waited for while none is connected (300)
#}
{% materialization create_model, default %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set card = this.incorporate(type='view') -%}
  {%- do ml.postgres_ml__check_sql_client(model.name) -%}
  {%- set job_config = ml.postgres_ml__job_config(model) -%}
  {%- if config.get('contract') and config.get('contract').enforced -%}
    {%- do get_assert_columns_equivalent(sql) -%}
  {%- endif -%}

  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}
  {%- if flags.EMPTY -%}
    {%- set outcome = ml.postgres_ml__keep_for_empty(card) -%}
  {%- else -%}
    {%- set outcome = ml.postgres_ml__train_by_worker(card, sql, job_config) -%}
  {%- endif -%}
  {%- call noop_statement('main', outcome, 'CREATE MODEL', 1) -%}
    {{ sql }}
  {%- endcall -%}

  {%- do ml.postgres_ml__begin_if_idle() -%}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {%- do ml.postgres_ml__persist_card_docs(card) -%}
  {%- do ml.postgres_ml__commit() -%}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [card]}) }}
{% endmaterialization %}


{#- What has to be there before anything is handed over. -#}
{% macro postgres_ml__check_sql_client(name) %}
  {%- if adapter.type() not in ('postgres', 'postgres_ml') -%}
    {%- do exceptions.raise_compiler_error(
        name ~ ": create_model publishes functions in Postgres, and this target is of type '" ~ adapter.type()
        ~ "': disable the model there, {{ config(enabled=(target.type == 'postgres')) }}"
    ) -%}
  {%- endif -%}
  {%- set query -%}
    select
        f.call is not null as is_there, pg_catalog.has_function_privilege(f.call, 'execute') as may_call,
        pg_catalog.quote_ident(current_user) as role
    from (select pg_catalog.to_regprocedure('postgres_ml.create_model(text, text, jsonb)') as call) as f
  {%- endset -%}
  {%- set found = run_query(query).rows[0] -%}
  {%- if not found.is_there -%}
    {%- do exceptions.raise_compiler_error(
        name ~ ': this database has no postgres_ml.create_model, which trains models for any dbt. An administrator installs it '
        ~ "once: dbt run-operation postgres_ml.create_catalog --args '{worker: ml_worker}', and starts a worker: "
        ~ 'postgres-ml worker --dsn postgresql://ml_worker:…@host/dbname (docs/any-dbt.md)'
    ) -%}
  {%- elif not found.may_call -%}
    {%- do exceptions.raise_compiler_error(
        name ~ ': role ' ~ found.role ~ ' may not create models: grant execute on function postgres_ml.create_model to ' ~ found.role
    ) -%}
  {%- endif -%}
{% endmacro %}


{#- Hands the query's rows over, waits, and returns the outcome in one line. -#}
{% macro postgres_ml__train_by_worker(card, query, job_config) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set place = ml.postgres_ml__identifier(card.schema) ~ '.' ~ ml.postgres_ml__identifier(card.identifier) -%}
  {%- call statement('create_model', fetch_result=True) -%}
    select postgres_ml.create_model(
        {{ ml.postgres_ml__literal(place) }},
        {{ ml.postgres_ml__literal(ml.postgres_ml__query_mark(model.unique_id) ~ '\n' ~ query) }},
        {{ ml.postgres_ml__literal(tojson(job_config)) }}::jsonb
    ) as job
  {%- endcall -%}
  {%- set job = load_result('create_model').table.columns[0].values()[0] | int -%}
  {%- do ml.postgres_ml__commit() -%}
  {{ return(ml.postgres_ml__wait_for_job(job, card.identifier)) }}
{% endmacro %}


{#- Begins the query of a job: which node asked for it. drop_orphans reads it. -#}
{% macro postgres_ml__query_mark(unique_id) -%}
  /* dbt {{ unique_id }} */
{%- endmacro %}


{#- `dbt build --empty` trains nothing; a stub, which needs the adapter, is not made. -#}
{% macro postgres_ml__keep_for_empty(card) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- if run_query(ml.postgres_ml__card_there(card)).rows | length == 0 -%}
    {%- do exceptions.raise_compiler_error(
        card.identifier ~ ': --empty trains nothing, and no model is published yet that could be kept. A stub that predicts NULL '
        ~ 'is made under type: postgres_ml; here build the model once without --empty'
    ) -%}
  {%- endif -%}
  {%- do log(card.identifier ~ ': --empty trains nothing, the published model is kept', info=true) -%}
  {{ return('kept: --empty trains nothing') }}
{% endmacro %}


{#- The card belongs to the worker's role: only who is a member of it may comment on it. -#}
{% macro postgres_ml__persist_card_docs(card) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- if config.persist_relation_docs() and model.description -%}
    {%- set query -%}
      select pg_catalog.pg_has_role(c.relowner, 'usage') as may, pg_catalog.pg_get_userbyid(c.relowner)::text as owner
      from pg_catalog.pg_class as c
      where c.oid = pg_catalog.to_regclass({{ ml.postgres_ml__literal(card.include(database=false)) }})
    {%- endset -%}
    {%- for row in run_query(query).rows -%}
      {%- if row.may -%}
        {%- do persist_docs(card, model) -%}
      {%- else -%}
        {%- do exceptions.warn(
            card.identifier ~ ': persist_docs: the card belongs to ' ~ row.owner ~ ', so its comment stays the worker\'s; '
            ~ 'grant ' ~ row.owner ~ ' to the role that dbt connects as'
        ) -%}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
{% endmacro %}
