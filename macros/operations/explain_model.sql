{#
  Prints the model's global SHAP values, greatest first.

    dbt run-operation explain_model --args '{model: customer_churn}'
#}
{% macro explain_model(model) %}
  {%- set found = postgres_ml__operation_model(model) -%}
  {%- do print(postgres_ml__explanation(found)) -%}
{% endmacro %}
