{#-
  Raises if another model of the schema serves by functions of the same names: by this one's or one beside it, such as
  `<function>_interval`, whether either model has them or not. Their comments only say that they are some model's.
  Before a training build/preflight.py asks the same, and whether a model that has another function now left one of the
  name.
-#}
{% macro postgres_ml__refuse_other_models(card, function) %}
  {%- set names = [] -%}
  {%- for name in postgres_ml__callable_names(function) -%}
    {%- do names.append(postgres_ml__literal(name)) -%}
  {%- endfor -%}
  {%- set suffixes = [] -%}
  {%- for name in postgres_ml__callable_names('') -%}
    {%- do suffixes.append(postgres_ml__literal(name)) -%}
  {%- endfor -%}
  {%- set query -%}
    select v.model_name, v.function_name
    from postgres_ml.model_version as v
    cross join unnest(array[{{ suffixes | join(', ') }}]::text[]) as theirs (suffix)
    where v.is_serving
        and v.model_schema = {{ postgres_ml__literal(card.schema) }} and v.model_name <> {{ postgres_ml__literal(card.identifier) }}
        and v.function_name || theirs.suffix = any(array[{{ names | join(', ') }}]::text[])
    order by 1
    limit 1
  {%- endset -%}
  {%- for row in run_query(query).rows -%}
    {%- set other = card.schema ~ '.' ~ row.model_name -%}
    {%- do exceptions.raise_compiler_error(
        card.identifier ~ ': function ' ~ row.function_name ~ ', with its like, belongs to model ' ~ other
        ~ '; it stays as it is. Set the config `function` of one of the two to another name, or drop that model: '
        ~ "dbt run-operation drop_model --args '{model: " ~ other ~ "}'"
    ) -%}
  {%- endfor -%}
{% endmacro %}
