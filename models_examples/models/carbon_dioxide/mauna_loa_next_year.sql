-- The twelve months after the last measurement, with the range that four of five should be in.
select month, round(mean::numeric, 1) as co2, round(p10::numeric, 1) as low, round(p90::numeric, 1) as high
from {{ forecast('mauna_loa_monthly') }}
