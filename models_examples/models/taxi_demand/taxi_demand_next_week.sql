-- How many rides to be ready for: more than these are needed on one day in ten.
select day, part_of_day, round(p50) as expected, round(p90) as at_most
from {{ forecast('taxi_demand', horizon=7) }}
