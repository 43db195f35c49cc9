{#
  Decides what happens to functions that already have the new function's name:
    somebody else's             an error names the owner, nothing is touched
    another model's             an error names the model, nothing is touched
    ours, the same signature    create or replace does it; views that use it go on
    ours, arguments renamed     Postgres can't replace that: dropped, or the error names what depends on it
    or another return type      (--full-refresh drops views that dbt makes again)
    ours, other argument types  dropped when free; kept, marked SUPERSEDED, while something depends on it
  The overload that takes jsonb has the same types for ever, and is another function to all of this. A function of one
  feature that isn't a text has none: one of before goes, or the error names what depends on it.
#}
{% macro postgres_ml__replace_overloads(card, callable) %}
  {%- set by_name = callable | selectattr('role', 'equalto', 'by_name') | map(attribute='name') | list -%}
  {%- for body in callable -%}
    {%- do postgres_ml__replace_overload(card, body) -%}
    {%- if body.name not in by_name -%}
      {%- for old in postgres_ml__overloads(card.schema, body.name) if old.is_ours and old.is_by_name -%}
        {%- do postgres_ml__drop_unless_used(card, old) -%}
      {%- endfor -%}
    {%- endif -%}
    {%- if body.role == 'predict' and not body.composite -%}
      {%- do postgres_ml__drop_unused_features_type(card, body.name) -%}
    {%- endif -%}
  {%- endfor -%}
{% endmacro %}


{% macro postgres_ml__replace_overload(card, body) %}
  {%- set names = body.arguments | map(attribute=0) | list -%}
  {%- set types = body.arguments | map(attribute=1) | list -%}
  {%- for old in postgres_ml__overloads(card.schema, body.name, types) -%}
    {%- if not old.is_ours -%}
      {%- do exceptions.raise_compiler_error(
          card.identifier ~ ': function ' ~ old.signature ~ ' exists and was not made by dbt-postgres-ml (owner ' ~ old.owner
          ~ '); it stays as it is. Set the config `function` to another name, or drop it yourself'
      ) -%}
    {%- elif not old.has_same_types and old.is_by_name != (body.role == 'by_name') -%}
      {#- the other form of the same call -#}
    {%- elif not old.has_same_types -%}
      {%- if old.dependents -%}
        {%- do postgres_ml__supersede(card, old) -%}
      {%- else -%}
        {%- do postgres_ml__drop_function(old) -%}
      {%- endif -%}
    {%- elif fromjson(old.names) != names or old.returns != body.returns
        or fromjson(old.columns) != fromjson(tojson(body.columns | default([], true))) -%}
      {%- do postgres_ml__drop_unless_used(card, old) -%}
    {%- endif -%}
  {%- endfor -%}
{% endmacro %}


{% macro postgres_ml__drop_unless_used(card, old) %}
  {%- do postgres_ml__free(
      card, old, 'the arguments or the return type of ' ~ old.signature ~ ' change, which Postgres can not do in place'
  ) -%}
  {%- do postgres_ml__drop_function(old) -%}
{% endmacro %}


{#- See that nothing depends on a function: under --full-refresh views of this project are dropped, all else is an error. -#}
{% macro postgres_ml__free(card, old, change) %}
  {%- if old.dependents and not postgres_ml__may_cascade() -%}
    {%- do exceptions.raise_compiler_error(
        card.identifier ~ ': ' ~ change ~ ', and these depend on it: ' ~ old.dependents ~ '. The old version keeps serving. '
        ~ '`dbt build --full-refresh` drops and rebuilds views of this project, or set the config `function` to a new name'
    ) -%}
  {%- endif -%}
  {%- if old.dependents -%}
    {%- do postgres_ml__drop_dependents(card, old) -%}
  {%- endif -%}
{% endmacro %}


{#- Only a build can be told by --full-refresh to rebuild what depends on a function; an operation never cascades. -#}
{% macro postgres_ml__may_cascade() %}
  {{ return(config is defined and should_full_refresh()) }}
{% endmacro %}


{#-
  A row for each function of that name: signature, owner, is_ours, is_superseded, is_by_name (it takes the features as
  jsonb, which no feature is), dependents, returns, the arguments' names, the columns of the table that it returns as
  [name, type], whether the arguments' types are the given ones, and the features' names (those of the composite type of a
  wide model).
-#}
{% macro postgres_ml__overloads(schema, name, types=[]) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set literals = [] -%}
  {%- for type in types -%}
    {%- do literals.append(ml.postgres_ml__literal(type)) -%}
  {%- endfor -%}
  {%- set query -%}
    select
        p.oid::regprocedure::text as signature,
        pg_get_userbyid(p.proowner) as owner,
        coalesce(obj_description(p.oid, 'pg_proc'), '') like '%[dbt-postgres-ml]' as is_ours,
        coalesce(obj_description(p.oid, 'pg_proc'), '') like 'SUPERSEDED%' as is_superseded,
        p.pronargs = 1 and p.proargtypes[0] = 'jsonb'::regtype as is_by_name,
        (
            select string_agg(distinct replace(pg_describe_object(d.classid, d.objid, d.objsubid), 'rule _RETURN on ', ''), ', ')
            from pg_depend as d
            where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.deptype = 'n'
        ) as dependents,
        format_type(p.prorettype, null) as returns,
        coalesce(to_json(p.proargnames[1:p.pronargs]), '[]')::text as names,
        (
            select coalesce(json_agg(json_build_array(p.proargnames[c.position], format_type(c.type, null)) order by c.position), '[]')
            from unnest(p.proallargtypes) with ordinality as c(type, position)
            where p.proargmodes[c.position] = 't'
        )::text as columns,
        array(select unnest(p.proargtypes)) = array(
            select to_regtype(given.type)::oid
            from unnest(array[{{ literals | join(', ') }}]::text[]) with ordinality as given(type, position)
            order by given.position
        ) as has_same_types,
        coalesce(features.names, to_json(p.proargnames[1:p.pronargs]), '[]')::text as features
    from pg_proc as p
    left join lateral (
        select json_agg(a.attname order by a.attnum) as names
        from pg_type as t
        inner join pg_attribute as a on a.attrelid = t.typrelid
        where p.pronargs = 1 and t.oid = p.proargtypes[0] and t.typtype = 'c' and a.attnum > 0 and not a.attisdropped
    ) as features on true
    where p.pronamespace = to_regnamespace({{ ml.postgres_ml__literal(adapter.quote(schema)) }})
        and p.proname = {{ ml.postgres_ml__literal(name) }}
  {%- endset -%}
  {{ return(run_query(query)) }}
{% endmacro %}


{#-
  Drops the views on the function that this project makes again, one by one: so dbt's cache learns of it. Raises if
  anything else depends on it, which nobody would make again: somebody's view, a column's default, a partition key.
-#}
{% macro postgres_ml__drop_dependents(card, old) %}
  {%- set query -%}
    select distinct
        n.nspname as schema, c.relname as name,
        replace(pg_describe_object(d.classid, d.objid, d.objsubid), 'rule _RETURN on ', '') as description
    from pg_depend as d
    left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid and r.rulename = '_RETURN'
    left join pg_class as c on c.oid = r.ev_class
    left join pg_namespace as n on n.oid = c.relnamespace
    where d.refclassid = 'pg_proc'::regclass and d.deptype = 'n'
        and d.refobjid = to_regprocedure({{ postgres_ml__literal(old.signature) }})
  {%- endset -%}
  {%- set made_again = [] -%}
  {%- set others = [] -%}
  {%- for row in run_query(query) -%}
    {%- set nodes = graph.nodes.values() | selectattr('resource_type', 'in', ['model', 'test'])
        | selectattr('schema', 'equalto', row.schema) | selectattr('alias', 'equalto', row.name) | list -%}
    {%- set dependent = adapter.get_relation(database=target.dbname, schema=row.schema, identifier=row.name) if nodes -%}
    {%- if dependent -%}
      {%- do made_again.append(dependent) -%}
    {%- else -%}
      {%- do others.append(row.description) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if others -%}
    {%- do exceptions.raise_compiler_error(
        card.identifier ~ ': ' ~ old.signature ~ ' has to be dropped, and these depend on it, which dbt would not make again: '
        ~ others | sort | join(', ') ~ '. The old version keeps serving. Drop or change these first, or set the config '
        ~ '`function` to a new name'
    ) -%}
  {%- endif -%}
  {%- for dependent in made_again -%}
    {%- do postgres_ml__drop_exclusively(dependent) -%}
  {%- endfor -%}
{% endmacro %}


{% macro postgres_ml__drop_function(old) %}
  {%- call statement('drop_function') -%}
    drop function {{ old.signature }}
  {%- endcall -%}
{% endmacro %}


{% macro postgres_ml__supersede(card, old) %}
  {%- do log(card.identifier ~ ': ' ~ old.signature ~ ' stays, SUPERSEDED, because these depend on it: ' ~ old.dependents, info=true) -%}
  {%- set comment = 'SUPERSEDED by a version with other arguments; goes with the first build that finds it free '
      ~ postgres_ml__marker() -%}
  {%- call statement('supersede_function') -%}
    comment on function {{ old.signature }} is {{ postgres_ml__literal(comment) }}
  {%- endcall -%}
{% endmacro %}


{#- The functions that users call by this one's name, whether it has them or not. -#}
{% macro postgres_ml__callable_names(function) %}
  {%- set names = [function] -%}
  {%- for suffix in ('_probabilities', '_distances', '_is_anomaly', '_interval', '_explain', '_scorecard') -%}
    {%- do names.append(function ~ suffix) -%}
  {%- endfor -%}
  {{ return(names) }}
{% endmacro %}


{#-
  Parts that the new version doesn't replace: an earlier one may have needed more, or had other arguments.
  A superseded function still calls its parts, so they all stay as long as there is one. Nothing of Postgres's
  own depends on them: a body is a text.
-#}
{% macro postgres_ml__drop_stale_parts(card, function, functions) %}
  {%- set schema = card.schema -%}
  {%- set superseded = [] -%}
  {%- for name in postgres_ml__callable_names(function) -%}
    {%- for overload in postgres_ml__overloads(schema, name) if overload.is_superseded -%}
      {%- do superseded.append(overload.signature) -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- set new = {} -%}
  {%- for body in functions -%}
    {%- do new.update({body.name: body}) -%}
  {%- endfor -%}
  {%- for name in postgres_ml__part_names(card, function) -%}
    {%- set body = new.get(name) -%}
    {%- set types = body.arguments | map(attribute=1) | list if body else [] -%}
    {%- for old in postgres_ml__overloads(schema, name, types) if old.is_ours -%}
      {%- set is_replaced_in_place = old.has_same_types and fromjson(old.names) == body.arguments | map(attribute=0) | list
          and old.returns == body.returns -%}
      {%- if old.has_same_types and not is_replaced_in_place or not old.has_same_types and not superseded -%}
        {%- do postgres_ml__drop_function(old) -%}
      {%- endif -%}
    {%- endfor -%}
  {%- endfor -%}
{% endmacro %}


{#- By the comment, too: `predict_churn__eu` is a name of another model's function, and has parts of its own. -#}
{% macro postgres_ml__part_names(card, function) %}
  {%- set of_model = 'A part of the functions of ' ~ card.identifier ~ ', version ' -%}
  {%- set query -%}
    select distinct p.proname as name
    from pg_proc as p
    where p.pronamespace = to_regnamespace({{ postgres_ml__literal(adapter.quote(card.schema)) }})
        and (
            starts_with(p.proname, {{ postgres_ml__literal('_' ~ function ~ '__') }})
            or starts_with(p.proname, {{ postgres_ml__literal(function ~ '__') }})  -- as 0.1.0 named them
        )
        and obj_description(p.oid, 'pg_proc') like '%[dbt-postgres-ml]'
        and starts_with(obj_description(p.oid, 'pg_proc'), {{ postgres_ml__literal(of_model) }})
        and obj_description(p.oid, 'pg_proc') not like '%, pinned (%'
  {%- endset -%}
  {{ return(run_query(query).columns[0].values()) }}
{% endmacro %}
