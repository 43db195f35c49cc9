-- A regression on the parts of a date, judged on the years that come after those it has seen. Rows without a measurement
-- (59 weeks) are left out of the training by themselves. The later a week, the more it counts: what lies ahead is like it.
{{ config(
    materialized='create_model',
    target='co2',
    weight='recency',
    auto=false,
    model_type='linear_learner',
    preprocessors=[
        {'column_set': ['week'], 'transformers': ['DateTimeVectorizer', 'StandardScaler']},
        {'column_set': ['month'], 'transformers': ['OneHotEncoder']},
        {'column_set': ['decades_squared'], 'transformers': ['StandardScaler']},
    ],
    settings={'holdout': {'time': 'measured_on', 'after': '1995-01-01'}},
) }}

select
    week,
    to_char(week, 'Mon') as month,
    ((week - date '1958-01-01') / 3652.5) ^ 2 as decades_squared,
    exp((week - date '1958-01-01') / 3652.5) as recency,  -- e times as much every ten years; no feature either
    week as measured_on,  -- says which rows are held out, and is no feature
    co2
from {{ ref('mauna_loa') }}
