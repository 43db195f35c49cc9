{#-
  Relations stand in parentheses: with --empty, or a `where` in the test's config, they bring an alias of their own.
-#}


{#
  On a create_model: fails for each feature whose distribution in `relation` is not that of the training rows.

  relation : ref() or source() of the rows to compare, with columns named like the features
  features : only these; all by default
  max_psi : greatest population stability index; by custom below 0.1 is no shift and above 0.2 a great one
  max_ks : greatest Kolmogorov-Smirnov distance (numbers only), the largest difference of the cumulative shares
  condition : SQL, on the rows to compare
#}
{% test feature_drift(model, relation, features=none, max_psi=0.2, max_ks=0.2, condition='true') %}
{%- set ml = postgres_ml if postgres_ml is defined else context -%}
{%- if false -%}{{ postgres_ml__check_tested_model() }}{{ postgres_ml__drift() }}{{ postgres_ml__literal() }}{%- endif -%}  {#- named for dbt, which shows a test those macros alone -#}
{%- do ml.postgres_ml__check_tested_model('feature_drift') if execute -%}
{%- set chosen = [] -%}
{%- for name in ([features] if features is string else features or []) -%}
  {%- do chosen.append(ml.postgres_ml__literal(name)) -%}
{%- endfor -%}
{%- set reference -%}
    select f.key as feature, f.value as s
    from version cross join lateral pg_catalog.jsonb_each(version.statistics -> 'features'::text) as f
    {%- if chosen %}
    where f.key in ({{ chosen | join(', ') }})
    {%- endif %}
{%- endset -%}
{%- set observed -%}
    select e.key as feature, e.value
    from (select * from {{ relation }}) as t cross join lateral pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(t.*)) as e
    where {{ condition }}
{%- endset -%}
{{ ml.postgres_ml__drift(model, reference, observed, max_psi, max_ks, chosen) }}
{% endtest %}


{#
  On a create_model: fails if its predictions in a column of `relation` are not distributed as those on the hold-out.
  Arguments as for feature_drift; column : where the predictions are.
#}
{% test prediction_drift(model, relation, column, max_psi=0.2, max_ks=0.2, condition='true') %}
{%- set ml = postgres_ml if postgres_ml is defined else context -%}
{%- if false -%}{{ postgres_ml__check_tested_model() }}{{ postgres_ml__drift() }}{%- endif -%}  {#- named for dbt, which shows a test those macros alone -#}
{%- do ml.postgres_ml__check_tested_model('prediction_drift') if execute -%}
{%- set reference -%}
    select 'prediction' as feature, version.statistics -> 'prediction'::text as s from version
{%- endset -%}
{%- set observed -%}
    select 'prediction' as feature, pg_catalog.to_jsonb(t.{{ adapter.quote(column) }}) #>> '{}'::text[] as value
    from (select * from {{ relation }}) as t
    where {{ condition }}
{%- endset -%}
{{ ml.postgres_ml__drift(model, reference, observed, max_psi, max_ks) }}
{% endtest %}


{#
  Functions are qualified and literals have their types: no operator or function of somebody else's in the session's
  search_path fits better.

  A query of the columns that drifted: feature, psi, ks, n_rows; and of those, asked for by name, that the version which
  serves has no statistics of, as what can't be compared has not passed. The bins are those of the training's statistics; a
  share of nothing counts as 1 in 10,000, or the index would be infinite.
#}
{% macro postgres_ml__drift(model, reference, observed, max_psi, max_ks, names=[]) %}
with version as (
    select v.statistics
    from postgres_ml.model_version as v
    inner join (select * from {{ model }}) as card
        on card.model = v.model_name and card.version = v.version and card.function = v.model_schema || '.' || v.function_name
    where v.is_serving and v.state <> 'STUB'
),
reference as (
    {{ reference }}
),
bounded as (
    select
        feature, s, s ->> 'kind'::text = 'number' as is_number,
        array(select e.value::float8 from pg_catalog.jsonb_array_elements_text(s -> 'edges'::text) with ordinality as e(value, n) order by n)
            as edges,
        array(select c.value from pg_catalog.jsonb_array_elements_text(s -> 'categories'::text) with ordinality as c(value, n) order by n)
            as categories
    from reference
),
observed as (
    {{ observed }}
),
binned as (
    select
        b.feature,
        case
            when o.value is null then -1
            {# a char(n) column brings blanks that the training's text hasn't #}
            when not b.is_number then coalesce(
                pg_catalog.array_position(b.categories, o.value),
                pg_catalog.array_position(b.categories, pg_catalog.rtrim(o.value, ' '::text)), 0
            )
            when pg_catalog.lower(o.value) in ('nan', 'infinity', '-infinity') then -1
            when pg_catalog.cardinality(b.edges) = 0 then 0
            else pg_catalog.width_bucket(o.value::float8, b.edges)
        end as bin,
        pg_catalog.count(*)::float8 as n
    from observed as o
    inner join bounded as b using (feature)
    group by 1, 2
),
totals as (
    select feature, pg_catalog.sum(n) as n_rows, pg_catalog.sum(n) filter (where bin >= 0) as n_known from binned group by 1
),
bins as (
    select
        b.feature, b.is_number, share.key::integer as bin, (b.s -> 'groups'::text ->> share.key)::integer as psi_group,
        share.value::float8 as expected, coalesce(binned.n / totals.n_rows, 0) as actual,
        share.value::float8 / nullif('1' - (b.s -> 'shares'::text ->> '-1'::text)::float8, '0') as expected_known,
        coalesce(binned.n / nullif(totals.n_known, '0'), 0) as actual_known
    from bounded as b
    cross join lateral pg_catalog.jsonb_each_text(b.s -> 'shares'::text) as share
    inner join totals using (feature)
    left join binned on binned.feature = b.feature and binned.bin = share.key::integer
),
groups as (
    select feature, greatest(pg_catalog.sum(expected), 0.0001) as expected, greatest(pg_catalog.sum(actual), 0.0001) as actual
    from bins
    group by feature, psi_group
),
cumulated as (
    select
        feature, pg_catalog.abs(
            pg_catalog.sum(expected_known) over (partition by feature order by bin)
            - pg_catalog.sum(actual_known) over (partition by feature order by bin)
        ) as distance
    from bins
    where is_number and bin >= 0
),
drifts as (
    select
        b.feature,
        (select pg_catalog.sum((g.actual - g.expected) * pg_catalog.ln(g.actual / g.expected)) from groups as g where g.feature = b.feature) as psi,
        (select pg_catalog.max(c.distance) from cumulated as c where c.feature = b.feature) as ks,
        (select t.n_rows from totals as t where t.feature = b.feature) as n_rows
    from bounded as b
)
select 'postgres_ml.model_version' || ' shows no row of this model to this role' as feature, null::numeric as psi,
    null::numeric as ks, null::float8 as n_rows
from (select * from {{ model }}) as card
where card.state <> 'STUB' and not exists (select from version)
union all
{%- if names %}
select wanted.name || ' is no feature of which the training kept statistics'::text, null::numeric, null::numeric, null::float8
from (select pg_catalog.unnest(array[{{ names | join(', ') }}]::text[]) as name) as wanted
where exists (select from version) and wanted.name not in (select r.feature from reference as r)
{%- else %}
select 'the version that serves has no statistics to compare with', null::numeric, null::numeric, null::float8
where exists (select from version) and not exists (select from reference as r where r.s is not null)
{%- endif %}
union all
select feature, pg_catalog.round(psi::numeric, 4) as psi, pg_catalog.round(ks::numeric, 4) as ks, n_rows
from drifts
where exists (select from observed) and (n_rows is null or psi > '{{ max_psi }}' or ks > '{{ max_ks }}')
{% endmacro %}
