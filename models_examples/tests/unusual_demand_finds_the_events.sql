-- The model never saw the events: it has to find all six of them, and at most a third of its alarms may be false.
with found as (

    select
        count(distinct event) as n_events,
        count(*) filter (where event is null or event = '') as n_false,
        count(*) as n_alarms
    from {{ ref('unusual_half_hours') }}

)

select n_events, n_false, n_alarms
from found
where n_events < 6 or n_false > n_alarms / 3
