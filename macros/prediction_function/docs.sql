{#- persist_docs: the model's description in the comments of the functions that users call. -#}
{% macro postgres_ml__persist_function_docs(card, description) %}
  {%- set query -%}
    select functions.signature, described.comment
    from ({{ postgres_ml__functions_of(card) }}) as functions
    cross join lateral (
      select split_part(replace(functions.comment, ' {{ postgres_ml__marker() }}', ''), E'\n', 1)
          || E'\n' || {{ postgres_ml__literal(description) }} || ' {{ postgres_ml__marker() }}' as comment
    ) as described
    where functions.comment not like 'A part of %' and functions.comment <> described.comment
  {%- endset -%}
  {%- for row in run_query(query) -%}
    {%- call statement('comment_on_function') -%}
      comment on function {{ row.signature }} is {{ postgres_ml__literal(row.comment) }}
    {%- endcall -%}
  {%- endfor -%}
{% endmacro %}
