-- However predict is written, it is the same call; and the label is the most likely one.
select 'different predictions' as problem, penguin_id
from {{ ref('penguin_calls') }}
where by_list is distinct from by_name or by_list is distinct from by_alias or by_list is distinct from by_scope

union all

select 'label is not the most likely', penguin_id
from {{ ref('penguin_calls') }}
where by_list is distinct from probabilities -> 'labels' ->> 0
