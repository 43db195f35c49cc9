{#
  Creates what SQL clients call: postgres_ml.create_model, run, wait, cancel and so on, and what the worker calls.
  `create_catalog` installs it, and again after an upgrade; a build leaves it alone.
  docs/security.md says who may do what; decision 28 why the query runs in the caller's session.
#}
{% macro postgres_ml__create_sql_client(worker=none, scheduler=none) %}
  {%- set statements -%}
    set local check_function_bodies = off;  -- the functions call each other
    {{ postgres_ml__job_table() }};
    {{ postgres_ml__model_place_function() }};
    {{ postgres_ml__job_rules() }};
    {{ postgres_ml__handover_functions() }};
    {{ postgres_ml__create_model_functions() }};
    {{ postgres_ml__worker_functions() }};
    {{ postgres_ml__job_functions() }};
    {{ postgres_ml__model_functions() }};
    {{ postgres_ml__token_functions() }};
    {{ postgres_ml__statement_functions() }};
    {{ postgres_ml__create_statement_functions() }};
    {{ postgres_ml__schedule_functions() }};
    {{ postgres_ml__sql_client_grants() }}
  {%- endset -%}
  {%- do postgres_ml__execute_exclusively(statements, ['postgres_ml.job', 'postgres_ml.jobs']) -%}
  {%- if worker -%}
    {%- set role = postgres_ml__identifier(worker) -%}
    {%- call statement('grant_worker') -%}
      grant execute on function
          {{ postgres_ml__worker_signatures() | join(', ') }} to {{ role }};
      grant select on postgres_ml.jobs to {{ role }};
      create schema if not exists postgres_ml_queue authorization {{ role }}
    {%- endcall -%}
  {%- endif -%}
  {%- if scheduler -%}
    {%- call statement('grant_scheduler') -%}
      grant execute on function postgres_ml.scheduler_role() to {{ postgres_ml__identifier(scheduler) }}
    {%- endcall -%}
  {%- endif -%}
{% endmacro %}


{#- Raised whenever one of these statements changes, and worker/setup.py: RELEASE with it; a worker brings its catalog up to date. -#}
{% macro postgres_ml__sql_client_release() %}{{ return(6) }}{% endmacro %}


{#- What only a worker may call. -#}
{% macro postgres_ml__worker_signatures() %}
  {{ return([
      'postgres_ml.waiting_jobs()',
      'postgres_ml.unfinished_jobs()',
      'postgres_ml.note_queued(bigint[])',
      'postgres_ml.claim_job(bigint, text)',
      'postgres_ml.note_progress(bigint, integer, jsonb)',
      'postgres_ml.finish_job(bigint, integer, text)',
      'postgres_ml.end_job(bigint, integer, text, text)',
      'postgres_ml.give_back_job(bigint, integer, text)',
      'postgres_ml.note_stop(bigint, integer)',
      'postgres_ml.clear_jobs()',
      'postgres_ml.prune_jobs(double precision)',
      'postgres_ml.all_schedules()',
      'postgres_ml.claim_schedule(text, text, timestamptz)',
      'postgres_ml.note_schedule(text, text, text)',
      'postgres_ml.give_back_schedule(text, text, timestamptz, timestamptz, text)',
  ]) }}
{% endmacro %}


{#- Everybody may look a job of his own up; create_model is granted by the administrator, the worker's to the worker. -#}
{% macro postgres_ml__sql_client_grants() %}
revoke execute on function
    postgres_ml.create_model(text, text, jsonb), postgres_ml.scheduler_role(), {{ postgres_ml__worker_signatures() | join(', ') }} from public;
grant usage on schema postgres_ml to public;
grant select on postgres_ml.jobs to public
{% endmacro %}
