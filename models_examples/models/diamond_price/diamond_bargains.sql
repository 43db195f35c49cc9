-- Diamonds offered for less than nine of ten like them: below the lower bound of the price's interval.
{{ config(materialized='table') }}

{% set features = ['carat', 'cut', 'color', 'clarity', 'depth', '"table"', 'x', 'y', 'z'] %}

with estimated as (

    select
        diamond_id,
        price,
        {{ predict('diamond_price', features) }} as estimated_price,
        ({{ predict_interval('diamond_price', features) }} ->> 'lower')::double precision as least_price
    from {{ ref('diamonds') }}

)

select
    diamond_id,
    price,
    round(estimated_price) as estimated_price,
    round(least_price) as least_price,
    round(estimated_price - price) as saving
from estimated
where price < least_price
order by saving desc
