{#- What operations print where dbt has no Python of this package: operations/reports.py, plainer. -#}
{% macro postgres_ml__aligned(rows) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.operation_text('aligned', rows)) }}
  {%- endif -%}
  {%- set widths = [] -%}
  {%- for column in range((rows | first | list) | length if rows else 0) -%}
    {%- set lengths = [0] -%}
    {%- for row in rows -%}
      {%- do lengths.append(postgres_ml__cell(row[column]) | length) -%}
    {%- endfor -%}
    {%- do widths.append(lengths | max) -%}
  {%- endfor -%}
  {%- set lines = [] -%}
  {%- for row in rows -%}
    {%- set cells = [] -%}
    {%- for width in widths -%}
      {%- set cell = postgres_ml__cell(row[loop.index0]) -%}
      {%- do cells.append(cell if loop.last else cell ~ ' ' * (width - cell | length)) -%}
    {%- endfor -%}
    {%- do lines.append(cells | join('  ')) -%}
  {%- endfor -%}
  {{ return(lines | join('\n')) }}
{% endmacro %}


{% macro postgres_ml__cell(value) %}
  {{ return('' if value is none else value | string | trim) }}
{% endmacro %}


{% macro postgres_ml__explanation(found) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {%- set query -%}
      select postgres_ml.explain_model({{ postgres_ml__literal(found.quoted) }})::text
    {%- endset -%}
    {{ return(adapter.operation_text('explanation', found.schema ~ '.' ~ found.identifier, run_query(query).columns[0].values()[0])) }}
  {%- endif -%}
  {%- set query -%}
    select f.rank::text, f.feature, pg_catalog.round(f.importance::numeric, 6)::text, pg_catalog.round(100 * f.share::numeric, 1)::text || ' %'
    from postgres_ml.feature_importance({{ postgres_ml__literal(found.quoted) }}) as f
    order by f.rank
  {%- endset -%}
  {%- set head = [['rank', 'feature', 'mean |SHAP value|', 'share']] -%}
  {{ return(found.schema ~ '.' ~ found.identifier ~ ':\n' ~ postgres_ml__aligned(head + run_query(query).rows | list)) }}
{% endmacro %}


{% macro postgres_ml__regression_report(title, relation, row) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.operation_text('regression', title, relation, row)) }}
  {%- endif -%}
  {%- set lines = [] -%}
  {%- for metric in ('mse', 'rmse', 'mae', 'r2') -%}
    {%- do lines.append([metric, row[metric]]) -%}
  {%- endfor -%}
  {{ return(title ~ ' on ' ~ row.n_rows ~ ' rows of ' ~ relation ~ '\n\n' ~ postgres_ml__aligned(lines)) }}
{% endmacro %}


{#- As operations/scores.py: of two labels precision, recall and f1 are the second one's, of more they are means. -#}
{% macro postgres_ml__classification_report(title, relation, counts, labels, ranks) %}
  {%- if adapter.type() == 'postgres_ml' -%}
    {{ return(adapter.operation_text('classification', title, relation, counts, labels, ranks)) }}
  {%- endif -%}
  {%- set classes = labels | list -%}
  {%- set sums = namespace(n=0, hits=0, precision=0.0, recall=0.0, f1=0.0) -%}
  {%- for row in counts -%}
    {%- set sums.n = sums.n + row.n | int -%}
    {%- set sums.hits = sums.hits + (row.n | int if row.truth == row.predicted else 0) -%}
    {%- if row.truth not in classes -%}
      {%- do classes.append(row.truth) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if sums.n == 0 -%}
    {{ return(title ~ ' on ' ~ relation ~ ': no row has a target') }}
  {%- endif -%}
  {%- set scores = {} -%}
  {%- for label in classes -%}
    {%- set of = namespace(hits=0, given=0, said=0) -%}
    {%- for row in counts -%}
      {%- set of.hits = of.hits + (row.n | int if row.truth == label and row.predicted == label else 0) -%}
      {%- set of.given = of.given + (row.n | int if row.truth == label else 0) -%}
      {%- set of.said = of.said + (row.n | int if row.predicted == label else 0) -%}
    {%- endfor -%}
    {%- do scores.update({label: {
        'precision': of.hits / of.said if of.said else 0.0,
        'recall': of.hits / of.given if of.given else 0.0,
        'f1': 2 * of.hits / (of.given + of.said) if of.given + of.said else 0.0,
    }}) -%}
    {%- set sums.precision = sums.precision + scores[label].precision -%}
    {%- set sums.recall = sums.recall + scores[label].recall -%}
    {%- set sums.f1 = sums.f1 + scores[label].f1 -%}
  {%- endfor -%}
  {%- set is_binary = labels | length == 2 -%}
  {%- set n_classes = classes | length -%}
  {%- set lines = [
      ['accuracy', (sums.hits / sums.n) | round(4)],
      ['precision', (scores[labels[1]].precision if is_binary else sums.precision / n_classes) | round(4)],
      ['recall', (scores[labels[1]].recall if is_binary else sums.recall / n_classes) | round(4)],
  ] + ([['f1', scores[labels[1]].f1 | round(4)]] if is_binary else []) + [['f1_macro', (sums.f1 / n_classes) | round(4)]] -%}
  {%- for name in ranks -%}
    {%- do lines.append([name, ranks[name] if ranks[name] is none else ranks[name] | float | round(4)]) -%}
  {%- endfor -%}
  {%- set cells = [['true', 'predicted', 'rows']] -%}
  {%- for row in counts -%}
    {%- do cells.append([row.truth, 'no prediction' if row.predicted is none else row.predicted, row.n]) -%}
  {%- endfor -%}
  {{ return(
      title ~ ' on ' ~ sums.n ~ ' rows of ' ~ relation ~ '\n\n' ~ postgres_ml__aligned(lines) ~ '\n\n' ~ postgres_ml__aligned(cells)
  ) }}
{% endmacro %}
