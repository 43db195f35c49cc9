-- Diamonds offered for much less than their estimated price.
{{ config(materialized='table') }}

with estimated as (

    select
        diamond_id,
        price,
        {{ predict('diamond_price', ['carat', 'cut', 'color', 'clarity', 'depth', '"table"', 'x', 'y', 'z']) }}
            as estimated_price
    from {{ ref('diamonds') }}

)

select diamond_id, price, round(estimated_price) as estimated_price, round(estimated_price - price) as saving
from estimated
where price < 0.75 * estimated_price
order by saving desc
