{#-
  postgres_ml.feature_importance('schema.model'): what explain_model says, as a table that can be sorted and joined.
  A feature's importance is its mean absolute SHAP value over the explained rows and, of several labels, over these.
-#}
{% macro postgres_ml__feature_importance_function() %}
create or replace function postgres_ml.feature_importance_in(model text, schemas name[])
returns table (rank integer, feature text, importance double precision, share double precision)
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
as $feature_importance$
declare
    m constant postgres_ml.serving_model := postgres_ml.find_model_in(model, schemas);
    sets constant jsonb := m.explanation -> 'explanations' -> 'kernel_shap';
begin
    if sets is null then
        raise exception 'model "%.%" has no feature importance: %', m.model_schema, m.model_name, case
                when m.state = 'STUB' then 'it is a stub, which predicts NULL until a build trains it'
                when m.problem_type = 'forecasting' then 'a forecast is made of the series itself and has no features'
                when m.problem_type = 'clustering' then 'a clustering predicts no score that features could add to'
                else 'it was not trained here, and SHAP values are computed while a model is trained'
            end
            using errcode = 'feature_not_supported';
    end if;
    return query
        select
            row_number() over (order by v.mean desc, v.name)::integer, v.name, v.mean,
            coalesce(v.mean / nullif(sum(v.mean) over (), 0), 0)
        from (
            select e.key as name, avg(e.value::double precision) as mean
            from jsonb_each(sets) as s cross join lateral jsonb_each_text(s.value -> 'global_shap_values') as e
            group by e.key
        ) as v
        order by 1;
end
$feature_importance$;
create or replace function postgres_ml.feature_importance(model text)
returns table (rank integer, feature text, importance double precision, share double precision)
language sql stable parallel safe rows 20
as $feature_importance$
    select f.rank, f.feature, f.importance, f.share
    from postgres_ml.feature_importance_in(model, pg_catalog.current_schemas(false)) as f
$feature_importance$;
comment on function postgres_ml.feature_importance(text) is
    'How much each feature moves the predictions of a model, greatest first: select * from postgres_ml.feature_importance(''schema.model'')';
comment on function postgres_ml.show_model(text) is
    'What a model is, as key and value: select * from postgres_ml.show_model(''schema.model''), or ''all''';
comment on function postgres_ml.explain_model(text) is
    'Mean SHAP values of a model in the shape of Redshift''s EXPLAIN_MODEL'
{% endmacro %}
