{#-
  The model's card: a view of one row on the version that serves. Left alone while its definition stays the
  same: replacing a view waits for every session that has read it and is still in that transaction.
-#}
{% macro postgres_ml__create_card(card, existing_relation) %}
  {%- if existing_relation is not none and run_query(postgres_ml__card_there(card)).rows | length == 0 -%}
    {%- do postgres_ml__drop_exclusively(existing_relation) -%}  {#- the user's, as dbt's own materializations replace it -#}
  {%- endif -%}
  {%- if existing_relation is none or not postgres_ml__is_card(card) -%}
    {%- do adapter.execute_exclusively(
        'create or replace view ' ~ card ~ ' as ' ~ postgres_ml__card_query(card), [card.include(database=false)]
    ) -%}
  {%- endif -%}
{% endmacro %}


{% macro postgres_ml__card_query(card) %}
    select
        model_name as model, version, state, trained_at, problem_type, model_type, objective, metric, score, metrics,
        n_rows, n_holdout, n_features, model_schema || '.' || function_name as function, signature, runtime, n_nodes,
        est_rows_per_s, mlflow_run_id, dbt_unique_id
    from postgres_ml.model_card
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
{% endmacro %}


{#- Whether the view of that name is the card as this release defines it: Postgres writes both out, and they are compared. -#}
{% macro postgres_ml__is_card(card) %}
  {%- call statement('create_wanted_card') -%}
    create temporary view postgres_ml_wanted_card as {{ postgres_ml__card_query(card) }}
  {%- endcall -%}
  {%- set query -%}
    select
        pg_get_viewdef('pg_temp.postgres_ml_wanted_card'::regclass)
        = pg_get_viewdef(to_regclass({{ postgres_ml__literal(card.include(database=false)) }})) as is_same
  {%- endset -%}
  {%- set is_same = run_query(query).columns[0].values()[0] -%}
  {%- call statement('drop_wanted_card') -%}
    drop view pg_temp.postgres_ml_wanted_card
  {%- endcall -%}
  {{ return(is_same) }}
{% endmacro %}


{#- False of a card that an older release created: nobody but the catalog's owner would see a row in it any more. -#}
{% macro postgres_ml__reads_model_card(card) %}
  {%- set query -%}
    select pg_get_viewdef(to_regclass({{ postgres_ml__literal(card.include(database=false)) }})) like '%model_card%' as reads
  {%- endset -%}
  {{ return(run_query(query).columns[0].values()[0]) }}
{% endmacro %}
