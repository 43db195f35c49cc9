{#
  Runs a model's function on the rows of a relation that has the features and the target, and prints the metrics.

    dbt run-operation evaluate_model --args '{model: customer_churn, relation: customers_2021}'

  `relation` is a dbt model, seed or snapshot of the project, or 'schema.table'. Rows without a target are left out.
#}
{% macro evaluate_model(model, relation) %}
  {%- set found = postgres_ml__operation_model(model) -%}
  {%- set query -%}
    select
        m.model_schema, m.function_name, m.target, m.problem_type, m.labels::text as labels,
        array_to_json(m.feature_names)::text as features, m.has_probabilities, m.features_type, m.return_type
    from postgres_ml.find_model({{ postgres_ml__literal(found.quoted) }}) as m
  {%- endset -%}
  {%- set row = run_query(query).rows[0] -%}
  {%- if row.problem_type == 'forecasting' -%}
    {%- do exceptions.raise_compiler_error(
        model ~ ' forecasts, and scores no rows: join ' ~ row.model_schema ~ '.' ~ row.function_name ~ '() with what came'
    ) -%}
  {%- endif -%}
  {%- if row.target is none -%}
    {%- do exceptions.raise_compiler_error(model ~ ' has no target: it cannot be evaluated on labelled rows') -%}
  {%- endif -%}
  {%- do postgres_ml__check_types(found.quoted, [row.return_type, row.features_type or 'text']) -%}
  {%- set name = postgres_ml__find_relation(relation) -%}
  {%- set query -%}
    select attname::text
    from pg_attribute
    where attrelid = to_regclass({{ postgres_ml__literal(name) }}) and attnum > 0 and not attisdropped
  {%- endset -%}
  {%- set features = fromjson(row.features) -%}
  {%- do postgres_ml__check_columns(name, features + [row.target], run_query(query).columns[0].values() | list) -%}
  {%- set title = found.schema ~ '.' ~ found.identifier -%}
  {%- set scored = postgres_ml__scored(row, features, name) -%}
  {%- if row.problem_type == 'regression' -%}
    {%- do print(postgres_ml__regression_report(title, name, run_query(postgres_ml__regression_scores(scored)).rows[0])) -%}
  {%- else -%}
    {%- set labels = fromjson(row.labels) -%}
    {%- set counts = run_query(postgres_ml__confusion_counts(scored)).rows -%}
    {%- set ranks = {} -%}
    {%- if row.has_probabilities -%}
      {%- set found = run_query(postgres_ml__probability_scores(scored, labels)).rows[0] -%}
      {%- do ranks.update({'auc': found.auc, 'log_loss': found.log_loss}) -%}
    {%- endif -%}
    {%- do print(postgres_ml__classification_report(title, name, counts, labels, ranks)) -%}
  {%- endif -%}
{% endmacro %}


{#- A query of truth, prediction and, for classifiers, probabilities of each labelled row. -#}
{% macro postgres_ml__scored(row, features, name) %}
  {%- set arguments = [] -%}
  {%- for feature in features -%}
    {%- do arguments.append('r.' ~ postgres_ml__identifier(feature)) -%}
  {%- endfor -%}
  {%- set arguments = arguments | join(', ') -%}
  {%- if row.features_type -%}
    {%- set arguments = 'row(' ~ arguments ~ ')::' ~ row.features_type -%}
  {%- endif -%}
  {%- set function = postgres_ml__identifier(row.model_schema) ~ '.' ~ postgres_ml__identifier(row.function_name) -%}
  {%- set truth = 'r.' ~ postgres_ml__identifier(row.target) -%}
  {%- set as_text = '::double precision::text' if row.return_type == 'numeric' else '::text' -%}
  {%- if row.problem_type == 'regression' -%}
    {%- set as_text = '::double precision' -%}
  {%- endif -%}
    select
        {{ truth }}{{ as_text }} as truth, {{ function }}({{ arguments }}){{ as_text }} as predicted
        {%- if row.has_probabilities %}, {{ postgres_ml__identifier(row.model_schema) }}.{{ postgres_ml__identifier(row.function_name ~ '_probabilities') }}({{ arguments }}) as answer{% endif %}
    from {{ name }} as r
    where {{ truth }} is not null
{% endmacro %}


{% macro postgres_ml__regression_scores(scored) %}
    select
        count(*) as n_rows,
        count(*) - count(predicted) as n_missing,
        avg((truth - predicted) ^ 2) as mse,
        sqrt(avg((truth - predicted) ^ 2)) as rmse,
        avg(abs(truth - predicted)) as mae,
        1 - sum((truth - predicted) ^ 2) / nullif(sum((truth - mean) ^ 2) filter (where predicted is not null), 0) as r2
    from (select s.*, avg(truth) filter (where predicted is not null) over () as mean from ({{ scored }}) as s) as s
{% endmacro %}


{% macro postgres_ml__confusion_counts(scored) %}
    select truth, predicted, count(*)::bigint as n from ({{ scored }}) as s group by truth, predicted
{% endmacro %}


{#- auc is the mean, over the labels that count, of the probability that a row of the label ranks before another. -#}
{% macro postgres_ml__probability_scores(scored, labels) %}
    with scored as materialized (
        select row_number() over () as id, truth, answer from ({{ scored }}) as s where answer is not null
    ),
    long as materialized (
        select s.id, s.truth, e.label, e.probability::double precision as probability
        from scored as s
        cross join lateral rows from (
            jsonb_array_elements_text(s.answer -> 'labels'), jsonb_array_elements_text(s.answer -> 'probabilities')
        ) as e (label, probability)
    ),
    ranked as (
        select
            label, truth = label as hit,
            rank() over (partition by label order by probability)
            + (count(*) over (partition by label, probability) - 1) / 2.0 as place
        from long
        {%- if labels | length == 2 %}
        where label = {{ postgres_ml__literal(labels[1]) }}
        {%- endif %}
    ),
    areas as (
        select
            (sum(place) filter (where hit) - n_hits * (n_hits + 1) / 2.0) / nullif(n_hits * (n - n_hits), 0) as auc
        from (
            select r.*, count(*) filter (where hit) over (partition by label) as n_hits, count(*) over (partition by label) as n
            from ranked as r
        ) as r
        group by label, n_hits, n
    )
    select
        (select avg(auc) from areas)::double precision as auc,
        (select -avg(ln(greatest(probability, 2.220446049250313e-16))) from long where truth = label)::double precision as log_loss
{% endmacro %}
