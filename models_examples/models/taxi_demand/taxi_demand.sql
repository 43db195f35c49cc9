-- Four series, one for each part of the day; the query's other column is the time.
{{ config(
    materialized='create_model',
    model_type='forecast',
    target='rides',
    series='part_of_day',
    objective='wape',
    settings={'horizon': 7, 'max_runtime': 10},
) }}

select
    (array['night', 'morning', 'afternoon', 'evening'])[1 + extract(hour from ride_at)::int / 6] as part_of_day,
    ride_at::date as day,
    sum(rides) as rides
from {{ ref('taxi_rides') }}
group by 1, 2
