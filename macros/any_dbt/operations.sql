{#-
  The published model that a node's name or 'schema.name' means: schema and identifier; as adapter.operation_model.
  published : rows of (schema, name)
-#}
{% macro postgres_ml__find_model(name, published) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.operation_model(name, published)) }}
  {%- endif -%}
  {%- set parts = name.replace('"', '').split('.') -%}
  {%- set places, known = [], [] -%}
  {%- for row in published -%}
    {%- do known.append(row[0] ~ '.' ~ row[1]) -%}
    {%- if parts | length > 1 and row[0] == parts[-2] and row[1] == parts[-1] -%}
      {{ return({'schema': row[0], 'identifier': row[1]}) }}
    {%- elif row[1] == name -%}
      {%- do places.append({'schema': row[0], 'identifier': row[1]}) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- for node in postgres_ml__create_models() -%}
    {%- set latest = node.get('version') is none or (node.version | string) == (node.latest_version | string) -%}
    {%- if name == postgres_ml__versioned_name(node) or name == node.name and latest -%}
      {%- set identifier = node.alias or node.name -%}
      {%- if (node.schema ~ '.' ~ identifier) in known -%}
        {{ return({'schema': node.schema, 'identifier': identifier}) }}
      {%- endif -%}
      {%- do exceptions.raise_compiler_error(
          name ~ ' is not built in schema ' ~ node.schema ~ ' yet: dbt build --select ' ~ name
      ) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if places | length == 1 -%}
    {{ return(places[0]) }}
  {%- elif places -%}
    {%- do exceptions.raise_compiler_error('several schemas have a model ' ~ name ~ ': say schema.' ~ name) -%}
  {%- endif -%}
  {%- do exceptions.raise_compiler_error(
      "there is no model '" ~ name ~ "'; " ~ ('there are: ' ~ known | sort | join(', ') if known else 'none is built yet')
  ) -%}
{% endmacro %}


{#- The relation that an argument means: one of the project's by its name, or the text 'schema.table'. -#}
{% macro postgres_ml__find_relation(name) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.operation_relation(name)) }}
  {%- endif -%}
  {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed', 'snapshot') and node.name == name -%}
    {{ return(node.relation_name) }}
  {%- endfor -%}
  {%- if '.' not in name -%}
    {%- do exceptions.raise_compiler_error("there is no relation '" ~ name ~ "' in this project: name it, or say schema.table") -%}
  {%- endif -%}
  {{ return(name) }}
{% endmacro %}


{#- Checks that a relation has the columns that a model needs. -#}
{% macro postgres_ml__check_columns(relation, needed, found) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.operation_text('check_columns', relation, needed, found)) }}
  {%- endif -%}
  {%- if not found -%}
    {%- do exceptions.raise_compiler_error(relation ~ ' does not exist') -%}
  {%- endif -%}
  {%- set missing = needed | reject('in', found) | list -%}
  {%- if missing -%}
    {%- do exceptions.raise_compiler_error(relation ~ ' lacks columns that the model needs: ' ~ missing | join(', ')) -%}
  {%- endif -%}
{% endmacro %}


{#- Texts of the catalog that are written into a query as types have to name types. -#}
{% macro postgres_ml__check_types(what, names) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.check_catalog_types(what, names)) }}
  {%- endif -%}
  {%- for name in names -%}
    {%- if run_query('select pg_catalog.to_regtype(' ~ postgres_ml__literal(name) ~ ') is null').columns[0].values()[0] -%}
      {%- do exceptions.raise_compiler_error(what ~ ": the catalog names the type '" ~ name ~ "', and there is none") -%}
    {%- endif -%}
  {%- endfor -%}
{% endmacro %}


{#-
  Models in this project's schemas whose last training a node of its packages asked for, and that no node makes any more;
  drops them unless dry_run. The catalog names the worker's own project: postgres_ml__query_mark is in the job's query.
-#}
{% macro postgres_ml__drop_orphans_by_worker(dry_run) %}
  {%- set schemas, made, packages = [target.schema], [], [project_name] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
    {%- do schemas.append(node.schema) -%}
    {%- do packages.append(node.package_name) -%}
    {%- if node.config.materialized == 'create_model' -%}
      {%- do made.append(node.schema ~ '.' ~ (node.alias or node.name)) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set orphans = [] -%}
  {%- set query -%}
    select m.schema_name, m.model_name, (
        select substring(j.query from '^/[*] dbt [a-z]+[.]([^. ]+)[.]') from postgres_ml.job as j
        where j.model_schema = m.schema_name and j.model_name = m.model_name and j.kind = 'create'
        order by j.state = 'READY' desc, j.job desc
        limit 1
    ) as package
    from postgres_ml.model_info as m
    order by 1, 2
  {%- endset -%}
  {%- for row in run_query(query).rows -%}
    {%- if row[0] in schemas and (row[0] ~ '.' ~ row[1]) not in made and row[2] in packages -%}
      {%- do orphans.append(row) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- for row in orphans -%}
    {%- set name = row[0] ~ '.' ~ row[1] -%}
    {%- if dry_run -%}
      {%- do log(name ~ ': would be dropped', info=true) -%}
    {%- else -%}
      {%- set quoted = postgres_ml__identifier(row[0]) ~ '.' ~ postgres_ml__identifier(row[1]) -%}
      {%- do postgres_ml__ask_worker('postgres_ml.drop_model(' ~ postgres_ml__literal(quoted) ~ ')', name) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if not orphans -%}
    {%- do log('no model is orphaned', info=true) -%}
  {%- endif -%}
  {{ return(orphans) }}
{% endmacro %}
