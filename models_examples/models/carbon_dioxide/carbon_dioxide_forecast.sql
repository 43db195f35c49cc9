-- The first week of every month of the ten years after the last measurement.
select
    week::date as week,
    {{ predict('carbon_dioxide', [
        'week::date', "to_char(week, 'Mon')", "((week::date - date '1958-01-01') / 3652.5) ^ 2",
    ]) }} as co2
from generate_series(timestamp '2002-01-01', timestamp '2011-12-01', interval '1 month') as week
