-- Which customers will leave, as a scorecard that people can read and check: each column has a table of points, and
-- a few pairs have one; their sum is the log-odds. Few bins make it short. More calls to customer service never
-- lower the risk: the constraint says so, whatever the data's noise.
{{ config(
    materialized='create_model',
    target='churn',
    model_type='additive',
    objective='auc',
    function='churn_risk',
    hyperparameters={
        'max_bins': 12,
        'max_interaction_bins': 6,
        'interactions': 4,
        'monotone_constraints': {'number_customer_service_calls': 1},
    },
) }}

select
    state, international_plan, voice_mail_plan,
    total_day_minutes, total_eve_minutes, total_night_minutes, total_intl_minutes, total_intl_calls,
    number_customer_service_calls,
    churn
from {{ ref('telco_customers') }}
