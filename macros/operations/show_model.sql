{#
  Prints the key/value rows of SHOW MODEL.

    dbt run-operation show_model --args '{model: customer_churn}'
#}
{% macro show_model(model) %}
  {%- set found = postgres_ml__operation_model(model) -%}
  {%- set query -%}
    select key, value from postgres_ml.show_model({{ postgres_ml__literal(found.quoted) }})
  {%- endset -%}
  {%- do print(postgres_ml__aligned(run_query(query).rows)) -%}
{% endmacro %}


{#-
  The published model that a node's name or 'schema.name' means: schema, identifier, quoted; an error names the likely one.
-#}
{% macro postgres_ml__operation_model(name) %}
  {%- do postgres_ml__trust_only_catalog() -%}
  {%- set published = [] -%}
  {%- if run_query("select to_regclass('postgres_ml.model_info') is not null").columns[0].values()[0] -%}
    {%- set published = run_query('select schema_name, model_name from postgres_ml.model_info').rows -%}
  {%- endif -%}
  {%- set found = postgres_ml__find_model(name, published) -%}
  {%- do found.update({'quoted': adapter.quote(found.schema) ~ '.' ~ adapter.quote(found.identifier)}) -%}
  {{ return(found) }}
{% endmacro %}
