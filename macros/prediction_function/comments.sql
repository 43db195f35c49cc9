{#-
  What stands in the comments of functions and cards, with or without persist_docs: what is predicted, by which version,
  how well, and how it is called. The first line of a function's comment is also how its model and version are found.
-#}
{% macro postgres_ml__comment_on_function(card, body, published, version, is_pinned=false) %}
  {%- set kind = 'forecast' if body.role == 'predict' and body.columns else body.role -%}
  {%- set purpose = postgres_ml__purposes(card, body.name)[kind] -%}
  {%- set comment -%}
    {{ purpose }}, version {{ version }}{{ ', pinned' if is_pinned }} (
    {{- postgres_ml__quality(published.runtime, published.metric, published.score) -}}
    {%- if published.score is not none and published.mlflow_run_id %}, MLflow run {{ published.mlflow_run_id }}{% endif -%}
    )
    {%- if body.role == 'by_name' -%}
      {{ '\n' }}Call: select {{ postgres_ml__readable(card.schema) }}.{{ postgres_ml__readable(body.name) }}(to_jsonb(t)) from ... as t
    {%- elif body.role != 'part' -%}
      {{ '\n' }}
      {%- set target = postgres_ml__target_of(card, published, version) if body.role == 'predict' -%}
      {%- if target %}{{ 'Forecasts' if body.columns else 'Predicts' }} the column {{ postgres_ml__readable(target) }}. {% endif -%}
      {%- if body.columns -%}
        {{ postgres_ml__table_call_example(card.schema, body.name) }}
      {%- else -%}
        {{ postgres_ml__call_example(
            card.schema, body.name, (body.composite or body.arguments) | map(attribute=0) | list,
            body.arguments[0][1] if body.composite else ''
        ) }}
      {%- endif -%}
    {%- endif %} {{ postgres_ml__marker() }}
  {%- endset -%}
  {%- call statement('comment_on_function') -%}
    comment on function {{ postgres_ml__signature(card.schema, body) }} is {{ postgres_ml__literal(comment) }}
  {%- endcall -%}
{% endmacro %}


{#- How the comment of a model's function begins, before `, version 3 (`, by its role; `name` is the function's. -#}
{% macro postgres_ml__purposes(card, name) %}
  {{ return({
      'predict': 'Predicts by ' ~ card.identifier,
      'forecast': 'Forecasts by ' ~ card.identifier,
      'probabilities': 'Class probabilities by ' ~ card.identifier,
      'distances': 'Distances to the centres of ' ~ card.identifier,
      'is_anomaly': 'Whether a row is an anomaly by ' ~ card.identifier,
      'interval': 'Interval of the prediction by ' ~ card.identifier,
      'explain': 'SHAP values of one row by ' ~ card.identifier,
      'scorecard': 'Points of each bin of the additive model ' ~ card.identifier,
      'by_name': 'Features by name, as jsonb, for ' ~ name ~ ' of ' ~ card.identifier,
      'part': 'A part of the functions of ' ~ card.identifier,
  }) }}
{% endmacro %}


{#- The target of a new version, or of one that the catalog keeps. -#}
{% macro postgres_ml__target_of(card, published, version) %}
  {%- if published.target is defined -%}
    {{ return(published.target) }}
  {%- endif -%}
  {%- set query -%}
    select target from postgres_ml.model_version
    where model_schema = {{ postgres_ml__literal(card.schema) }} and model_name = {{ postgres_ml__literal(card.identifier) }}
        and version = {{ version }}
  {%- endset -%}
  {{ return(run_query(query).columns[0].values() | first) }}
{% endmacro %}


{%- macro postgres_ml__quality(runtime, metric, score) -%}
  {%- if runtime == 'stub' -%}
    a stub: it predicts nothing until a build trains
  {%- elif score is none -%}
    not evaluated
  {%- else -%}
    {{ metric }} {{ '%.4g' | format(score) }} on the hold-out
  {%- endif -%}
{%- endmacro %}


{#- For people, who copy it: names are quoted only where they have to be. -#}
{% macro postgres_ml__call_example(schema, name, features, features_type='') -%}
  {%- set names = [] -%}
  {%- for feature in features[:8] -%}
    {%- do names.append(postgres_ml__readable(feature)) -%}
  {%- endfor -%}
  {%- if features | length > 8 -%}
    {%- do names.append('...') -%}
  {%- endif -%}
  {%- set arguments = names | join(', ') -%}
  {%- if features_type -%}
    {%- set arguments = 'row(' ~ arguments ~ ')::' ~ features_type -%}
  {%- endif -%}
  Call: select {{ postgres_ml__readable(schema) }}.{{ postgres_ml__readable(name) }}({{ arguments }})
{%- endmacro %}


{#- Of a function that returns a table. -#}
{% macro postgres_ml__table_call_example(schema, name) -%}
  Call: select * from {{ postgres_ml__readable(schema) }}.{{ postgres_ml__readable(name) }}()
{%- endmacro %}


{% macro postgres_ml__readable(name) -%}
  {{ name if modules.re.fullmatch('[a-z_][a-z0-9_]*', name) else postgres_ml__identifier(name) }}
{%- endmacro %}


{#-
  The card's comment, from the catalog. A description that somebody else wrote, persist_docs or a person, stays; so does
  the comment of a card that belongs to another role, and that of a relation which is no card of this model.
-#}
{% macro postgres_ml__comment_on_card(card) %}
  {%- set query -%}
    select
        coalesce(obj_description(c.oid, 'pg_class'), '') as comment,
        v.version, v.model_type, v.runtime, v.metric, v.score, v.function_name, v.target, v.problem_type,
        (
            select json_agg(f.value ->> 'name' order by f.position)::text
            from jsonb_array_elements(v.features) with ordinality as f (value, position)
        ) as features
    from postgres_ml.model_version as v
    inner join pg_class as c on c.oid in (select t.oid from ({{ postgres_ml__card_there(card) }}) as t)
    where v.model_schema = {{ postgres_ml__literal(card.schema) }} and v.model_name = {{ postgres_ml__literal(card.identifier) }}
        and v.is_serving and pg_has_role(c.relowner, 'usage')
  {%- endset -%}
  {%- for row in run_query(query) -%}
    {%- set comment -%}
      Card of the model {{ card.identifier }}, which {{ 'forecasts' if row.problem_type == 'forecasting' else 'predicts' }}
      {{- ' the column ' ~ postgres_ml__readable(row.target) if row.target }}
      {{- ' by ' ~ row.model_type if row.model_type not in ('none', 'forecast') }}, version {{ row.version }} (
      {{- postgres_ml__quality(row.runtime, row.metric, row.score) }}){{ '\n' }}
      {%- if row.problem_type == 'forecasting' -%}
        {{- postgres_ml__table_call_example(card.schema, row.function_name) }} {{ postgres_ml__marker() }}
      {%- else -%}
        {{- postgres_ml__call_example(card.schema, row.function_name, fromjson(row.features or '[]')) }} {{ postgres_ml__marker() }}
      {%- endif -%}
    {%- endset -%}
    {%- if row.comment != comment and (not row.comment or row.comment.endswith(postgres_ml__marker())) -%}
      {%- call statement('comment_on_card') -%}
        comment on view {{ card.include(database=false) }} is {{ postgres_ml__literal(comment) }}
      {%- endcall -%}
    {%- endif -%}
  {%- endfor -%}
{% endmacro %}
