-- The model never saw the cultivars; nine wines of ten are in the group that most of their cultivar are in.
with counted as (

    select cultivar, wine_group, count(*) as n
    from {{ ref('wines_grouped') }}
    group by cultivar, wine_group

),

largest as (

    select cultivar, max(n) as n_together
    from counted
    group by cultivar

)

select sum(n_together) as n_together
from largest
having sum(n_together) < 0.9 * (select count(*) from {{ ref('wines_grouped') }})
