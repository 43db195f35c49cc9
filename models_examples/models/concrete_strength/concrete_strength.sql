-- A linear model, as Redshift ML's MODEL_TYPE LINEAR_LEARNER. Strength grows with the logarithm of age: what the query
-- computes, the function gets as an argument, and a prediction computes it in the same way.
{{ config(
    materialized='create_model',
    target='compressive_strength',
    auto=false,
    model_type='linear_learner',
    objective='mse',
) }}

select
    cement, blast_furnace_slag, fly_ash, water, superplasticizer, coarse_aggregate, fine_aggregate,
    ln(age) as log_age,
    water / cement as water_to_cement,
    compressive_strength
from {{ ref('concrete_mixtures') }}
