{#
  Creates the functions of a trained model in the card's schema, in the open transaction.
  The bodies come from the code generator; everything around them is decided here.
#}
{% macro postgres_ml__publish_functions(card, trained, version) %}
  {%- if trained.artifact -%}
    {%- do postgres_ml__publish_artifact() -%}
  {%- elif trained.runtime == 'endpoint' -%}
    {%- set trained = postgres_ml__publish_endpoint() or trained -%}
  {%- endif -%}
  {%- set callable = trained.functions | rejectattr('role', 'equalto', 'part') | list -%}
  {%- set predict = callable | selectattr('role', 'equalto', 'predict') | first -%}
  {%- set function = predict.name -%}
  {%- do postgres_ml__make_room(card, callable) -%}
  {%- do postgres_ml__drop_stale_parts(card.schema, function, trained.functions) -%}
  {%- if not callable | selectattr('role', 'equalto', 'explain') | list -%}
    {#- it would explain the predictions of an earlier version -#}
    {%- for old in postgres_ml__overloads(card.schema, function ~ '_explain') if old.is_ours and not old.is_superseded -%}
      {%- do postgres_ml__drop_function(old) -%}
    {%- endfor -%}
  {%- endif -%}
  {%- if predict.composite -%}  {#- before the parts, which take it too -#}
    {%- do postgres_ml__create_features_type(card, predict) -%}
  {%- endif -%}
  {%- for body in trained.functions -%}
    {%- do postgres_ml__create_function(card.schema, body) -%}
    {%- do postgres_ml__comment_on_function(card, body, trained, version) -%}
  {%- endfor -%}
{% endmacro %}


{#- The signature as in `drop function`, `comment on function`, `grant … on function`. -#}
{% macro postgres_ml__signature(schema, body) -%}
  {{ adapter.quote(schema) }}.{{ adapter.quote(body.name) }}({{ body.arguments | map(attribute=1) | join(', ') }})
{%- endmacro %}


{% macro postgres_ml__create_function(schema, body) %}
  {%- set arguments = [] -%}
  {%- for name, type in body.arguments -%}
    {%- do arguments.append(adapter.quote(name | replace('"', '""')) ~ ' ' ~ type) -%}
  {%- endfor -%}
  {%- set statement -%}
    create or replace function {{ adapter.quote(schema) }}.{{ adapter.quote(body.name) }}({{ arguments | join(', ') }})
    returns {{ body.returns }}
    language {{ body.language }} {{ body.options or 'immutable parallel safe' }}
    as {{ postgres_ml__literal(body.body) }}
  {%- endset -%}
  {%- do adapter.execute_quietly(
      statement, 'create or replace function ' ~ postgres_ml__signature(schema, body)
      ~ ' returns ' ~ body.returns ~ ' language ' ~ body.language ~ ': ' ~ body.body | length ~ ' characters'
  ) -%}
{% endmacro %}


{% macro postgres_ml__comment_on_function(card, body, trained, version, is_pinned=false) %}
  {%- set purpose = {
      'predict': 'Predicts by ' ~ card.identifier,
      'probabilities': 'Class probabilities by ' ~ card.identifier,
      'distances': 'Distances to the centres of ' ~ card.identifier,
      'explain': 'SHAP values of one row by ' ~ card.identifier,
      'part': 'A part of the functions of ' ~ card.identifier,
  }[body.role] -%}
  {%- set comment -%}
    {{ purpose }}, version {{ version }}{{ ', pinned' if is_pinned }} (
    {%- if trained.runtime == 'stub' -%}
      a stub: it predicts NULL until a build trains
    {%- elif trained.score is none -%}
      not evaluated
    {%- else -%}
      {{ trained.metric }} {{ '%.4g' | format(trained.score) }} on the hold-out
      {%- if trained.mlflow_run_id %}, MLflow run {{ trained.mlflow_run_id }}{% endif %}
    {%- endif -%}
    ) {{ postgres_ml__marker() }}
  {%- endset -%}
  {%- call statement('comment_on_function') -%}
    comment on function {{ postgres_ml__signature(card.schema, body) }} is {{ postgres_ml__literal(comment) }}
  {%- endcall -%}
{% endmacro %}


{#- Ends the comment of every function of ours; what lacks it is somebody else's and never touched. -#}
{% macro postgres_ml__marker() -%}
  [dbt-postgres-ml]
{%- endmacro %}


{#- A string literal; E'' because then backslashes mean the same under both standard_conforming_strings. -#}
{% macro postgres_ml__literal(text) -%}
  E'{{ text | string | replace('\\', '\\\\') | replace("'", "''") }}'
{%- endmacro %}
