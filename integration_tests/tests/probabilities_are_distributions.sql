-- As many probabilities as labels, most likely first, none below zero, together one.
with probability as (

    select p.penguin_id, value::double precision as p, ordinality
    from {{ ref('penguin_calls') }} as p
    cross join jsonb_array_elements_text(p.probabilities -> 'probabilities') with ordinality

),

summed as (

    select penguin_id, sum(p) as total, min(p) as lowest, count(*) as n, array_agg(p order by ordinality) as in_order,
        array_agg(p order by p desc) as sorted
    from probability
    group by penguin_id

)

select *
from summed
where abs(total - 1) > 1e-6 or lowest < 0 or n <> 3 or in_order <> sorted
