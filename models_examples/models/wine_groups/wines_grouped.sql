-- Each wine's group, and how far it is from the group's centre: the farthest are untypical.
{{ config(materialized='table') }}

with grouped as (

    select
        wine_id,
        cultivar,
        {{ predict('wine_groups') }} as wine_group,
        {{ predict_distances('wine_groups') }} as distances
    from {{ ref('wines') }}

)

select wine_id, cultivar, wine_group, distances[wine_group + 1] as distance_to_centre
from grouped
