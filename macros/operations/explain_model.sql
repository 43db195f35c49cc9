{#
  Prints the model's global SHAP values, greatest first.

    dbt run-operation explain_model --args '{model: customer_churn}'
#}
{% macro explain_model(model) %}
  {%- set found = postgres_ml__operation_model(model) -%}
  {%- set query -%}
    select postgres_ml.explain_model({{ postgres_ml__literal(found.quoted) }})::text
  {%- endset -%}
  {%- do print(adapter.operation_text('explanation', found.schema ~ '.' ~ found.identifier, run_query(query).columns[0].values()[0])) -%}
{% endmacro %}
