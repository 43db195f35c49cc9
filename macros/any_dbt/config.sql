{#- Keys of a create_model's config that a worker takes; a test holds them against config/keys.py. -#}
{% macro postgres_ml__worker_keys() %}
  {{ return([
      'target', 'weight', 'function', 'auto', 'model_type', 'problem_type', 'objective', 'preprocessors', 'hyperparameters', 'settings',
      'runtime', 'interval', 'explain', 'gates', 'promote', 'reindex', 'retrain', 'time', 'series',
  ]) }}
{% endmacro %}


{#-
  A node's config, of keys that stand in it directly and of those under `meta: {create_model: {…}}`, which dbt v2 wants.
  Those of models made elsewhere are handed on: create_model refuses them by name.
-#}
{% macro postgres_ml__given_config(node) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set of_meta = (node.config.get('meta') or {}).get('create_model') or {} -%}
  {%- if of_meta is not mapping -%}
    {%- do exceptions.raise_compiler_error(
        node.name ~ ": 'meta: create_model' must be a dict such as {target: churn}, found '" ~ of_meta ~ "'"
    ) -%}
  {%- endif -%}
  {%- set given = {} -%}
  {%- for key in of_meta -%}
    {%- if key == 'grants' -%}
      {%- do exceptions.raise_compiler_error(node.name ~ ": 'grants' is dbt's own key: put it beside 'meta', not under it") -%}
    {%- endif -%}
    {%- do given.update({key: of_meta[key]}) -%}
  {%- endfor -%}
  {%- for key in ml.postgres_ml__worker_keys() + ['source', 'trust', 'endpoint', 'arguments', 'returns'] -%}
    {%- set value = node.config.get(key) -%}
    {%- if value is not none and key in given and given[key] != value -%}
      {%- do exceptions.raise_compiler_error(
          node.name ~ ": config '" ~ key ~ "' is given twice, as " ~ value ~ " and under 'meta: create_model' as " ~ given[key]
      ) -%}
    {%- elif value is not none -%}
      {%- do given.update({key: value}) -%}
    {%- endif -%}
  {%- endfor -%}
  {{ return(given) }}
{% endmacro %}


{#- The config of the worker's job. -#}
{% macro postgres_ml__job_config(node) %}
  {%- set ml = postgres_ml if postgres_ml is defined else context -%}
  {%- set given = ml.postgres_ml__given_config(node) -%}
  {%- do given.update({'function': ml.postgres_ml__function_of(node)}) -%}
  {%- if node.config.get('grants') -%}
    {%- do given.update({'grants': node.config.grants}) -%}
  {%- endif -%}
  {%- if should_full_refresh() -%}
    {%- do given.update({'retrain': 'always'}) -%}
  {%- endif -%}
  {{ return(given) }}
{% endmacro %}
