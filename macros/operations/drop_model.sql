{#
  Removes a model from the database, in one transaction: functions, pinned versions, card and catalog rows. What depends
  on them is named, and nothing is removed. A table or a view that has taken the card's name stays, and so do MLflow's
  runs and registered versions.

    dbt run-operation drop_model --args '{model: ml.customer_churn}'
#}
{% macro drop_model(model) %}
  {%- if adapter.type() != 'postgres_ml' -%}
    {%- set found = postgres_ml__operation_model(model) -%}
    {{ return(postgres_ml__ask_worker('postgres_ml.drop_model(' ~ postgres_ml__literal(found.quoted) ~ ')', found.schema ~ '.' ~ found.identifier)) }}
  {%- endif -%}
  {%- set card = postgres_ml__card_of(model) -%}
  {%- do postgres_ml__lock_catalog() -%}
  {%- do postgres_ml__drop_model(card) -%}
  {%- do adapter.commit() -%}
  {%- do log(card ~ ': dropped', info=true) -%}
{% endmacro %}


{% macro postgres_ml__drop_model(card) %}
  {%- set functions = run_query(postgres_ml__owned_functions(card)) -%}
  {%- set has_card = run_query(postgres_ml__card_there(card)).rows | length > 0 -%}
  {%- set query -%}
    with card as ({{ postgres_ml__card_there(card) }})
    select string_agg(distinct pg_describe_object(d.classid, d.objid, d.objsubid), ', ') as dependents
    from pg_depend as d
    left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    where d.deptype = 'n' and (
        d.refclassid = 'pg_proc'::regclass and d.refobjid = any({{ postgres_ml__oids(functions) }})
        or d.refclassid = 'pg_class'::regclass and d.refobjid in (select oid from card)
            and r.ev_class is distinct from d.refobjid
        or d.refclassid = 'pg_type'::regclass and d.refobjid in (select reltype from card)
    )
  {%- endset -%}
  {%- set dependents = run_query(query).columns[0].values()[0] -%}
  {%- if dependents -%}
    {%- do exceptions.raise_compiler_error(
        card ~ ' is used by ' ~ dependents ~ '; drop or change these first. Nothing was dropped'
    ) -%}
  {%- endif -%}
  {%- set statements -%}
    {% for function in functions %}
    drop function {{ function.signature }};
    {% endfor %}
    {% for type in functions.columns['features_type'].values() | select | unique %}
    drop type {{ type }};
    {% endfor %}
    delete from postgres_ml.model_version
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
    {%- if has_card %};
    drop view {{ card.include(database=false) }}
    {%- endif %}
  {%- endset -%}
  {%- do postgres_ml__execute_exclusively(statements, [card.include(database=false)]) -%}
  {%- if has_card -%}
    {%- do adapter.cache_dropped(card) -%}
  {%- endif -%}
{% endmacro %}


{#-
  A query of the card's oid and row type. No row where the relation of that name is anything but a view on the catalog's
  rows of this model: a node that was a create_model may be a table or a view now, which is not ours.
-#}
{% macro postgres_ml__card_there(card) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  select c.oid, c.reltype
  from pg_class as c
  where c.oid = to_regclass({{ ml.postgres_ml__literal(card.include(database=false)) }})
      and c.relkind = 'v'
      and exists (
        select from pg_rewrite as r
        inner join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        where r.ev_class = c.oid and d.refclassid = 'pg_class'::regclass
            and d.refobjid in (to_regclass('postgres_ml.model_card'), to_regclass('postgres_ml.model_version'))
      )
      {#- Postgres writes a constant without E'…', whatever it holds -#}
      and strpos(
        pg_get_viewdef(c.oid), ' = ''' || replace({{ ml.postgres_ml__literal(card.identifier) }}, '''', '''''') || '''::text'
      ) > 0
{% endmacro %}


{% macro postgres_ml__oids(functions) -%}
  array[{{ functions.columns['oid'].values() | join(', ') }}]::oid[]
{%- endmacro %}


{#- Functions of a model with the composite type each takes, superseded overloads included. -#}
{% macro postgres_ml__owned_functions(card) %}
  select
      p.oid, p.oid::regprocedure::text as signature,
      case when t.typtype = 'c' and obj_description(t.oid, 'pg_type') like '%[dbt-postgres-ml]' then t.oid::regtype::text end
          as features_type
  from pg_proc as p
  left join pg_type as t on p.pronargs = 1 and t.oid = p.proargtypes[0]
  where p.oid in (select f.oid from ({{ postgres_ml__functions_of(card) }}) as f)
      or p.pronamespace = to_regnamespace({{ postgres_ml__literal(adapter.quote(card.schema)) }})
          and obj_description(p.oid, 'pg_proc') like 'SUPERSEDED%[dbt-postgres-ml]'
          and p.proname in (
            select f.value ->> 'name'
            from postgres_ml.model_version as v cross join lateral jsonb_array_elements(v.functions) as f
            where v.model_schema = {{ postgres_ml__literal(card.schema) }} and v.model_name = {{ postgres_ml__literal(card.identifier) }}
          )
          and p.proname not in (  -- an older version's name may be another model's by now
            select f.value ->> 'name'
            from postgres_ml.model_version as v cross join lateral jsonb_array_elements(v.functions) as f
            where v.model_schema = {{ postgres_ml__literal(card.schema) }} and v.model_name <> {{ postgres_ml__literal(card.identifier) }}
                and v.is_serving
          )
{% endmacro %}
