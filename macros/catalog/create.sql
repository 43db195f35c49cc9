{#
  Creates the catalog where it is missing and brings one of an earlier layout up to date: one row for each version of
  each model. One query when there is nothing to do; looked for first, because `create … if not exists` needs the
  right to create even where everything is there.

  To change the catalog: raise the layout's number and add a statement below that does nothing where it was done
  (`add column if not exists`, `create or replace`). A later layout than ours is left alone: it has all that we need.
#}
{% macro postgres_ml__catalog_layout() %}{{ return(6) }}{% endmacro %}


{% macro postgres_ml__create_catalog() %}
  {%- set query -%}
    select coalesce(
        (regexp_match(obj_description(to_regnamespace('postgres_ml')::oid, 'pg_namespace'), 'layout ([0-9]+)'))[1]::integer, 0
    ) >= {{ postgres_ml__catalog_layout() }} as is_up_to_date
  {%- endset -%}
  {%- if not run_query(query).columns[0].values()[0] -%}
    {%- set statements -%}
      create schema if not exists postgres_ml;
      comment on schema postgres_ml is
          'Catalog of dbt-postgres-ml: versions of the models published as functions (layout {{ postgres_ml__catalog_layout() }})';
      create table if not exists postgres_ml.model_version (
          model_schema text not null,
          model_name text not null,
          version integer not null,
          state text not null check (state in ('READY', 'STUB', 'SUPERSEDED')),
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
          primary key (model_schema, model_name, version)
      );
      create unique index if not exists model_version_serving
          on postgres_ml.model_version (model_schema, model_name) where is_serving;
      comment on table postgres_ml.model_version is
          'One row for each published version of a model; functions holds what create function needs to publish it again';
      alter table postgres_ml.model_version
          add column if not exists digest jsonb,
          add column if not exists changes text,
          add column if not exists target text,
          add column if not exists query text,
          add column if not exists features jsonb,
          add column if not exists return_type text,
          add column if not exists labels jsonb,
          add column if not exists settings jsonb,
          add column if not exists hyperparameters jsonb,
          add column if not exists explanation jsonb,
          add column if not exists evaluated_program text,
          add column if not exists statistics jsonb,
          add column if not exists parity_rows text,
          add column if not exists is_champion boolean;
      {{ postgres_ml__row_policies() }}
      {{ postgres_ml__model_card_view() }}
      comment on column postgres_ml.model_version.digest is 'What the training followed from: data, query, config, code and libraries';
      comment on column postgres_ml.model_version.changes is 'Why it was trained';
      comment on column postgres_ml.model_version.evaluated_program is
          'Scoring program of the pipeline that never saw the hold-out: what a challenger is compared with';
      comment on column postgres_ml.model_version.statistics is 'Distribution of features and predictions at the training';
      comment on column postgres_ml.model_version.parity_rows is 'Some rows with the pipeline''s own predictions';
      comment on column postgres_ml.model_version.is_champion is
          'Whether MLflow''s alias champion is known to point at it; NULL where MLflow has no such version, or of an older release';
    {%- endset -%}
    {%- do postgres_ml__execute_exclusively(statements, ['postgres_ml.model_version']) -%}
  {%- endif -%}
  {%- do postgres_ml__create_show_functions() -%}
{% endmacro %}


{#-
  Who may publish into a schema reads and changes the catalog's rows of its models, and no others: a row has cells of the
  training data. Functions in an untrusted language, or that run with their owner's rights, are only in rows that a
  superuser wrote: whoever publishes such a version again runs what the row says.
-#}
{% macro postgres_ml__row_policies() %}
  {%- set is_own -%}
    exists (select from pg_namespace as n where n.nspname = model_schema and has_schema_privilege(n.oid, 'create'))
  {%- endset -%}
  {%- set is_trusted -%}
    not jsonb_path_exists(
        functions,
        '$[*] ? (@.language != "sql" && @.language != "plpgsql" && @.language != "plmodel" || @.options != "immutable parallel safe")'
    )
  {%- endset -%}
  alter table postgres_ml.model_version enable row level security;
  drop policy if exists read_all on postgres_ml.model_version;
  drop policy if exists read_own on postgres_ml.model_version;
  drop policy if exists insert_own on postgres_ml.model_version;
  drop policy if exists update_own on postgres_ml.model_version;
  drop policy if exists delete_own on postgres_ml.model_version;
  create policy read_own on postgres_ml.model_version for select using ({{ is_own }});
  create policy insert_own on postgres_ml.model_version for insert with check ({{ is_own }} and {{ is_trusted }});
  create policy update_own on postgres_ml.model_version for update using ({{ is_own }}) with check ({{ is_own }} and {{ is_trusted }});
  create policy delete_own on postgres_ml.model_version for delete using ({{ is_own }});
{%- endmacro %}


{#-
  What cards show, of every model: a card reads with its own owner's rights, while the policies above ask who calls.
  Trainers may read it, and nobody else.
-#}
{% macro postgres_ml__model_card_view() %}
  create or replace view postgres_ml.model_card as
  select
      model_schema, model_name, version, state, trained_at, problem_type, model_type, objective, metric, score, metrics,
      n_rows, n_holdout, n_features, function_name, signature, runtime, n_nodes, est_rows_per_s, mlflow_run_id, dbt_unique_id
  from postgres_ml.model_version
  where is_serving;
  comment on view postgres_ml.model_card is 'The serving versions, without what a training saw: what the cards of all models read';
  do $grants$
  declare
      trainer name;
  begin
      for trainer in
          select pg_get_userbyid(a.grantee)
          from pg_class as c cross join lateral aclexplode(c.relacl) as a
          where c.oid = 'postgres_ml.model_version'::regclass and a.privilege_type = 'INSERT' and a.grantee not in (0, c.relowner)
      loop
          execute format('grant select on postgres_ml.model_card to %I', trainer);
      end loop;
  end
  $grants$;
{%- endmacro %}
