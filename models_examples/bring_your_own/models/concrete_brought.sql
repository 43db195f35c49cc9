-- A model from a file: brought/train_elsewhere.py made it, without dbt. The query is what it is judged on.
{{ config(
    materialized='create_model',
    source='brought/concrete.ubj',
    target='compressive_strength',
    gates={'r2': '>= 0.8'},
) }}

select cement, water, age::double precision as age, compressive_strength
from {{ ref('concrete_mixtures') }}
where mixture_id % 5 = 0
