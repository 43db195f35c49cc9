{#-
  What macros ask of the session: of this package's adapter where dbt has it, else in SQL. dbt-postgres and dbt v2 know
  nothing of adapter.trust_only_catalog() and its like.

  Macros that run for a model call their siblings by `ml`. dbt finds macros of an adapter by their bare names alone, and
  those of a package, as this one is under `type: postgres`, by the package's name alone.
-#}
{% macro postgres_ml__trust_only_catalog() %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.trust_only_catalog()) }}
  {%- endif -%}
  {%- set query -%}
    with was as materialized (select pg_catalog.current_setting('search_path') as path)
    select path, pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true) as now from was
  {%- endset -%}
  {{ return(run_query(query).columns[0].values()[0]) }}
{% endmacro %}


{% macro postgres_ml__restore_search_path(path) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.restore_search_path(path)) }}
  {%- endif -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- do run_query("select pg_catalog.set_config('search_path', " ~ ml.postgres_ml__literal(path) ~ ", true)") -%}
{% endmacro %}


{#- dbt commits before it runs an operation, after which statements would commit one by one. -#}
{% macro postgres_ml__begin_if_idle() %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.begin_if_idle()) }}
  {%- endif -%}
  {%- call statement('begin') -%}
    begin
  {%- endcall -%}
{% endmacro %}


{#- adapter.commit() of dbt v2 leaves a transaction open that a statement began. -#}
{% macro postgres_ml__commit() %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.commit()) }}
  {%- endif -%}
  {%- call statement('commit') -%}
    commit
  {%- endcall -%}
{% endmacro %}


{#-
  Statements that lock relations exclusively, in the open transaction; they don't wait for ever. As one literal, because
  dbt v2 takes a semicolon in a dollar-quoted body for the statement's end.
-#}
{% macro postgres_ml__execute_exclusively(statements, relations) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.execute_exclusively(statements, relations)) }}
  {%- endif -%}
  {%- set block -%}
    begin
        set local lock_timeout = '10s';
        execute {{ postgres_ml__literal(statements) }};
        set local lock_timeout = default;
    end
  {%- endset -%}
  {%- call statement('execute_exclusively') -%}
    do {{ postgres_ml__literal(block) }}
  {%- endcall -%}
{% endmacro %}


{#-
  Drops a table or view with what depends on it. Every other publication of the database waits meanwhile, so a session
  that reads it is waited for no longer than a card's readers are.
-#}
{% macro postgres_ml__drop_exclusively(relation) %}
  {%- do postgres_ml__execute_exclusively(get_drop_sql(relation), [relation]) -%}
  {%- do adapter.cache_dropped(relation) -%}
{% endmacro %}
