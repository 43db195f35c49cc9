{#
  Creates the catalog, or brings it up to date, and lets roles publish into it that may not create a schema themselves.
  Whoever runs it owns the catalog. Needed once where models train with least privileges, and after an upgrade there.
  It also installs what SQL clients call (postgres_ml.create_model and so on); `worker` is the role of the process that
  trains for them, `scheduler` a role without rights that fires their schedules.

    dbt run-operation create_catalog --args '{trainers: [ml_train], worker: ml_worker}'
#}
{% macro create_catalog(trainers=[], worker=none, scheduler=none) %}
  {%- do postgres_ml__lock_catalog() -%}
  {%- do postgres_ml__trust_only_catalog() -%}
  {%- do postgres_ml__create_catalog() -%}
  {%- do postgres_ml__create_endpoint_table() -%}
  {%- set trainers = ([trainers] if trainers is string else trainers) + ([worker] if worker else []) -%}
  {%- for trainer in trainers -%}
    {%- set role = postgres_ml__identifier(trainer) -%}
    {%- call statement('grant_catalog') -%}
      grant usage on schema postgres_ml to {{ role }};
      grant select, insert, update, delete on postgres_ml.model_version to {{ role }};
      grant select on postgres_ml.model_card to {{ role }}
    {%- endcall -%}
  {%- endfor -%}
  {%- do postgres_ml__create_sql_client(worker, scheduler) -%}
  {%- do postgres_ml__commit() -%}
  {%- do log('postgres_ml: the catalog is up to date; ' ~ (trainers | join(', ') ~ ' may publish' if trainers else 'no rights changed'), info=true) -%}
{% endmacro %}
