{#
  Puts a packed pipeline into the catalog for runtime python, in the publishing transaction, after a check that the
  server's Python can run it. Packed pipelines that no version names any more go.
#}
{% macro postgres_ml__publish_artifact(result) %}
  {%- call statement('create_artifact_table') -%}
    create table if not exists postgres_ml.artifact (
        sha256 text primary key,
        content bytea not null,
        stored_at timestamptz not null default now()
    );
    revoke all on postgres_ml.artifact from public;
    comment on table postgres_ml.artifact is
        'Pipelines of runtime python, packed; the functions read them with their owner''s rights, by their digest';
  {%- endcall -%}
  {%- set sha256 = adapter.store_artifact(result) -%}
  {%- call statement('delete_unused_artifacts') -%}
    delete from postgres_ml.artifact as a
    where a.sha256 <> {{ postgres_ml__literal(sha256) }}
        and not exists (
            select 1 from postgres_ml.model_version as v
            where v.runtime = 'python' and strpos(v.functions::text, a.sha256) > 0
        )
  {%- endcall -%}
{% endmacro %}
