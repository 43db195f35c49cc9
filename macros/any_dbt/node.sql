{#- The function of the create_model that ref() resolved to: see adapter.prediction_function. -#}
{% macro postgres_ml__prediction_function(relation, reference, suffix='') %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.prediction_function(relation, context.get('model') or {}, reference, suffix)) }}
  {%- endif -%}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- if graph.nodes -%}
    {%- set node = ml.postgres_ml__referenced(relation, reference) -%}
    {%- set found = {'schema': node.schema, 'model': node.alias or node.name, 'function': ml.postgres_ml__function_of(node)} -%}
  {%- else -%}  {#- a unit test, to which dbt shows no node -#}
    {%- set found = ml.postgres_ml__published_function(reference.name or relation.identifier) -%}
  {%- endif -%}
  {%- set is_real = relation.schema and not relation.is_cte -%}
  {%- set schema = relation.schema if is_real else found.schema -%}
  {{ return({
      'schema': schema,
      'name': found.function ~ suffix,
      'qualified': adapter.quote(schema) ~ '.' ~ adapter.quote(found.function ~ suffix),
      'features_type': adapter.quote(schema) ~ '.' ~ adapter.quote(found.function ~ '_features'),
      'model': relation.identifier if is_real else found.model,
  }) }}
{% endmacro %}


{#-
  The create_model that ref(package, name, v=v) means; with an empty reference the one whose card the relation is.
  Without a package that of the caller comes first, then the root project, as ref() searches.
-#}
{% macro postgres_ml__referenced(relation, reference) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set found = [] -%}
  {%- set known = [] -%}
  {%- for node in ml.postgres_ml__create_models() -%}
    {%- do known.append(ml.postgres_ml__versioned_name(node)) -%}
    {%- set version = node.get('version') -%}
    {%- if reference -%}
      {%- set is_asked = node.name == reference.name and (reference.package is none or node.package_name == reference.package)
          and (version is none or (version | string) == (node.get('latest_version') if reference.v is none else reference.v) | string) -%}
    {%- else -%}
      {%- set is_asked = (node.alias or node.name) | lower == relation.identifier | lower
          and node.schema | lower == relation.schema | lower -%}
    {%- endif -%}
    {%- if is_asked -%}
      {%- do found.append(node) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- for package in [model.package_name if model is defined else project_name, project_name] -%}
    {%- for node in found if node.package_name == package -%}
      {{ return(node) }}
    {%- endfor -%}
  {%- endfor -%}
  {%- if found -%}
    {{ return(found[0]) }}
  {%- endif -%}
  {%- do exceptions.raise_compiler_error(
      "predict('" ~ (reference.name or relation.identifier) ~ "'): no create_model has that name; there are: "
      ~ (known | sort | join(', ') or 'none in this project')
  ) -%}
{% endmacro %}


{#- What dbt hides from a unit test, from the catalog: the function of the published model of that name. -#}
{% macro postgres_ml__published_function(name) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set query -%}
    select m.model_schema as schema, m.model_name as model, m.function_name as function
    from postgres_ml.serving_model as m
    where m.model_name = {{ ml.postgres_ml__literal(name) }}
    order by m.model_schema <> {{ ml.postgres_ml__literal(target.schema) }}, m.model_schema
    limit 1
  {%- endset -%}
  {%- for row in run_query(query).rows -%}
    {{ return({'schema': row.schema, 'model': row.model, 'function': row.function}) }}
  {%- endfor -%}
  {%- do exceptions.raise_compiler_error(
      "predict('" ~ name ~ "'): a unit test calls the published function, and there is none: dbt build --select " ~ name
  ) -%}
{% endmacro %}


{% macro postgres_ml__create_models() %}
  {%- set found = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.materialized == 'create_model' -%}
    {%- do found.append(node) -%}
  {%- endfor -%}
  {{ return(found) }}
{% endmacro %}


{#- A node's name, with dbt's version of it where it has one: `churn_v2`. -#}
{% macro postgres_ml__versioned_name(node) %}
  {%- if node.get('version') is none -%}
    {{ return(node.name) }}
  {%- endif -%}
  {{ return((node.name ~ '_v' ~ node.version) | replace('.', '_')) }}
{% endmacro %}


{% macro postgres_ml__function_of(node) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {{ return(ml.postgres_ml__given_config(node).get('function') or 'predict_' ~ ml.postgres_ml__versioned_name(node)) }}
{% endmacro %}


{#- Checks that a generic test of this package stands on a create_model. -#}
{% macro postgres_ml__check_tested_model(name) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.check_tested_model(context.get('model') or {}, name)) }}
  {%- endif -%}
  {%- set node = graph.nodes.get(model.get('attached_node')) if model is defined else none -%}
  {%- if node and node.config.materialized != 'create_model' -%}
    {%- do exceptions.raise_compiler_error(
        'the test ' ~ name ~ ' reads what is known of a create_model, and ' ~ node.name ~ ' is none: put it under the '
        ~ 'create_model whose predictions it is about, and name other relations in its arguments'
    ) -%}
  {%- endif -%}
{% endmacro %}
