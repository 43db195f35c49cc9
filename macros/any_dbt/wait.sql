{#-
  Waits for a worker's job and returns its message; a job that fails is an error. Each look is a statement of its own
  after the commit, so no transaction is open for as long as a model trains. Jinja has no while: the loops are counted,
  3600 looks a hundred times, and do nothing once the job has ended.
-#}
{% macro postgres_ml__wait_for_job(job, name) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set now = namespace(message=none, said='', told=0, lonely=none, n=0) -%}
  {%- do log(name ~ ': job ' ~ job ~ '; to call it off: select postgres_ml.cancel(' ~ job ~ ')', info=true) -%}
  {%- for _ in range(100) -%}
    {%- if now.message is none -%}
      {%- for _ in range(3600) -%}
        {%- if now.message is none -%}
          {%- set row = run_query(ml.postgres_ml__job_query(job)).rows[0] -%}
          {%- if row.state == 'READY' -%}
            {%- set now.message = row.message or 'READY' -%}
          {%- elif row.state != 'TRAINING' -%}
            {%- do exceptions.raise_compiler_error(name ~ ': ' ~ row.state ~ ' (job ' ~ job ~ '): ' ~ row.message) -%}
          {%- else -%}
            {%- set now.lonely = none if row.has_begun or row.has_worker else (row.seconds if now.lonely is none else now.lonely) -%}
            {%- do ml.postgres_ml__tell_progress(now, row, job, name) -%}
            {%- do ml.postgres_ml__check_patience(now, row, job, name) -%}
            {%- do run_query('select pg_catalog.pg_sleep(' ~ (0.25 if now.n < 20 else 1) ~ ')') -%}
            {%- set now.n = now.n + 1 -%}
          {%- endif -%}
        {%- endif -%}
      {%- endfor -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(now.message) }}
{% endmacro %}


{#- Workers name their connections, which every role may see. -#}
{% macro postgres_ml__job_query(job) %}
  select
      j.state, j.phase, j.message, j.started_at is not null as has_begun,
      extract(epoch from pg_catalog.clock_timestamp() - j.created_at)::integer as seconds,
      exists (
          select from pg_catalog.pg_stat_activity as a
          where a.datname = pg_catalog.current_database() and a.application_name = 'postgres-ml worker'
      ) as has_worker
  from postgres_ml.jobs as j
  where j.job = {{ job }}
{% endmacro %}


{% macro postgres_ml__tell_progress(now, row, job, name) %}
  {%- if row.has_begun -%}
    {%- if row.message and row.message != now.said -%}
      {%- do log(name ~ ': ' ~ row.message, info=true) -%}
      {%- set now.said = row.message -%}
    {%- endif -%}
  {%- elif now.lonely is not none and row.seconds - now.lonely >= 3 and row.seconds >= now.told -%}
    {%- do log(
        name ~ ': job ' ~ job ~ ' waits, and no worker is connected to this database: start one, postgres-ml worker --dsn … '
        ~ '(docs/worker.md)', info=true
    ) -%}
    {%- set now.told = row.seconds + 30 -%}
  {%- elif row.has_worker and row.seconds >= 10 and row.seconds >= now.told -%}
    {%- do log(name ~ ': job ' ~ job ~ ' waits until a worker is free', info=true) -%}
    {%- set now.told = row.seconds + 60 -%}
  {%- endif -%}
{% endmacro %}


{#- Calls a job off that nobody does, or that takes longer than is allowed, and raises. -#}
{% macro postgres_ml__check_patience(now, row, job, name) %}
  {%- set for_job = var('postgres_ml_timeout', 14400) | float -%}
  {%- set for_worker = var('postgres_ml_worker_timeout', 300) | float -%}
  {%- set problem = none -%}
  {%- if now.lonely is not none and row.seconds - now.lonely >= for_worker -%}
    {%- set problem = 'no worker was connected to this database for ' ~ for_worker | int ~ ' s, and job ' ~ job ~ ' was cancelled. '
        ~ 'Start one, postgres-ml worker --dsn … (docs/worker.md), or wait longer: vars: {postgres_ml_worker_timeout: 3600}' -%}
  {%- elif row.seconds >= for_job -%}
    {%- set problem = 'job ' ~ job ~ ' was not done after ' ~ for_job | int ~ ' s (' ~ (row.message or row.phase) ~ ') and was cancelled. '
        ~ 'Lower settings: max_runtime, or wait longer: vars: {postgres_ml_timeout: 43200}' -%}
  {%- endif -%}
  {%- if problem -%}
    {%- do run_query('select postgres_ml.cancel(' ~ job ~ ')') -%}
    {%- do exceptions.raise_compiler_error(name ~ ': ' ~ problem) -%}
  {%- endif -%}
{% endmacro %}


{#- Asks a worker for what belongs to it: drop_model, rollback_model. -#}
{% macro postgres_ml__ask_worker(call, name) %}
  {%- do postgres_ml__begin_if_idle() -%}
  {%- call statement('ask_worker', fetch_result=True) -%}
    select {{ call }} as job
  {%- endcall -%}
  {%- set job = load_result('ask_worker').table.columns[0].values()[0] | int -%}
  {%- do postgres_ml__commit() -%}
  {%- do log(name ~ ': ' ~ postgres_ml__wait_for_job(job, name), info=true) -%}
{% endmacro %}
