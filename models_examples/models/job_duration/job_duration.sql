-- Redshift ML's AUTO OFF with XGBOOST and multi:softmax, its hyperparameters as the statement writes them. Redshift asks for
-- numbers and PREPROCESSORS 'none'; here text may be encoded by a transformer.
{{ config(
    materialized='create_model',
    target='class',
    auto='OFF',
    model_type='XGBOOST',
    objective='multi:softmax',
    preprocessors=[
        {'ColumnSet': ['protocol', 'day'], 'Transformers': ['OneHotEncoder']},
        {'ColumnSet': ['*'], 'Transformers': ['NumericPassthrough']},
    ],
    hyperparameters={'num_round': '60', 'num_class': '4', 'eta': '0.2', 'max_depth': '5'},
) }}

select protocol, compounds, input_fields, iterations, num_pending, hour, day, class
from {{ ref('compute_jobs') }}
