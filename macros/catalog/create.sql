{#
  Creates the schema and table of the catalog where they are missing: one row for each version of each model.
  Looked for first, because `create … if not exists` needs the right to create even where everything is there.
#}
{% macro postgres_ml__create_catalog() %}
  {%- set query -%}
    select to_regclass('postgres_ml.model_version') is not null as is_there
  {%- endset -%}
  {%- if not run_query(query).columns[0].values()[0] -%}
    {%- call statement('create_catalog') -%}
      create schema if not exists postgres_ml;
      comment on schema postgres_ml is 'Catalog of dbt-postgres-ml: versions of the models published as functions';
      create table postgres_ml.model_version (
          model_schema text not null,
          model_name text not null,
          version integer not null,
          state text not null check (state in ('READY', 'STUB', 'FAILED', 'SUPERSEDED')),
          is_serving boolean not null,
          trained_at timestamptz not null,
          problem_type text not null,
          model_type text not null,
          objective text not null,
          metric text not null,
          score double precision,
          metrics jsonb not null,
          train_metrics jsonb not null,
          n_rows bigint not null,
          n_holdout bigint not null,
          n_features integer not null,
          function_name text not null,
          signature text not null,
          runtime text not null,
          n_nodes bigint not null,
          est_rows_per_s bigint,
          mlflow_run_id text not null,
          mlflow_model_uri text not null,
          dbt_unique_id text not null,
          dbt_invocation_id text not null,
          functions jsonb not null,
          target text,
          query text,
          labels jsonb,
          settings jsonb,
          hyperparameters jsonb,
          explanation jsonb,
          primary key (model_schema, model_name, version)
      );
      create unique index model_version_serving on postgres_ml.model_version (model_schema, model_name) where is_serving;
      comment on table postgres_ml.model_version is
          'One row for each published version of a model; functions holds what create function needs to publish it again';
    {%- endcall -%}
  {%- endif -%}
  {%- do postgres_ml__create_show_functions() -%}
{% endmacro %}
