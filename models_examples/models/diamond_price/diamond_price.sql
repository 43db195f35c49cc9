-- A regression on 54,000 rows, without the search for a model type: xgboost, with hyperparameters of one's own.
-- A second function says between which bounds the price lies in nine of ten cases.
{{ config(
    materialized='create_model',
    target='price',
    auto=false,
    model_type='xgboost',
    problem_type='regression',
    objective='reg:squarederror',
    interval=0.9,
    hyperparameters={'num_round': 100, 'max_depth': 6, 'eta': 0.15},
) }}

select carat, cut, color, clarity, depth, "table", x, y, z, price
from {{ ref('diamonds') }}
