{#
  Creates the functions of a version in the card's schema, in the open transaction.
  The bodies come from the code generator; everything around them is decided here.

  published: functions, runtime, metric, score and mlflow_run_id, of a new result or of a version from the catalog
  is_stored: whether they are from the catalog, where the schema's owner may have written them
#}
{% macro postgres_ml__publish_functions(card, published, version, is_stored=true) %}
  {%- if published.runtime == 'endpoint' -%}
    {%- do postgres_ml__create_endpoint_table() -%}
  {%- endif -%}
  {%- set functions = published.functions | list + adapter.by_name_overloads(card.schema, published.functions) | list -%}
  {%- set callable = functions | rejectattr('role', 'equalto', 'part') | list -%}
  {%- set predict = callable | selectattr('role', 'equalto', 'predict') | first -%}
  {%- set function = predict.name -%}
  {%- do postgres_ml__refuse_other_models(card, function) -%}
  {%- do postgres_ml__replace_overloads(card, callable) -%}
  {%- do postgres_ml__drop_stale_parts(card, function, published.functions) -%}
  {%- for role in ('explain', 'is_anomaly', 'interval', 'scorecard') if not callable | selectattr('role', 'equalto', role) | list -%}
    {#- it would speak of the predictions of an earlier version -#}
    {%- for old in postgres_ml__overloads(card.schema, function ~ '_' ~ role) if old.is_ours and not old.is_superseded -%}
      {%- do postgres_ml__drop_function(old) -%}
    {%- endfor -%}
  {%- endfor -%}
  {%- if predict.composite -%}  {#- before the parts, which take it too -#}
    {%- do postgres_ml__create_features_type(card, predict) -%}
  {%- endif -%}
  {%- set role = adapter.become_schema_owner(card.schema, published.functions) if is_stored -%}
  {%- for body in functions -%}
    {%- do postgres_ml__create_function(card.schema, body) -%}
    {%- do postgres_ml__comment_on_function(card, body, published, version) -%}
  {%- endfor -%}
  {%- if role -%}
    {%- do adapter.become(role) -%}
  {%- endif -%}
  {%- for warning in adapter.renew_dependents(card, callable | map(attribute='name') | unique | list) -%}
    {%- do exceptions.warn(card.identifier ~ ': ' ~ warning) -%}
  {%- endfor -%}
{% endmacro %}


{#- The signature as in `drop function`, `comment on function`, `grant … on function`. -#}
{% macro postgres_ml__signature(schema, body) -%}
  {{ postgres_ml__identifier(schema) }}.{{ postgres_ml__identifier(body.name) }}({{ body.arguments | map(attribute=1) | join(', ') }})
{%- endmacro %}


{% macro postgres_ml__create_function(schema, body) %}
  {%- set arguments = [] -%}
  {%- set columns = [] -%}
  {%- set defaults = body.defaults | default([], true) -%}
  {%- for name, type in body.arguments -%}
    {%- set place = loop.index0 - (body.arguments | length - defaults | length) -%}
    {%- do arguments.append(
        postgres_ml__identifier(name) ~ ' ' ~ type ~ (' default ' ~ defaults[place] if place >= 0 else '')
    ) -%}
  {%- endfor -%}
  {%- for name, type in body.columns | default([], true) -%}
    {%- do columns.append(postgres_ml__identifier(name) ~ ' ' ~ type) -%}
  {%- endfor -%}
  {%- set statement -%}
    create or replace function {{ postgres_ml__identifier(schema) }}.{{ postgres_ml__identifier(body.name) }}({{ arguments | join(', ') }})
    returns {{ 'table (' ~ columns | join(', ') ~ ')' if columns else body.returns }}
    language {{ body.language }} {{ body.options or 'immutable parallel safe' }}
    as {{ postgres_ml__literal(body.body) }}
  {%- endset -%}
  {%- do adapter.execute_quietly(
      statement, 'create or replace function ' ~ postgres_ml__signature(schema, body)
      ~ ' returns ' ~ body.returns ~ ' language ' ~ body.language ~ ': ' ~ body.body | length ~ ' characters'
  ) -%}
{% endmacro %}


{#- Ends the comment of every function of ours; what lacks it is somebody else's and never touched. -#}
{% macro postgres_ml__marker() -%}
  [dbt-postgres-ml]
{%- endmacro %}


{#- A string literal; E'' because then backslashes mean the same under both standard_conforming_strings. -#}
{% macro postgres_ml__literal(text) -%}
  E'{{ text | string | replace('\\', '\\\\') | replace("'", "''") }}'
{%- endmacro %}


{#- A quoted name; dbt's adapter.quote leaves quotes inside it as they are. -#}
{% macro postgres_ml__identifier(name) -%}
  "{{ name | string | replace('"', '""') }}"
{%- endmacro %}
