{#
  A query that scores a whole relation: its key and the column `prediction`.

    predict_table(ref('churn'), ref('customers'), key='customer_id')
    predict_table('churn', ref('customers'), key=['shop', 'customer_id'], features={'spend': 'total / days'})

  Runtime python and endpoints answer one row a call; here they get some thousand rows at once. In the other runtimes
  it is the call of the function that `predict` writes. Use it as a model's body, or in parentheses after `from`.
  Columns are matched by the features' names; `features` gives expressions for those named otherwise.
#}
{% macro predict_table(model, relation, key, features=none, chunk_rows=10000, package=none, v=none) -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set called = ml.postgres_ml__called('predict_table', model, features, package, v) -%}
  {%- if not execute -%}
    {{ return('') }}
  {%- endif -%}
  {{ return(ml.postgres_ml__score(called, relation, [key] if key is string else key, chunk_rows)) }}
{%- endmacro %}


{#-
  What a macro over a whole relation calls: {function, batch_function or none, columns: (name, type) of each feature,
  values: the SQL expression of each}. An error where the function does not exist yet.
-#}
{% macro postgres_ml__called(macro_name, model, features, package, v) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set model_name = model if model is string else model.identifier -%}
  {%- set model_relation = model -%}
  {%- if model is string -%}
    {%- set model_relation = ref(package, model, v=v) if package else ref(model, v=v) -%}
  {%- endif -%}
  {%- if not execute -%}
    {{ return(none) }}
  {%- endif -%}
  {%- set reference = {'name': model, 'package': package, 'v': v} if model is string else {} -%}
  {%- set function = ml.postgres_ml__prediction_function(model_relation, reference) -%}
  {%- set search_path = ml.postgres_ml__trust_only_catalog() -%}
  {%- set columns = ml.postgres_ml__feature_types(function) -%}
  {%- set batch_functions = [] -%}
  {%- for name in ['_' ~ function.name ~ '__batch', function.name ~ '__batch'] -%}  {#- the latter of 0.1.0 -#}
    {%- for _ in ml.postgres_ml__overloads(function.schema, name) -%}
      {%- do batch_functions.append(name) -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- do ml.postgres_ml__restore_search_path(search_path) -%}
  {%- if not columns -%}
    {%- do exceptions.raise_compiler_error(
        macro_name ~ "('" ~ model_name ~ "'): function " ~ function.qualified ~ ' does not exist yet; build it first: '
        ~ 'dbt build --select ' ~ model_name
    ) -%}
  {%- endif -%}
  {%- set names = columns | map(attribute=0) | list -%}
  {%- if names == ['horizon'] and ml.postgres_ml__returns_table(function) -%}
    {%- do exceptions.raise_compiler_error(
        macro_name ~ "('" ~ model_name ~ "'): that model forecasts: select * from {{ forecast('" ~ model_name ~ "') }}"
    ) -%}
  {%- endif -%}
  {%- if features is not none and features is not mapping -%}
    {%- do exceptions.raise_compiler_error(
        macro_name ~ "('" ~ model_name ~ "'): features is a dictionary of SQL by feature, such as {'" ~ names[0] ~ "': '…'}; "
        ~ 'columns that are named like features need none'
    ) -%}
  {%- endif -%}
  {%- for name in features or {} if name not in names -%}
    {%- do exceptions.raise_compiler_error(
        macro_name ~ "('" ~ model_name ~ "') has no feature '" ~ name ~ "'; its features are " ~ names | join(', ')
    ) -%}
  {%- endfor -%}
  {%- set values = [] -%}
  {%- for name in names -%}
    {%- set value = (features or {}).get(name, ml.postgres_ml__identifier(name)) -%}
    {%- do values.append('null' if value is none else value) -%}
  {%- endfor -%}
  {{ return({'function': function, 'batch_function': batch_functions | first, 'columns': columns, 'values': values}) }}
{% endmacro %}


{#- The query of key and prediction over a relation, or over a subquery with its alias. -#}
{% macro postgres_ml__score(called, relation, key, chunk_rows) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set function = called.function -%}
  {%- set keys = [] -%}
  {%- for name in key -%}
    {%- do keys.append(ml.postgres_ml__identifier(name)) -%}
  {%- endfor -%}
  {%- if called.batch_function -%}
    {{ return(ml.postgres_ml__predict_in_chunks(function, called.batch_function, relation, keys, called.columns, called['values'], chunk_rows)) }}
  {%- endif -%}
  {%- set arguments = ml.postgres_ml__cast_to(function, called['values']) | join(', ') -%}
  {%- if called.columns | length > 100 -%}
    {%- set arguments = 'row(' ~ arguments ~ ')::' ~ function.features_type -%}
  {%- endif -%}
  {{ return('select ' ~ keys | join(', ') ~ ', ' ~ function.qualified ~ '(' ~ arguments ~ ') as prediction\nfrom ' ~ relation) }}
{% endmacro %}


{#-
  Numbers and booleans of a chunk go as one bytea of doubles, each text column as an array. All aggregates of a group see
  its rows in one order, so that keys and predictions stay side by side.
-#}
{% macro postgres_ml__predict_in_chunks(function, batch_function, relation, keys, columns, values, chunk_rows) -%}
  {%- set numbers = [] -%}
  {%- set arguments = [] -%}
  {%- for name, type in columns -%}
    {%- set value = values[loop.index0] -%}
    {%- if type == 'boolean' -%}
      {%- do numbers.append("pg_catalog.float8send(coalesce((" ~ value ~ ")::integer::float8, 'NaN'))") -%}
    {%- elif type in ('smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision') -%}
      {%- do numbers.append("pg_catalog.float8send(coalesce((" ~ value ~ ")::float8, 'NaN'))") -%}
    {%- elif type == 'timestamp with time zone' -%}
      {%- do arguments.append('pg_catalog.array_agg(pg_catalog.to_json((' ~ value ~ ") at time zone 'UTC') #>> '{}')") -%}
    {%- elif type in ('date', 'timestamp without time zone') -%}  {#- JSON's form is ISO's under any DateStyle -#}
      {%- do arguments.append('pg_catalog.array_agg(pg_catalog.to_json(' ~ value ~ ") #>> '{}')") -%}
    {%- else -%}
      {%- do arguments.append('pg_catalog.array_agg((' ~ value ~ ')::text)') -%}
    {%- endif -%}
  {%- endfor -%}
  {%- do arguments.insert(0, "pg_catalog.string_agg(" ~ (numbers | join(' || ') or "''::bytea") ~ ", ''::bytea)") -%}
  {%- set arrays, names = [], [] -%}
  {%- for name in keys -%}
    {%- do arrays.append('pg_catalog.array_agg(' ~ name ~ ') as key_' ~ loop.index) -%}
    {%- do names.append('key_' ~ loop.index) -%}
  {%- endfor %}
select {{ keys | join(', ') }}, prediction
from (
    select {{ arrays | join(', ') }},
        {{ adapter.quote(function.schema) }}.{{ adapter.quote(batch_function) }}({{ arguments | join(', ') }}) as predictions
    from (
        select *, (pg_catalog.row_number() over () - 1) / {{ chunk_rows }} as postgres_ml_chunk
        from {{ relation }}
    ) as numbered
    group by postgres_ml_chunk
) as chunk
cross join lateral rows from ({% for name in names + ['predictions'] %}pg_catalog.unnest({{ name }}){{ ', ' if not loop.last }}{% endfor %}) as scored ({{ keys | join(', ') }}, prediction)
{%- endmacro %}


{#- (name, type) of each feature of the function in order; empty where it does not exist. -#}
{% macro postgres_ml__feature_types(function) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set query -%}
    select json_agg(json_build_array(f.name, format_type(f.type, null)) order by f.position)::text as features
    from pg_proc as p
    cross join lateral (
        select a.attname::text as name, a.atttypid as type, a.attnum::bigint as position
        from pg_type as t
        inner join pg_attribute as a on a.attrelid = t.typrelid
        where p.pronargs = 1 and t.oid = p.proargtypes[0] and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped
        union all
        select p.proargnames[s.i], p.proargtypes[s.i - 1], s.i
        from generate_series(1, p.pronargs) as s(i)
        where not exists (select 1 from pg_type as t where t.oid = p.proargtypes[0] and t.typtype = 'c')
    ) as f
    where p.pronamespace = to_regnamespace({{ ml.postgres_ml__literal(adapter.quote(function.schema)) }})
        and p.proname = {{ ml.postgres_ml__literal(function.name) }}
        and obj_description(p.oid, 'pg_proc') like '%[dbt-postgres-ml]'
        and obj_description(p.oid, 'pg_proc') not like 'SUPERSEDED%'
        and not (p.pronargs = 1 and p.proargtypes[0] = 'jsonb'::regtype)  {#- features by name #}
  {%- endset -%}
  {{ return(fromjson(run_query(query).columns[0].values()[0] or '[]')) }}
{% endmacro %}
