-- The rides of each half hour, beside what is usual then: the mean of the same half hour in the four weeks before.
select
    ride_at,
    event,
    rides,
    extract(hour from ride_at)::integer as hour,
    rides / nullif(avg(rides) over (
        partition by extract(isodow from ride_at), ride_at::time
        order by ride_at
        rows between 4 preceding and 1 preceding
    ), 0)::double precision as rides_vs_usual
from {{ ref('taxi_rides') }}
