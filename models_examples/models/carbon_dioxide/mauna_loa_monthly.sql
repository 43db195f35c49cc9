-- A forecast beside the regression: it reads the series itself, trend and seasons, and says how sure it is of each month.
{{ config(
    materialized='create_model',
    model_type='forecast',
    target='co2',
    settings={'horizon': 12, 'percentiles': '0.1,0.5,0.9,mean', 'max_runtime': 10},
) }}

select date_trunc('month', week)::date as month, avg(co2) as co2
from {{ ref('mauna_loa') }}
where co2 is not null
group by 1
