-- The scorecard as a table, the terms that matter most first.
{{ config(materialized='table') }}
-- depends_on: {{ ref('churn_scorecard') }}

select
    row_number() over () as place,
    term,
    bin,
    points,
    share
from {{ ref('churn_scorecard').schema }}.churn_risk_scorecard()
