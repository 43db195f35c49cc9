{#
  The composite type that a function of more than 100 features takes: Postgres allows no more arguments.
  Kept while its attributes stay the same. Otherwise it is made anew, which the functions of the old one don't survive:
  where something depends on them, an error names it. What else takes the type is never dropped with it.
#}
{% macro postgres_ml__create_features_type(card, body) %}
  {%- set type = body.arguments[0][1] -%}
  {%- set attributes = [] -%}
  {%- for name, attribute_type in body.composite -%}
    {#- an attribute of type character would hold one character -#}
    {%- set type_name = 'bpchar' if attribute_type == 'character' else attribute_type -%}
    {%- do attributes.append(postgres_ml__identifier(name) ~ ' ' ~ type_name) -%}
  {%- endfor -%}
  {%- set query -%}
    select
        json_agg(json_build_array(a.attname, format_type(a.atttypid, null)) order by a.attnum)::text as attributes,
        coalesce(obj_description(to_regtype({{ postgres_ml__literal(type) }})::oid, 'pg_type'), '')
            like '%[dbt-postgres-ml]' as is_ours
    from pg_type as t
    inner join pg_attribute as a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    where t.oid = to_regtype({{ postgres_ml__literal(type) }})
  {%- endset -%}
  {%- set found = run_query(query).rows[0] -%}
  {%- if found.attributes is not none and not found.is_ours -%}
    {%- do exceptions.raise_compiler_error(
        card.identifier ~ ': type ' ~ type ~ ' exists and was not made by dbt-postgres-ml. Set the config `function` to another name'
    ) -%}
  {%- endif -%}
  {%- if found.attributes is none or fromjson(found.attributes) != fromjson(tojson(body.composite)) -%}
    {%- if found.attributes is not none -%}
      {%- do postgres_ml__drop_features_type(card, body, type) -%}
    {%- endif -%}
    {%- call statement('create_features_type') -%}
      create type {{ type }} as ({{ attributes | join(', ') }});
      comment on type {{ type }} is {{ postgres_ml__literal('Features of ' ~ body.name ~ ' ' ~ postgres_ml__marker()) }}
    {%- endcall -%}
  {%- endif -%}
{% endmacro %}


{% macro postgres_ml__drop_features_type(card, body, type) %}
  {%- for name in postgres_ml__callable_names(body.name) -%}
    {%- for old in postgres_ml__overloads(card.schema, name, [type]) if old.has_same_types and old.is_ours -%}
      {%- do postgres_ml__free(card, old, 'the features of ' ~ old.signature ~ ' change') -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- set others = run_query(postgres_ml__users_of_type(card, type)).columns[0].values()[0] -%}
  {%- if others -%}
    {%- do exceptions.raise_compiler_error(
        card.identifier ~ ': the features change, and with them the type ' ~ type ~ ', which these use: ' ~ others
        ~ '. The old version keeps serving. Change or drop these first, or set the config `function` to a new name'
    ) -%}
  {%- endif -%}
  {%- call statement('drop_features_type') -%}
    drop type {{ type }} cascade
  {%- endcall -%}
{% endmacro %}


{#- What depends on a composite type, or on an array of it, besides our own functions: columns, for instance. -#}
{% macro postgres_ml__users_of_type(card, type) %}
  select string_agg(distinct pg_describe_object(d.classid, d.objid, d.objsubid), ', ')
  from pg_type as t
  inner join pg_depend as d on d.deptype = 'n' and (
      d.refclassid = 'pg_type'::regclass and d.refobjid in (t.oid, t.typarray)
      or d.refclassid = 'pg_class'::regclass and d.refobjid = t.typrelid
  )
  where t.oid = to_regtype({{ postgres_ml__literal(type) }}) and not exists (
      select from pg_proc as p
      inner join pg_description as c on c.objoid = p.oid and c.classoid = 'pg_proc'::regclass and c.objsubid = 0
      where d.classid = 'pg_proc'::regclass and p.oid = d.objid
          and p.pronamespace = to_regnamespace({{ postgres_ml__literal(adapter.quote(card.schema)) }})
          and c.description like '%[dbt-postgres-ml]'
  )
{% endmacro %}


{#- The type of a model that has 100 features or fewer by now, where nothing uses it any more. -#}
{% macro postgres_ml__drop_unused_features_type(card, function) %}
  {%- set query -%}
    select t.oid::regtype::text as name
    from pg_type as t
    inner join pg_description as d on d.objoid = t.oid and d.classoid = 'pg_type'::regclass and d.objsubid = 0
    where t.typnamespace = to_regnamespace({{ postgres_ml__literal(adapter.quote(card.schema)) }}) and t.typtype = 'c'
        and t.typname = {{ postgres_ml__literal(function ~ '_features') }} and d.description like '%[dbt-postgres-ml]'
        and not exists (
          select from pg_depend as u
          where u.deptype = 'n' and (
              u.refclassid = 'pg_type'::regclass and u.refobjid in (t.oid, t.typarray)
              or u.refclassid = 'pg_class'::regclass and u.refobjid = t.typrelid
          )
        )
  {%- endset -%}
  {%- for row in run_query(query).rows -%}
    {%- call statement('drop_unused_features_type') -%}
      drop type {{ row.name }}
    {%- endcall -%}
  {%- endfor -%}
{% endmacro %}
