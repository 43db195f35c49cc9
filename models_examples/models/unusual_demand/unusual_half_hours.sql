-- The half hours that the model calls anomalies, with what really happened: the most unusual have the highest score.
{{ config(materialized='table') }}

with scored as (

    select
        ride_at,
        event,
        rides,
        rides_vs_usual,
        {{ predict('unusual_demand') }} as anomaly_score,
        {{ predict_is_anomaly('unusual_demand') }} as is_anomaly
    from {{ ref('taxi_half_hours') }}

)

select ride_at, event, rides, rides_vs_usual, anomaly_score
from scored
where is_anomaly
