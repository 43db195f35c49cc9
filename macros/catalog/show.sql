{#
  Creates what people and programs ask of the catalog by SQL: postgres_ml.model_info, show_model, show_model_all,
  explain_model, feature_importance. Replaced where an older release of this package made them, which the view's comment tells, by their
  owner's next publication.
  Everybody may call them and sees the models whose function they may execute, as in Redshift; query, settings and
  hyperparameters are for the function's owner.
#}
{% macro postgres_ml__create_show_functions() %}
  {%- set query -%}
    select
        coalesce(
            (regexp_match(obj_description(to_regclass('postgres_ml.model_info'), 'pg_class'), 'release ([0-9]+)'))[1]::integer, 0
        ) >= {{ postgres_ml__show_release() }} as is_up_to_date,
        coalesce(
            (select pg_has_role(c.relowner, 'usage') from pg_class as c where c.oid = to_regclass('postgres_ml.model_info')),
            has_schema_privilege('postgres_ml', 'create')
        ) as may_replace
  {%- endset -%}
  {%- set comment = 'One row for each model whose function you may execute, like SVV_ML_MODEL_INFO (release '
      ~ postgres_ml__show_release() ~ ')' -%}
  {%- set found = run_query(query).rows[0] -%}
  {%- if not found.is_up_to_date and not found.may_replace -%}
    {%- do log('postgres_ml.show_model and its like are of an older release, and belong to another role: let it build once') -%}
  {%- elif not found.is_up_to_date -%}
    {%- set statements -%}
      {{ postgres_ml__serving_model_view() }};
      {{ postgres_ml__model_info_view() }};
      {{ postgres_ml__find_model_function() }};
      {{ postgres_ml__show_model_function() }};
      {{ postgres_ml__explain_model_function() }};
      {{ postgres_ml__feature_importance_function() }};
      comment on view postgres_ml.serving_model is 'The catalog of the models whose function you may execute';
      comment on view postgres_ml.model_info is {{ postgres_ml__literal(comment) }};
      grant usage on schema postgres_ml to public;
      grant select on postgres_ml.serving_model, postgres_ml.model_info to public;
    {%- endset -%}
    {%- do postgres_ml__execute_exclusively(statements, ['postgres_ml.serving_model', 'postgres_ml.model_info']) -%}
  {%- endif -%}
{% endmacro %}


{#- Raised whenever one of the statements below changes. -#}
{% macro postgres_ml__show_release() %}{{ return(8) }}{% endmacro %}


{#
  A view reads its table with the owner's rights, while current_user stays the caller: that is what lets everybody
  see a part of the table. security_barrier keeps functions of the caller's from seeing the other rows.
#}
{% macro postgres_ml__serving_model_view() %}
create or replace view postgres_ml.serving_model with (security_barrier) as
select
    v.model_schema, v.model_name, v.version, v.state, v.trained_at, v.problem_type, v.model_type, v.objective, v.metric,
    v.score, v.metrics, v.train_metrics, v.n_rows, v.n_holdout, v.n_features, v.function_name, v.signature, v.runtime,
    v.n_nodes, v.est_rows_per_s, v.mlflow_run_id, v.mlflow_model_uri, v.dbt_unique_id, v.target,
    case when p.is_owner then v.query end as query, v.labels, case when p.is_owner then v.settings end as settings,
    case when p.is_owner then v.hyperparameters end as hyperparameters, v.explanation,
    pg_get_userbyid(p.proowner)::text as owner,
    array(
        select a.value ->> 0
        from jsonb_array_elements(case when d.body -> 'composite' = '[]' then d.body -> 'arguments' else d.body -> 'composite' end)
            with ordinality as a (value, position)
        order by a.position
    ) as feature_names,
    array(
        select coalesce(known.short, a.value ->> 1)
        from jsonb_array_elements(case when d.body -> 'composite' = '[]' then d.body -> 'arguments' else d.body -> 'composite' end)
            with ordinality as a (value, position)
        left join (values {{ postgres_ml__short_types() }}) as known (long, short) on known.long = a.value ->> 1
        order by a.position
    ) as feature_types,
    case when d.body -> 'composite' = '[]' then '' else d.body -> 'arguments' -> 0 ->> 1 end as features_type,
    case when jsonb_array_length(coalesce(d.body -> 'columns', '[]')) > 0 then 'table' else d.body ->> 'returns' end as return_type,
    jsonb_path_exists(v.functions, '$[*] ? (@.role == "probabilities")') as has_probabilities,
    jsonb_path_exists(v.functions, '$[*] ? (@.role == "explain")') as explains_rows
from postgres_ml.model_version as v
cross join lateral (
    select f.value as body from jsonb_array_elements(v.functions) as f where f.value ->> 'role' = 'predict'
) as d
cross join lateral (
    select q.proowner, pg_has_role(q.proowner, 'usage') as is_owner
    from pg_proc as q
    join pg_namespace as n on n.oid = q.pronamespace
    where n.nspname = v.model_schema and q.proname = v.function_name
        and has_schema_privilege(n.oid, 'usage') and has_function_privilege(q.oid, 'execute')
    limit 1
) as p
where v.is_serving
{% endmacro %}


{#- Redshift shows types by their short names. The catalog's texts are never read as types here: a row may say anything. -#}
{% macro postgres_ml__short_types() -%}
  ('boolean', 'bool'), ('smallint', 'int2'), ('integer', 'int4'), ('bigint', 'int8'), ('real', 'float4'),
  ('double precision', 'float8'), ('character varying', 'varchar'), ('character', 'bpchar'),
  ('timestamp without time zone', 'timestamp'), ('timestamp with time zone', 'timestamptz'),
  ('time without time zone', 'time'), ('time with time zone', 'timetz')
{%- endmacro %}


{% macro postgres_ml__model_info_view() %}
create or replace view postgres_ml.model_info as
select
    current_database()::text as database_name, model_schema as schema_name, owner as user_name, model_name,
    state as model_state, version, problem_type, model_type, objective, metric, score, function_name, runtime,
    n_rows, n_features, trained_at, mlflow_run_id, dbt_unique_id
from postgres_ml.serving_model
{% endmacro %}


{#-
  The row of the catalog that a text such as 'ml.customer_churn' means; folded to lower case unless quoted. What callers
  call only hands their search_path on, by a qualified name of exact types; the function behind it has a search_path of
  its own, so that nobody's functions or operators of the same names run with the caller's rights.
-#}
{% macro postgres_ml__find_model_function() %}
create or replace function postgres_ml.find_model_in(model text, schemas name[])
returns postgres_ml.serving_model
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
as $find_model$
declare
    parts constant text[] := parse_ident(model);
    found postgres_ml.serving_model;
begin
    select m.* into found
    from postgres_ml.serving_model as m
    where m.model_name = parts[cardinality(parts)]
        and case when cardinality(parts) > 1 then m.model_schema = parts[cardinality(parts) - 1]
            else m.model_schema = any (schemas) end
    order by array_position(schemas, m.model_schema::name)
    limit 1;
    if found.model_name is null then
        raise exception 'model "%" does not exist, or you may not execute its function', model
            using errcode = 'undefined_object', hint = coalesce(
                'There are: ' || (
                    select string_agg(format('%I.%I', m.model_schema, m.model_name), ', ' order by m.model_schema, m.model_name)
                    from postgres_ml.serving_model as m
                ),
                'There is none; dbt build publishes models.'
            );
    end if;
    return found;
end
$find_model$;
create or replace function postgres_ml.find_model(model text)
returns postgres_ml.serving_model
language sql stable parallel safe
as $find_model$
    select postgres_ml.find_model_in(model, pg_catalog.current_schemas(false))
$find_model$
{% endmacro %}


{#- Redshift's SHOW MODEL: its keys, in its order, without those that only mean something on AWS; then ours. -#}
{% macro postgres_ml__show_model_function() %}
create or replace function postgres_ml.show_model_all()
returns table (schema_name text, model_name text)
language sql stable parallel safe set search_path = pg_catalog, pg_temp
as $show_model_all$
    select m.model_schema, m.model_name from postgres_ml.serving_model as m order by 1, 2
$show_model_all$;
create or replace function postgres_ml.show_model_in(model text, schemas name[])
returns table (key text, value text)
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
as $show_model$
declare
    m postgres_ml.serving_model;
begin
    if lower(btrim(model)) = 'all' then
        return query select 'Schema Name'::text, 'Model Name'::text;
        return query select s.schema_name, s.model_name from postgres_ml.show_model_all() as s;
        return;
    end if;
    m := postgres_ml.find_model_in(model, schemas);
    return query values
        ('Model Name'::text, m.model_name),
        ('Schema Name', m.model_schema),
        ('Owner', m.owner),
        ('Creation Time', to_char(m.trained_at, 'Dy, DD.MM.YYYY HH24:MI:SS')),
        ('Model State', m.state);
    return query
        select 'validation:' || e.key, e.value
        from jsonb_each_text(m.metrics) as e
        order by e.key <> m.metric, e.key;
    return query values
        ('Metric Direction', case when m.metric in ('mse', 'rmse', 'mae', 'log_loss', 'inertia', 'pinball', 'mase', 'wape', 'mape', 'average_weighted_quantile_loss')
            then 'lower is better' when m.problem_type = 'anomaly_detection' then 'neither is better'
            else 'higher is better' end),
        ('', ''),
        ('TRAINING DATA:', ''),
        ('Query', m.query),
        ('Target Column', m.target),
        ('Rows', m.n_rows::text),
        ('Rows Held Out', m.n_holdout::text),
        ('', ''),
        ('PARAMETERS:', ''),
        ('Model Type', m.model_type),
        ('Problem Type', m.problem_type),
        ('Objective', m.objective),
        ('Function Name', m.function_name),
        ('Explain Function', case
            when m.explains_rows then m.function_name || '_explain'
            when m.problem_type = 'forecasting' then 'not supported for forecasts'
            when m.explanation ->> 'method' in ('tree_shap', 'linear_shap', 'additive_shap') then 'none (config: explain: true)'
            else 'not supported for this model' end),
        ('Function Parameters', array_to_string(m.feature_names, ' ')),
        ('Function Parameter Types', array_to_string(m.feature_types, ' ')),
        ('Runtime', m.runtime),
        ('Version', m.version::text),
        ('MLflow Run ID', m.mlflow_run_id),
        ('dbt Unique ID', m.dbt_unique_id),
        ('Max Runtime', m.settings ->> 'max_runtime'),
        ('', ''),
        ('HYPERPARAMETERS:', '');
    return query select h.key, h.value from jsonb_each_text(m.hyperparameters) as h order by h.key;
end
$show_model$;
create or replace function postgres_ml.show_model(model text)
returns table (key text, value text)
language sql stable parallel safe
as $show_model$
    select s.key, s.value from postgres_ml.show_model_in(model, pg_catalog.current_schemas(false)) as s
$show_model$
{% endmacro %}


{% macro postgres_ml__explain_model_function() %}
create or replace function postgres_ml.explain_model_in(model text, schemas name[])
returns jsonb
language sql stable parallel safe set search_path = pg_catalog, pg_temp
as $explain_model$
    select coalesce(
        m.explanation,
        jsonb_build_object('version', '1.0', 'explanations', 'not available for model type ' || m.model_type)
    )
    from postgres_ml.find_model_in(model, schemas) as m
$explain_model$;
create or replace function postgres_ml.explain_model(model text)
returns jsonb
language sql stable parallel safe
as $explain_model$
    select postgres_ml.explain_model_in(model, pg_catalog.current_schemas(false))
$explain_model$
{% endmacro %}
